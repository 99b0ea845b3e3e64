"""The closed form: each pattern's formula, and where there is none."""

from __future__ import annotations

import time
from typing import Any

import pytest

from outlay import Agent, RunContext, Tool, node
from outlay.forecast import Assumptions, Confusion, Expect, Expected, Fixed, NotApplicable, Step, closed_form, forecast
from outlay.forecast.moments import Moments, exponential_maximum, maximum
from outlay.forecast.pattern_forms import samples_asked
from outlay.patterns import Cascade, FanOut, Mesh, Pipeline, Refine, RoundRobin, Router, Supervisor, Vote
from outlay.testing import ScriptedModel
from outlay.values.critique import Critique
from outlay.values.plan import Plan

#: $1 and $5 a million tokens.
MODEL = ScriptedModel([], name="small", price=(1, 5))
SURE = Assumptions(everyone=Expect(output_tokens=100, seconds=2, failure=0))


def agent(name: str = "a", **options: Any) -> Agent[Any]:
    return Agent(name, MODEL, instructions="x" * 400, **options)


def fine(answer: str) -> None:
    """A check that all answers pass."""


def of(flow: Any, assumptions: Assumptions = SURE, input: Any = "y" * 40) -> Expected:
    found = closed_form(flow, input, assumptions)
    assert isinstance(found, Expected), found
    return found


#: 400 + 40 characters are 110 tokens read, and 100 written.
ONE = (110.375 * 1 + 100 * 5) / 1e6


def test_one_call():
    found = of(agent())
    assert found.dollars == pytest.approx(ONE)
    assert (found.calls, found.seconds.mean, found.answers) == (1, 2, 1)


def test_failed_attempts_are_counted_and_not_billed():
    """Three attempts at 0.1: 1.11 in the mean, answered with 0.999."""
    found = of(agent(), Assumptions(everyone=Expect(output_tokens=100, seconds=2, failure=0.1)))
    assert found.calls == pytest.approx(1.11)
    assert found.answers == pytest.approx(0.999)
    assert found.dollars == pytest.approx(ONE * 0.999)


def test_a_fallback_answers_where_all_attempts_failed_at_its_own_price():
    """Half of all attempts fail: an eighth of the calls goes to the fallback, at three times the price."""
    dear = ScriptedModel([], name="dear", price=(3, 15))
    found = of(agent(fallback=[dear]), Assumptions(everyone=Expect(output_tokens=100, seconds=2, failure=0.5)))
    assert found.answers == pytest.approx(1 - 0.125**2)
    assert found.calls == pytest.approx(1.75 * 1.125)
    assert found.dollars == pytest.approx(ONE * (0.875 + 0.125 * 0.875 * 3))


def test_corrections_are_billed_and_read_the_longer_conversation():
    """A refused answer is fed back: half of the time once, a quarter twice, and then it fails."""
    refused = Expect(output_tokens=100, seconds=2, failure=0, refused=0.5)
    found = of(agent(verify=[fine]), Assumptions(everyone=refused))
    longer = (100 * 4 + 94) / 4 / 1e6
    assert found.calls == pytest.approx(1.75)
    assert found.dollars == pytest.approx(1.75 * ONE + (0.5 + 0.25 * 2) * longer)
    assert found.answers == pytest.approx(1 - 0.5**3)


def look(query: str) -> str:
    """Look it up."""
    return query


def test_a_tool_takes_its_time_between_two_calls():
    """Declared for the agent; by default a third of a second, which is listed."""
    tools = [Tool("look", look)]
    known = Assumptions(everyone=Expect(output_tokens=100, seconds=2, failure=0, turns=2, tool_seconds=3))
    assert of(agent(tools=tools), known).seconds.mean == pytest.approx(2 + 3 + 2)
    found = forecast(agent(tools=tools), ["x"], n=20, assumptions=known, workers=1)
    assert (found.seconds.p5, found.seconds.p95) == (pytest.approx(7), pytest.approx(7))
    usual = forecast(agent(tools=tools), ["x"], n=20, workers=1)
    assert ("a tool_seconds", "lognormal, median 0.3, spread 0.5", "default") in {
        (one.about, one.value, one.source) for one in usual.assumed
    }


def test_a_pipeline_adds_up_and_multiplies():
    found = of(Pipeline(agent("a"), agent("b")), Assumptions(everyone=Expect(output_tokens=100, seconds=2, right=0.9)))
    assert found.seconds.mean == pytest.approx(4, rel=0.01)
    assert found.right == pytest.approx(0.81)


def test_a_stage_that_is_not_reached_costs_nothing():
    down = Assumptions(everyone=SURE.everyone, agents={"a": Expect(output_tokens=100, seconds=2, failure=1)})
    found = of(Pipeline(agent("a"), agent("b")), down)
    assert (found.dollars, found.answers) == (0, 0)
    assert found.calls == 3


