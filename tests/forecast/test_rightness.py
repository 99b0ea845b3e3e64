"""How often a run is right, read off who took part in it: the closed form's figure, for every tree."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent
from outlay.errors import ConfigError
from outlay.forecast import Assumptions, Confusion, Expect, Expected, Fixed, Step, closed_form, forecast
from outlay.forecast.assumptions import Beliefs
from outlay.forecast.simulation import Plan, simulate
from outlay.forecast.tally import Outcome
from outlay.patterns import Debate, FanOut, Pipeline, Router, Supervisor, Vote
from outlay.patterns import Plan as Subtasks
from outlay.testing import ScriptedModel
from outlay.values.debate import Judgement

MODEL = ScriptedModel([], name="small", price=(1, 5))
SURE: dict[str, Any] = {
    "output_tokens": Fixed(20),
    "seconds": Fixed(2),
    "failure": 0.0,
    "agreement": 1.0,
    "accept": 1.0,
}
INPUT = "x" * 40


def agent(name: str, **options: Any) -> Agent[Any]:
    return Agent(name, MODEL, max_output_tokens=20, **options)


def assuming(agents: dict[str, Any], **others: Any) -> Assumptions:
    expected = {name: Expect(right=right) for name, right in agents.items()}
    return Assumptions(everyone=Expect(**SURE), agents=expected, **others)


def runs(flow: Any, assumptions: Assumptions, n: int = 2) -> list[Outcome]:
    return simulate(Plan(flow, [INPUT], n, 0, assumptions), Beliefs(assumptions), workers=1)


def closed(flow: Any, assumptions: Assumptions) -> Expected:
    found = closed_form(flow, INPUT, assumptions)
    assert isinstance(found, Expected), found
    return found


PROBABILITY = st.sampled_from([0.0, 0.3, 0.7, 0.9, 1.0])
STEPS = st.builds(
    Step,
    sound=PROBABILITY,
    flawed=PROBABILITY,
    detection=PROBABILITY,
    correlation=PROBABILITY,
    retries=st.integers(0, 2),
)


@st.composite
def trees(draw: st.DrawFn) -> tuple[Any, dict[str, Step]]:
    steps: dict[str, Step] = {}

    def leaf(**options: Any) -> Any:
        name = f"n{len(steps)}"
        steps[name] = draw(STEPS)
        return agent(name, **options)

    def tree(depth: int) -> Any:
        kind = draw(st.sampled_from(["leaf", "pipeline", "fan", "vote", "supervisor"])) if depth else "leaf"
        name = f"{kind}{draw(st.integers(0, 10**9))}"
        if kind == "pipeline":
            return Pipeline(*[tree(depth - 1) for _ in range(draw(st.integers(1, 3)))], name=name)
        if kind == "fan":
            merge = tree(0) if draw(st.booleans()) else None
            return FanOut([tree(depth - 1) for _ in range(draw(st.integers(1, 3)))], merge=merge, name=name)
        if kind == "vote":
            return Vote(tree(0), 3, name=name)
        if kind == "supervisor":
            return Supervisor(leaf(output_type=Subtasks), [tree(0), tree(0)], tree(0), name=name)
        return leaf()

    return tree(2), steps


@settings(max_examples=60, deadline=None)
@given(trees())
def test_it_is_the_closed_forms_figure_and_declared_retries_are_paid_in_both(drawn: tuple[Any, dict[str, Step]]):
    """Right given a right and given a wrong input, caught or not, tried again: the same chances, calls and dollars."""
    flow, steps = drawn
    assumptions = assuming(steps, subtasks=2)
    expected, [one, *_] = closed(flow, assumptions), runs(flow, assumptions)
    assert one.right == pytest.approx(expected.right)
    assert one.calls == pytest.approx(expected.calls)
    assert {name: calls for name, calls, _, _ in one.agents} == pytest.approx(
        {name: share.calls for name, share in expected.agents.items()}
    )
    assert one.dollars == pytest.approx(math.fsum(spent for _, _, spent, _ in one.agents))


def test_the_time_of_a_declared_retry_is_the_critical_paths():
    """The slow branch is tried again in half of the runs, at two seconds; the other's retries pass meanwhile."""
    retried = {"a": Step(sound=0.5, retries=1), "b": 1.0}
    [one] = runs(Pipeline(agent("a"), agent("b")), assuming(retried), n=1)
    assert (one.seconds, one.calls) == (pytest.approx(2 * 1.5 + 2), pytest.approx(2.5))


def test_after_somebody_of_whom_nothing_is_declared_nobody_knows():
    flow = Pipeline(agent("a"), agent("b"), agent("c"))
    known = Assumptions(everyone=Expect(**SURE), agents={"a": Expect(right=0.9), "c": Expect(right=0.9)})
    assert [one.right for one in runs(flow, known, n=1)] == [None]
    assert closed(flow, known).right is None


