"""Rows, tree and list of runs."""

import json
from decimal import Decimal

from analysis.events_of import HAIKU, SONNET, Log
from outlay.analysis.runs import KINDS, runs
from outlay.analysis.trace import COLUMNS, jsonl, trace
from outlay.analysis.tree import tree
from outlay.events import (
    CallFailed,
    Event,
    Fact,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunStarted,
    Skipped,
    ToolFinished,
    ToolStarted,
)


def triage() -> list[Event]:
    log = Log()
    log.add(RunStarted, flow="triage")
    log.add(NodeStarted, "triage", name="triage", type="Router")
    log.add(NodeStarted, "triage/router", name="router", type="agent")
    log.start("router", path="triage/router")
    log.fail("router", path="triage/router", error="RateLimited", message="slow\x1b[31m down\nnow")
    log.start("router", path="triage/router", attempt=2, head="before")
    log.finish(
        "router",
        path="triage/router",
        attempt=2,
        returned="claude-haiku-4-5-20251001",
        first_token=0.3,
        stop="end_turn",
        cost="0.000148",
        head="after",
    )
    log.add(NodeFinished, "triage/router", name="router", outcome="completed", seconds=2.5)
    log.add(Fact, "triage", data={"label": "billing", "confidence": 0.93, "route": "reply"})
    log.add(NodeStarted, "triage/reply", name="reply", type="agent")
    log.start("reply", SONNET, path="triage/reply")
    log.finish("reply", SONNET, path="triage/reply", tools=("search",), cost="0.0148", tokens=(700, 30, 0, 150))
    log.add(ToolStarted, "triage/reply", agent="reply", tool="search", key="t")
    log.add(ToolFinished, "triage/reply", agent="reply", tool="search", key="t", seconds=0.0123, error="OSError: gone")
    log.start("reply", SONNET, path="triage/reply", key="2", reserved=Decimal("0.02"))
    log.add(NodeFinished, "triage/reply", name="reply", outcome="stopped", seconds=4.5, error="BudgetExceeded: full")
    log.add(Skipped, "triage/polish", reason="budget")
    log.add(NodeFinished, "triage", name="triage", outcome="completed", seconds=7.0)
    log.add(RunFinished, stop_reason="budget", seconds=7.1, degraded=True)
    return log.events


def test_a_row_has_exactly_these_columns():
    assert " ".join(COLUMNS) == (
        "time trace_id path agent model returned_model input_tokens cache_read_tokens cache_write_tokens "
        "output_tokens ttft_ms latency_ms stop_reason tools thinking confidence route retries error_type cost"
    )


def test_one_row_for_every_attempt_that_ended():
    failed, answered, reply = trace(triage())
    assert (failed.error_type, failed.retries, failed.stop_reason, failed.latency_ms) == (
        "RateLimited",
        0,
        "error",
        500,
    )
    assert (failed.cost, failed.output_tokens) == (0, None)
    assert (answered.error_type, answered.retries, answered.returned_model) == (None, 1, "claude-haiku-4-5-20251001")
    assert (answered.time, answered.ttft_ms, answered.cost) == (1005.0, 300.0, Decimal("0.000148"))
    assert (reply.tools, reply.model, reply.trace_id, reply.path) == (("search",), SONNET, "7f3a", "triage/reply")


def test_a_failure_that_may_have_been_billed_has_an_unknown_cost():
    log = Log()
    log.start("reply")
    log.fail("reply", maybe_billed=True, in_doubt=Decimal("0.01"))
    log.start("reply", attempt=2)
    log.fail("reply", attempt=2, maybe_billed=True)
    assert [row.cost for row in trace(log.events)] == [None, None]
    assert "in doubt $0.0100" in tree(log.events)
    assert "in doubt, unpriced" in tree(log.events)


def test_the_route_is_that_of_the_nearest_router_around_the_call():
    """Also for the classifier's own call, which ended before the route was known."""
    log = Log()
    log.call("outer", path="a/outer")
    log.add(Fact, "a", data={"label": "x", "confidence": 0.5})
    log.call("inner", path="a/b/inner")
    log.add(Fact, "a/b", data={"label": "y", "route": "z", "confidence": None})
    log.add(Fact, "a/b", data={"votes": 3})
    log.call("elsewhere", path="ab/c")
    found = {row.agent: (row.route, row.confidence) for row in trace(log.events)}
    assert found == {"outer": ("x", 0.5), "inner": ("z", None), "elsewhere": (None, None)}