def test_a_fan_out_costs_the_sum_and_takes_the_longest():
    found = of(FanOut([agent("a"), agent("b"), agent("c")]))
    assert found.dollars == pytest.approx(3 * ONE)
    assert found.seconds.mean == pytest.approx(2)


def test_a_fan_out_over_a_list_runs_its_worker_for_each_item():
    found = of(FanOut(agent(), max_parallel=2), input=["y" * 40] * 5)
    assert found.calls == 5
    assert found.seconds.mean == pytest.approx(6)


def test_a_router_is_its_classifier_and_the_share_of_each_route():
    cheap = Expect(output_tokens=10, seconds=1, failure=0)
    assumptions = Assumptions(
        everyone=SURE.everyone, agents={"r": cheap}, routes={"router": {"left": 0.75, "right": 0.25}}
    )
    flow = Router(agent("r"), {"left": agent("l"), "right": Pipeline(agent("m"), agent("n"))}, default=agent("d"))
    found = of(flow, assumptions)
    assert found.agents["l"].calls == pytest.approx(0.75)
    assert found.agents["n"].calls == pytest.approx(0.25)
    assert found.seconds.mean == pytest.approx(1 + 0.75 * 2 + 0.25 * 4)


def test_a_routers_accuracy_is_the_ceiling_of_its_success():
    confusion = Confusion(
        {"left": {"left": 0.9, "right": 0.1}, "right": {"right": 0.7, "left": 0.3}},
        {"left": {"left": 0.95}, "right": {"right": 0.95}},
    )
    flow = Router(agent("r"), {"left": agent("l"), "right": agent("m")}, default=agent("d"))
    found = of(flow, Assumptions(everyone=SURE.everyone, confusion={"router": confusion}))
    assert found.right == pytest.approx(0.8 * 0.95)


def test_a_vote_stops_early():
    """Of three that always agree two are asked; at 0.8 the third decides where the first two differ."""
    assert samples_asked(3, 1.0) == 2
    assert samples_asked(3, 0.8) == pytest.approx(2 + 2 * 0.8 * 0.2)
    assert of(Vote(agent(), 3), Assumptions(everyone=Expect(failure=0, agreement=1.0))).calls == 2
    assert of(Vote(agent(), 3, early_stop=False)).calls == 3


def test_a_refinement_goes_on_until_its_critic_is_content():
    critic = agent("critic", output_type=Critique)
    content = Assumptions(everyone=SURE.everyone, agents={"critic": Expect(output_tokens=10, accept=0.5, failure=0)})
    found = of(Refine(agent(), critic, max_rounds=3), content)
    assert found.agents["a"].calls == pytest.approx(1.75)
    assert found.agents["critic"].calls == pytest.approx(1.75)
    assert found.clean == pytest.approx(1 - 0.5**3)


def test_a_supervisor_is_plan_work_and_synthesis():
    crew = Supervisor(agent("planner", output_type=Plan), [agent("w"), agent("v")], agent("s"))
    found = of(crew, Assumptions(everyone=SURE.everyone, subtasks=5))
    assert found.agents["w"].calls == 3
    assert found.agents["v"].calls == 2
    assert found.seconds.mean == pytest.approx(6)


def test_an_optional_stage_never_stands_in_the_way():
    down = Assumptions(everyone=SURE.everyone, agents={"a": Expect(failure=1)})
    found = of(Pipeline(agent("a", optional=True), agent("b")), down)
    assert (found.answers, found.clean) == (1, 0)


def test_functions_that_run_nodes_are_refused_by_name():
    @node(children=(agent(),))
    async def again_and_again(ctx: RunContext, text: str) -> str:
        while True:
            text = await ctx.run(agent(), text)

    found = closed_form(Pipeline(agent("b"), again_and_again), "x", SURE)
    assert isinstance(found, NotApplicable)
    assert found.node == "pipeline/again_and_again"
    assert "nobody knows how often" in str(found)


def test_who_works_next_in_a_mesh_is_not_foreseen():
    a, b = agent("a"), agent("b")
    found = closed_form(Mesh({a: [b], b: [a]}, start=a, max_handoffs=3), "x", SURE)
    assert str(found) == "not applicable: mesh, who works next in a Mesh depends on what is said"


def test_a_stop_condition_that_reads_what_is_said_is_refused():
    found = closed_form(RoundRobin([agent()], max_turns=4, stop=lambda turns: bool(turns)), "x", SURE)
    assert isinstance(found, NotApplicable)
    assert found.node == "roundrobin"


