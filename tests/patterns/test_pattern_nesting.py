"""Patterns within patterns: laws that hold for every tree of them, under virtual time and random failures."""

from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, Tool, node, run_sync
from outlay.errors import Overloaded
from outlay.patterns import (
    Blackboard,
    Critique,
    Debate,
    Detached,
    FanOut,
    Gate,
    Judgement,
    Mesh,
    Pipeline,
    Plan,
    Refine,
    RoundRobin,
    Router,
    Specialist,
    Subtask,
    Supervisor,
    Vote,
)
from outlay.testing import Reply, ScriptedModel, virtual_time

REASONS = {"completed", "budget", "deadline", "turn_limit", "error"}


class Tree:
    """A drawn flow with the seconds that it takes, and the calls that it makes, where nothing fails."""

    def __init__(self, flow, seconds, calls):
        self.flow, self.seconds, self.calls = flow, seconds, calls


class Builder:
    """Draws trees. Each agent answers `ok` after its latency, or fails in the way that was drawn for it."""

    def __init__(self, draw, failures):
        self.draw, self.failures, self.number = draw, failures, count()

    def name(self, kind):
        return f"{kind}{next(self.number)}"

    def agent(self, answer=None, **options):
        latency = self.draw(st.integers(0, 9))
        fault = self.draw(st.sampled_from(self.failures))

        def reply(request):
            if fault == "fails":
                return Overloaded("busy", retryable=False)
            if fault == "refuses":
                return Reply("no", stop="refusal")
            if fault == "raises":
                return LookupError("lost")
            if fault == "loops":
                return Reply(tool_calls=[("noop", {})])
            return answer if answer is not None else "ok"

        noop = Tool("noop", lambda: "", "Does nothing.")
        model = ScriptedModel(reply, latency=latency, price=(1, 2))
        name = self.name("agent")
        return Tree(Agent(name, model, tools=[noop], max_turns=3, max_output_tokens=200, **options), latency, 1)

    def options(self):
        if self.failures == ["none"]:
            return {}
        budget = self.draw(st.sampled_from([None, None, Budget(calls=2), Budget(usd="0.0005"), Budget(seconds=12)]))
        return {"optional": self.draw(st.booleans()), "budget": budget}

    def tree(self, depth):
        kinds = ["agent", "pipeline", "fanout", "items", "router", "supervisor", "refine", "vote", "debate"]
        kinds += ["roundrobin", "mesh", "blackboard", "gate"]
        kind = self.draw(st.sampled_from(kinds if self.failures == ["none"] else [*kinds, "detached"]))
        return self.agent(**self.options()) if depth == 0 or kind == "agent" else getattr(self, kind)(depth - 1)

    def trees(self, depth):
        return [self.tree(depth) for _ in range(self.draw(st.integers(1, 3)))]

    def pipeline(self, depth):
        parts = self.trees(depth)
        flow = Pipeline(*(p.flow for p in parts), name=self.name("pipeline"), **self.options())
        return Tree(flow, sum(p.seconds for p in parts), sum(p.calls for p in parts))

    def fanout(self, depth):
        parts = self.trees(depth)
        flow = FanOut([p.flow for p in parts], name=self.name("fanout"), merge=self.join(), **self.options())
        return Tree(flow, max(p.seconds for p in parts), sum(p.calls for p in parts))

    def items(self, depth):
        part, n = self.tree(depth), self.draw(st.integers(0, 3))
        flow = FanOut(
            part.flow, lambda x: [f"{i}" for i in range(n)], self.join(), name=self.name("items"), **self.options()
        )
        return Tree(flow, part.seconds if n else 0, part.calls * n)

    def join(self):
        return node(name=self.name("join"))(lambda found: f"joined {len(found)}")

    def router(self, depth):
        classifier, a, b = self.agent("yes"), self.tree(depth), self.tree(depth)
        flow = Router(classifier.flow, {"yes": a.flow}, b.flow, name=self.name("router"), **self.options())
        return Tree(flow, classifier.seconds + a.seconds, classifier.calls + a.calls)

    def supervisor(self, depth):
        parts = self.trees(depth)
        chained = [self.draw(st.booleans()) for _ in parts]
        subtasks, ends = [], []
        for i, part in enumerate(parts):
            chain = i > 0 and chained[i]
            subtasks.append(Subtask(f"t{i}", part.flow.name, f"do {i}", [f"t{i - 1}"] if chain else []))
            ends.append((ends[-1] if chain else 0) + part.seconds)
        planner, last = self.agent(Plan(subtasks), output_type=Plan), self.agent()
        flow = Supervisor(planner.flow, [p.flow for p in parts], last.flow, name=self.name("crew"), **self.options())
        seconds = planner.seconds + max(ends) + last.seconds
        return Tree(flow, seconds, sum(p.calls for p in parts) + 2)

    def refine(self, depth):
        part, critic = self.tree(depth), self.agent(Critique(True), output_type=Critique)
        flow = Refine(part.flow, critic.flow, max_rounds=2, name=self.name("refine"), **self.options())
        return Tree(flow, part.seconds + critic.seconds, part.calls + critic.calls)

    def gate(self, depth):
        part, critic = self.tree(depth), self.agent(Critique(True), output_type=Critique)
        gate = Gate(critic.flow, name=self.name("gate"), **self.options())
        flow = Pipeline(part.flow, gate, name=self.name("gated"))
        return Tree(flow, part.seconds + critic.seconds, part.calls + critic.calls)

    def detached(self, depth):
        part, beside = self.tree(depth), self.tree(depth)
        flow = Pipeline(Detached(beside.flow, name=self.name("beside")), part.flow, name=self.name("pipeline"))
        return Tree(flow, part.seconds, part.calls)

    def vote(self, depth):
        part, n, early_stop = self.tree(depth), self.draw(st.integers(1, 4)), self.draw(st.booleans())
        flow = Vote(part.flow, n, str, early_stop, name=self.name("vote"), **self.options())
        return Tree(flow, part.seconds, part.calls * (n // 2 + 1 if early_stop else n))

    def debate(self, depth):
        parts = [self.agent(), *self.trees(depth)]
        judge = self.agent(Judgement(True, "ok"), output_type=Judgement)
        flow = Debate([p.flow for p in parts], judge.flow, 1, name=self.name("debate"), **self.options())
        return Tree(flow, max(p.seconds for p in parts) + judge.seconds, sum(p.calls for p in parts) + 1)

    def roundrobin(self, depth):
        parts = self.trees(depth)
        flow = RoundRobin([p.flow for p in parts], len(parts), name=self.name("talk"), **self.options())
        return Tree(flow, sum(p.seconds for p in parts), sum(p.calls for p in parts))

    def mesh(self, depth):
        peer = self.tree(depth)
        first = self.agent(Reply(tool_calls=[(f"handoff_to_{peer.flow.name}", {"task": "go on", "summary": "so far"})]))
        flow = Mesh({first.flow: [peer.flow]}, first.flow, 1, name=self.name("mesh"), **self.options())
        return Tree(flow, first.seconds + peer.seconds, first.calls + peer.calls)

    def blackboard(self, depth):
        parts = self.trees(depth)
        specialists = [
            Specialist(
                Pipeline(p.flow, lambda output: type(output).__name__, name=f"expert{i}"), ["input"], {f"e{i}": str}
            )
            for i, p in enumerate(parts)
        ]
        flow = Blackboard(specialists, name=self.name("board"), **self.options())
        return Tree(flow, max(p.seconds for p in parts), sum(p.calls for p in parts))


@st.composite
def trees(draw, failures):
    return Builder(draw, failures).tree(draw(st.integers(0, 3)))


def run(flow, **options):
    with virtual_time() as clock:
        return run_sync(flow, "go", on_alert=lambda alert: None, **options), clock.elapsed


@settings(max_examples=60)
@given(trees(["none"]))
def test_where_nothing_fails_it_takes_the_critical_path(tree):
    """Wall time is that of the longest chain of what waits for one another; every call is made once and billed."""
    result, seconds = run(tree.flow)
    assert (result.error, result.stop_reason, result.degraded) == (None, "completed", False)
    assert seconds == tree.seconds
    assert sum(line.calls for line in result.bill.lines) == tree.calls


@settings(max_examples=150)
@given(
    trees(["none", "none", "none", "fails", "refuses", "raises", "loops"]),
    st.sampled_from(
        [None, Budget(calls=3), Budget(usd="0.0004"), Budget(usd="0.002"), Budget(seconds=10), Budget(tokens=900)]
    ),
)
def test_whatever_fails_it_ends_with_a_result_or_a_reason(tree, budget):
    """No tree hangs or loses its bill: an output or an error, a known reason, degraded where anything was missing, the
    bill the sum of its lines, and no budget passed.
    """
    result, _ = run(tree.flow, budget=budget)
    assert result.stop_reason in REASONS
    assert result.output is not None or result.error is not None
    assert result.degraded == (result.stop_reason != "completed" or bool(result.skipped))
    assert result.stop_reason != "error" or result.error is not None
    lines = result.bill.lines
    assert result.bill.total == sum((line.cost for line in lines), Decimal(0))
    if budget is not None and budget.usd is not None:
        assert result.bill.total + result.bill.in_doubt <= budget.usd
    if budget is not None and budget.calls is not None:
        assert sum(line.calls for line in lines) <= budget.calls


@settings(max_examples=25)
@given(trees(["none", "none", "fails", "raises"]))
def test_the_same_tree_does_the_same_again(tree):
    """Two runs on virtual time give the same events in the same order."""

    def story(result):
        return [(type(e).__name__, e.path, e.time) for e in result.events]

    assert story(run(tree.flow, run_id="r")[0]) == story(run(tree.flow, run_id="r")[0])


@pytest.mark.parametrize("limit", range(9))
def test_every_pattern_around_a_stop_reports_it(limit):
    """However deep the budget binds, the run ends as `budget` and keeps what was paid for."""
    deep = Agent("deep", ScriptedModel(lambda r: "ok"))
    judge = Agent("judge", ScriptedModel(lambda r: Critique(True)), output_type=Critique)
    classifier = Agent("classifier", ScriptedModel(lambda r: "yes"))
    planner = Agent("planner", ScriptedModel(lambda r: Plan([Subtask("a", "route", "x")])), output_type=Plan)
    last = Agent("last", ScriptedModel(lambda r: "answer"))
    route = Router(classifier, {"yes": Refine(Pipeline(deep, deep), judge)}, deep.replace(name="other"), name="route")
    flow = FanOut([Supervisor(planner, [route], last)], merge=lambda found: found["supervisor"])
    result, _ = run(flow, budget=Budget(calls=limit))
    assert (result.stop_reason == "completed") == (limit >= 6)
    assert sum(line.calls for line in result.bill.lines) == min(limit, 6)
    assert (result.output == "answer") == (limit >= 6)
