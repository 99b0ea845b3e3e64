"""Patterns within patterns: laws that hold for every tree of them, under virtual time and random failures."""

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, run_sync
from outlay.events import CallFinished, CallStarted, NodeFinished, NodeStarted
from outlay.patterns import Critique, FanOut, Pipeline, Plan, Refine, Router, Subtask, Supervisor
from outlay.testing import ScriptedModel, virtual_time
from pattern_trees import name_at, trees

REASONS = {"completed", "budget", "deadline", "turn_limit", "error"}
STEADY = ["none"] * 15 + ["fails", "refuses", "raises", "loops", "looks", "breaks"]
FAULTS = [*STEADY, "stumbles"]


def run(flow, **options):
    with virtual_time() as clock:
        return run_sync(flow, "go", on_alert=lambda alert: None, **options), clock.elapsed


def of_kind(result, kind):
    return [event for event in result.events if isinstance(event, kind)]


def belongs_to(path, name):
    return any(name_at(part) == name for part in path.split("/"))


@settings(max_examples=60)
@given(trees())
def test_where_nothing_fails_it_takes_the_critical_path(tree):
    """Wall time is that of the longest chain of what waits for one another; every call is made once and billed."""
    result, seconds = run(tree.flow)
    assert (result.error, result.stop_reason, result.degraded) == (None, "completed", False)
    assert seconds == tree.seconds
    assert sum(line.calls for line in result.bill.lines) == tree.calls


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.integers(1, 8))
def test_pipelines_add_up_and_fan_outs_take_the_slowest(seconds, at_once):
    """Σ for stages, max for members at once; with `max_parallel`, as a shop with so many tills would take."""
    members = [Agent(f"m{i}", ScriptedModel(lambda r: "ok", latency=s)) for i, s in enumerate(seconds)]
    assert run(Pipeline(*members))[1] == sum(seconds)
    assert run(FanOut(members))[1] == max(seconds)
    tills = [0] * at_once
    for took in seconds:
        tills[tills.index(min(tills))] += took
    assert run(FanOut(members, max_parallel=at_once))[1] == max(tills)


@settings(max_examples=400)
@given(
    trees(FAULTS, budgets=True),
    st.sampled_from([None, None, Budget(calls=3), Budget(usd="0.0004"), Budget(usd="0.002"), Budget(tokens=900)]),
    st.none() | st.integers(1, 40),
)
def test_whatever_fails_it_ends_with_a_result_or_a_reason(tree, budget, seconds):
    """No tree hangs: an output or an error, a known reason, degraded where anything was missing, every node closed;
    within its budgets, its deadline, and the caps of its patterns.
    """
    deadline = () if seconds is None else (Budget(seconds=seconds),)
    result, elapsed = run(tree.flow, budget=[*deadline, *([] if budget is None else [budget])])
    assert result.stop_reason in REASONS
    assert result.output is not None or result.error is not None
    assert result.degraded == (result.stop_reason != "completed" or bool(result.skipped))
    assert result.stop_reason != "error" or result.error is not None
    assert seconds is None or elapsed <= seconds
    opened, closed = ([e.path for e in of_kind(result, kind)] for kind in (NodeStarted, NodeFinished))
    assert Counter(opened) == Counter(closed)
    the_bill_is_the_sum_of_what_happened(result)
    within(result, budget)
    for name, own in tree.budgets.items():
        within(result, own, name)
    for path in opened:
        if name_at(path) in tree.caps:
            fact, most, member, runs = tree.caps[name_at(path)]
            assert result.facts.get(path, {}).get(fact, 0) <= most
            mine = [one for one in opened if one.rpartition("/")[0] == path and member in ("", name_at(one))]
            assert len(mine) <= runs


def the_bill_is_the_sum_of_what_happened(result):
    """Of its lines, and of the calls that the events tell of."""
    bill = result.bill
    answered = of_kind(result, CallFinished)
    assert bill.total == sum((line.cost for line in bill.lines), Decimal(0)) == sum(e.cost for e in answered)
    assert sum(line.output_tokens for line in bill.lines) == sum(e.output_tokens for e in answered)
    for group in ("agent", "model", "path", "purpose"):
        assert sum(line.cost for line in bill.by(group).values()) == bill.total
    assert sum(line.calls + line.retries for line in bill.lines) == len(of_kind(result, CallStarted))


def within(result, budget, name=""):
    """What the nodes of a name, or all, used of a budget."""
    if budget is None:
        return
    started, answered = (
        [event for event in of_kind(result, kind) if not name or belongs_to(event.path, name)]
        for kind in (CallStarted, CallFinished)
    )
    if budget.usd is not None:
        assert sum(e.cost for e in answered) <= budget.usd
    if budget.tokens is not None:
        assert sum(e.input_tokens + e.output_tokens for e in answered) <= budget.tokens
    if budget.calls is not None:
        assert len(started) <= budget.calls


@settings(max_examples=60)
@given(trees(FAULTS), st.integers(1, 4), st.integers(1, 3))
def test_no_tree_is_deeper_or_wider_than_allowed(tree, depth, fan_out):
    """Whatever spawns it: no node stands further below the root, and none has more children running at once."""
    result, _ = run(tree.flow, budget=Budget(depth=depth, fan_out=fan_out))
    assert result.stop_reason in REASONS
    running = Counter()
    for event in result.events:
        if isinstance(event, NodeStarted):
            assert event.path.count("/") <= depth
            running[event.path.rpartition("/")[0]] += 1
        elif isinstance(event, NodeFinished):
            running[event.path.rpartition("/")[0]] -= 1
        assert max(running.values(), default=0) <= fan_out


@settings(max_examples=25)
@given(trees(STEADY))
def test_the_same_tree_does_the_same_again(tree):
    """Two runs on virtual time give the same events in the same order."""

    def story(result):
        return [(type(e).__name__, e.path, e.time) for e in result.events]

    assert story(run(tree.flow, run_id="r")[0]) == story(run(tree.flow, run_id="r")[0])


@pytest.mark.parametrize("limit", range(9))
def test_every_pattern_around_a_stop_reports_it(limit):
    """However deep the budget binds, the run ends as `budget` and keeps what was paid for. Of six calls the last is the
    synthesizer's: of two or more one is set aside for it, and not used by others.
    """
    deep = Agent("deep", ScriptedModel(lambda r: "ok"))
    judge = Agent("judge", ScriptedModel(lambda r: Critique(True)), output_type=Critique)
    classifier = Agent("classifier", ScriptedModel(lambda r: "yes"))
    planner = Agent("planner", ScriptedModel(lambda r: Plan([Subtask("a", "route", "x")])), output_type=Plan)
    last = Agent("last", ScriptedModel(lambda r: "answer"))
    route = Router(classifier, {"yes": Refine(Pipeline(deep, deep), judge)}, deep.replace(name="other"), name="route")
    flow = FanOut([Supervisor(planner, [route], last)], merge=lambda found: found["supervisor"])
    result, _ = run(flow, budget=Budget(calls=limit))
    assert (result.stop_reason == "completed") == (limit >= 6)
    assert sum(line.calls for line in result.bill.lines) == (limit - 1 if 2 <= limit <= 5 else min(limit, 6))
    assert (result.output == "answer") == (limit >= 6)