def test_the_longest_of_several_exponential_times_is_about_the_harmonic_number():
    """The lognormal with the same two moments is within 6 % of H(5) = 2.28."""
    assert exponential_maximum(5) == pytest.approx(137 / 60)
    assert maximum([Moments(1.0, 1.0)] * 5).mean == pytest.approx(137 / 60, rel=0.06)


def test_fifty_nodes_take_less_than_ten_milliseconds():
    flow: Any = Pipeline(*[FanOut([agent(f"{i}-{j}") for j in range(6)], name=f"f{i}") for i in range(7)])
    closed_form(flow, "x", Assumptions())
    took: list[float] = []
    for _ in range(5):
        started = time.process_time()
        closed_form(flow, "x", Assumptions())
        took.append(time.process_time() - started)
    assert min(took) < 0.010


def test_a_step_and_a_fixed_number_may_be_declared():
    step = Step(sound=0.8, retries=1)
    assert of(agent(), Assumptions(everyone=Expect(output_tokens=Fixed(3), right=step))).right == pytest.approx(0.96)


LARGE = ScriptedModel([], name="large", price=(3, 15))


def test_a_cascade_asks_the_next_model_as_often_as_the_gate_says_no():
    """40 % of the small model's answers are refused: 1.4 calls, and right as often as whoever answered."""
    believed = Assumptions(
        everyone=SURE.everyone,
        agents={"a": Expect(right=0.98, refused=0.0), "a@small": Expect(right=0.9, refused=0.4)},
    )
    one = Agent("a", Cascade([MODEL, LARGE], fine), instructions="x" * 400)
    found = of(one, believed)
    assert found.calls == pytest.approx(1.4)
    assert found.dollars == pytest.approx(ONE * (1 + 0.4 * 3))
    assert found.right == pytest.approx(0.6 * 0.9 + 0.4 * 0.98)
    assert (found.answers, found.clean) == (1, 1)


def test_what_the_last_tier_is_refused_for_is_taken_or_corrected():
    """Without checks of its own an agent takes it, degraded; with the gate among its checks it corrects it, twice."""
    believed = Assumptions(everyone=Expect(output_tokens=100, seconds=2, failure=0, refused=0.5))
    taken = of(Agent("a", Cascade([MODEL, LARGE], fine)), believed)
    assert (taken.calls, taken.answers, taken.clean) == (pytest.approx(1.5), 1, pytest.approx(0.75))
    corrected = of(Agent("a", Cascade([MODEL, LARGE], fine), verify=[fine]), believed)
    assert corrected.calls == pytest.approx(1.5 + 0.25 + 0.125)
    assert corrected.answers == pytest.approx(1 - 0.25 * 0.25)


def test_a_cascade_of_nodes_by_what_its_gate_accepts():
    believed = Assumptions(everyone=SURE.everyone, agents={"cascade": Expect(accept=0.7)})
    dear = Agent("b", LARGE, instructions="x" * 400)
    found = of(Cascade([agent("a"), dear], fine, attempts=2), believed)
    assert found.agents["a"].calls == pytest.approx(1.3)
    assert found.agents["b"].calls == pytest.approx(0.09 + 0.027)
    assert found.clean == pytest.approx(1 - 0.3**4)


def says(request: Any) -> str:
    return "an answer"


def test_a_gate_that_decides_by_the_answer_has_no_closed_form():
    own = Agent("a", Cascade([MODEL, LARGE], fine), offline=says)
    found = closed_form(own, "x")
    assert isinstance(found, NotApplicable)
    assert "stand-in" in found.reason
    declared = Assumptions(agents={"a": Expect(refused=0.1)})
    assert isinstance(closed_form(own, "x", declared), Expected)


@pytest.mark.parametrize(
    ("flow", "accept", "reason"),
    [
        (Refine(agent(), fine, max_rounds=10**9, name="loop"), 0.0, "may go round 1,000,000,000 times"),
        (RoundRobin([agent("a"), agent("b")], max_turns=10**9, name="loop"), 0.5, "may go round 1,000,000,000 times"),
        (Vote(agent(), 100_001, name="loop"), 0.5, "100,001 samples"),
    ],
)
def test_a_cap_that_caps_nothing_has_no_closed_form(flow: Any, accept: float, reason: str):
    found = closed_form(flow, "x", Assumptions(everyone=SURE.everyone, agents={"loop": Expect(accept=accept)}))
    assert isinstance(found, NotApplicable)
    assert found.node == "loop"
    assert reason in found.reason


def test_a_loop_that_is_as_good_as_over_is_not_followed_to_its_cap():
    half = Assumptions(everyone=SURE.everyone, agents={"loop": Expect(accept=0.5)})
    few, many = (of(Refine(agent(), fine, max_rounds=n, name="loop"), half) for n in (100, 10**9))
    assert many.dollars == pytest.approx(few.dollars, rel=1e-9)
    assert many.calls == pytest.approx(2)