def test_a_flow_of_which_nothing_is_declared_is_not_right_for_sure():
    assert closed(agent("a"), assuming({})).right is None


def test_what_comes_after_a_vote_counts_too():
    right = assuming({"v": 0.8, "a": 0.5})
    [one] = runs(Pipeline(Vote(agent("v"), 3), agent("a")), right, n=1)
    assert one.right == pytest.approx(0.896 * 0.5)


def test_members_of_a_debate_say_nothing_of_the_whole():
    talk = Debate([agent("x"), agent("y")], agent("j", output_type=Judgement[str]), max_rounds=1, name="talk")
    assert runs(talk, assuming({"x": 0.9, "y": 0.9, "j": 0.9}), n=1)[0].right is None
    assert runs(talk, assuming({"talk": 0.97}), n=1)[0].right == pytest.approx(0.97)


CONFUSION = Confusion(
    sent={"left": {"left": 0.9, "right": 0.1}, "right": {"right": 0.7, "left": 0.2, "odd": 0.1}},
    right={"left": {"left": 0.95, "right": 0.2}, "right": {"right": 0.95}, "odd": {"left": 0.5, "right": 0.5}},
)
SHARES = {"router": {"left": 0.6, "right": 0.4}}


def routing() -> Any:
    return Router(agent("r"), {"left": agent("l"), "right": agent("m")}, default=agent("d"))


def test_a_router_pays_for_where_it_sends_and_not_for_where_it_should():
    assumptions = assuming({}, confusion={"router": CONFUSION}, routes=SHARES)
    expected = closed(routing(), assumptions)
    assert expected.agents["l"].calls == pytest.approx(0.6 * 0.9 + 0.4 * 0.2)
    assert expected.agents["m"].calls == pytest.approx(0.6 * 0.1 + 0.4 * 0.7)
    assert expected.agents["d"].calls == pytest.approx(0.4 * 0.1)
    played = runs(routing(), assumptions, n=2_000)
    share = sum(calls for one in played for name, calls, _, _ in one.agents if name == "l") / len(played)
    assert share == pytest.approx(expected.agents["l"].calls, abs=0.03)


def test_a_routers_success_is_confusion_times_specialists_under_the_accuracy_of_its_routing():
    assumptions = assuming({}, confusion={"router": CONFUSION}, routes=SHARES)
    success = 0.6 * 0.9 * 0.95 + 0.4 * (0.7 * 0.95 + 0.2 * 0.2 + 0.1 * 0.5)
    assert closed(routing(), assumptions).right == pytest.approx(success)
    played = runs(routing(), assumptions, n=2_000)
    assert sum(one.right or 0.0 for one in played) / len(played) == pytest.approx(success, abs=0.01)
    [ceiling] = forecast(routing(), [INPUT], n=20, assumptions=assumptions, workers=1).routers
    assert (ceiling.router, ceiling.accuracy) == ("router", pytest.approx(0.6 * 0.9 + 0.4 * 0.7))
    assert ceiling.success == pytest.approx(success)


def test_without_a_confusion_the_classifier_is_right_or_not():
    """A wrong route answers as often as declared for a flawed input."""
    right = {"r": 0.9, "l": 0.8, "m": Step(sound=0.6, flawed=0.1), "d": 1.0}
    assumptions = assuming(right, routes={"router": {"left": 0.5, "right": 0.5}})
    expected = closed(routing(), assumptions)
    assert expected.right == pytest.approx(0.5 * 0.9 * 0.8 + 0.5 * (0.9 * 0.6 + 0.1 * 0.1))
    [ceiling] = forecast(routing(), [INPUT], n=20, assumptions=assumptions, workers=1).routers
    assert (ceiling.accuracy, ceiling.success) == (pytest.approx(0.9), pytest.approx(expected.right))


@pytest.mark.parametrize(
    ("sent", "right", "problem"),
    [
        ({"a": {"a": 0.9}}, {"a": {"a": 1.0}}, "sums to 0.9"),
        ({"a": {"a": 1.2, "b": -0.2}}, {"a": {"a": 1.0}}, "probabilities"),
        ({"a": {"a": 0.9, "b": 0.1}}, {"a": {"a": 1.0}}, "'b' is sent to"),
    ],
)
def test_what_is_no_confusion_is_refused(sent: Any, right: Any, problem: str):
    with pytest.raises(ValueError, match=problem):
        Confusion(sent, right)


def test_a_label_without_a_row_in_the_confusion_is_refused_by_name():
    lacking = Confusion({"left": {"left": 1.0}}, {"left": {"left": 1.0}})
    with pytest.raises(ConfigError, match="'right' is sent"):
        closed(routing(), assuming({}, confusion={"router": lacking}, routes=SHARES))