def test_contents_are_in_the_rows_only_where_they_are_given():
    assert all("input" not in row.as_dict() for row in trace(triage()))
    given = {"inputs": {"before": "my card 4242"}, "outputs": {"after": "card 4242 blocked"}}
    _, row, _ = trace(triage(), **given)
    assert (row.input, row.output) == ("my card 4242", "card 4242 blocked")
    _, row, _ = trace(triage(), **given, redact=lambda text: text.replace("4242", "…"))
    assert (row.input, row.output) == ("my card …", "card … blocked")


def test_jsonl_is_one_object_a_row_with_exact_costs():
    lines = list(jsonl(trace(triage())))
    assert len(lines) == 3
    assert '"cost":0.000148}' in lines[1]
    assert tuple(json.loads(lines[0])) == COLUMNS
    assert json.loads(lines[0])["cost"] == 0


TREE = """\
■ run 7f3a · triage · budget · 7.1 s · $0.0149
└─ ✓ triage · Router · 7.0 s · $0.0149
   ├─ ✓ router · agent · 2.5 s · $0.000148
   │  ├─ ✗ call claude-haiku-4-5 · 0.5 s · RateLimited: slow down now
   │  └─ ✓ call claude-haiku-4-5 · 1.0 s · $0.000148 · 10 → 5 tokens · attempt 2
   ├─ ■ reply · agent · stopped · 4.5 s · $0.0148 · BudgetExceeded: full
   │  ├─ ✓ call claude-sonnet-4-6 · 1.0 s · $0.0148 · 730 → 150 tokens · 30 read from cache · calls search
   │  ├─ ✗ tool search · 12.3 ms · OSError: gone
   │  └─ … call claude-sonnet-4-6 · no answer seen · $0.0200 held
   └─ – polish · skipped: budget

3 calls · 1 failed · mean 0.8 s · P95 1.0 s
slowest agent reply (1.0 s mean) · dearest agent reply ($0.0148, 99 % of the cost)"""


def test_the_tree():
    assert tree(triage()) == TREE


def test_the_tree_of_nothing():
    assert tree([]) == "0 calls · 0 failed"


def test_a_wide_node_shows_some_of_what_went_well_and_all_that_did_not():
    log = Log()
    log.add(RunStarted, flow="map")
    for i in range(100):
        log.add(NodeFinished, f"map/work[{i}]", name="work", outcome="failed" if i == 70 else "completed", seconds=1.0)
    text = tree(log.events, most=5)
    assert text.count("✓ work[") == 5
    assert "✗ work[70]" in text
    assert "… 94 more" in text


def test_an_unknown_price_is_not_a_zero_in_the_tree():
    log = Log()
    log.call("reply", cost=None)
    assert "unpriced" in tree(log.events)
    assert "$0.0000" not in tree(log.events)


def test_a_usage_that_nobody_reported_is_no_missing_price_in_the_tree():
    log = Log()
    log.call("reply", tokens=(None, None, None, None), cost=None)
    assert "cost unknown · ? → ? tokens" in tree(log.events)


def test_long_errors_are_cut_and_cannot_break_lines():
    log = Log()
    log.add(CallFailed, "a", agent="a", model="m", attempt=1, key="k", error="BadResponse", message="x\n" * 9_000)
    lines = tree(log.events).splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) < 130


def test_the_list_of_runs():
    one, other = Log("b"), Log("a")
    one.add(RunStarted, flow="triage", lane="offline")
    one.call("reply", cost="0.5")
    one.add(RunFinished, stop_reason="completed", seconds=3.0)
    other.events.append(RunStarted(run="a", seq=0, time=2_000.0, flow="crew"))
    other.call("scout", "openai-chat:x", cost=None)
    first, second = runs([*other.events, *one.events])
    assert (first.id, first.flow, first.started, first.outcome, first.seconds) == (
        "b",
        "triage",
        1_000.0,
        "completed",
        3,
    )
    assert (first.cost, first.calls, first.lane) == (Decimal("0.5"), 1, "offline")
    assert (second.id, second.outcome, second.seconds, second.cost, second.at_least) == ("a", "", None, None, 0)


def test_a_resumed_run_keeps_its_start_and_has_no_outcome_until_it_ends_again():
    log = Log()
    log.add(RunStarted, flow="triage")
    log.add(RunFinished, stop_reason="approval", seconds=1.0)
    log.add(RunStarted, flow="triage")
    (run,) = runs(log.events)
    assert (run.started, run.outcome, run.seconds) == (1_000.0, "", None)


def test_the_kinds_that_the_list_needs_are_those_it_gives_the_same_list_from():
    events = triage()
    some = [event for event in events if event.__struct_config__.tag in KINDS]
    assert runs(some) == runs(events)
    assert HAIKU in {row.model for row in trace(some)}
