"""The short way of a simulated call: what it gives is what the long way gives, to the last digit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from outlay import Agent, RunContext, Tool, node
from outlay.forecast import Assumptions, Expect
from outlay.forecast.assumptions import Beliefs
from outlay.forecast.simulation import Plan, simulate
from outlay.patterns import Debate, Detached, FanOut, Pipeline, Refine, Supervisor, Vote
from outlay.patterns import Plan as SupervisorPlan
from outlay.testing import ScriptedModel
from outlay.values.debate import Judgement

MODEL = ScriptedModel([], name="small", price=(1, 5))
SPARE = ScriptedModel([], name="spare", price=(3, 15))


def agent(name: str, **options: Any) -> Agent[Any]:
    return Agent(name, MODEL, instructions="Do as you are told.", max_output_tokens=400, **options)


def fine(answer: str) -> None:
    """A check that a simulation answers for."""


def look(query: str) -> str:
    """Look it up."""
    raise AssertionError("no tool runs on made-up arguments")


a, b = agent("a"), agent("b")


@node(children=(a, b))
async def first_of_two(ctx: RunContext, text: str) -> str:
    """The loser of the race is in flight when it is over: it is waited for, and paid."""
    async with ctx.race(ctx.run(one, text) for one in (a, b)) as answers:
        async for answer in answers:
            return answer.value if hasattr(answer, "value") else str(answer)
    return ""


@node(children=(a, b))
async def beside_a_timer(ctx: RunContext, text: str) -> str:
    """A call must not pass the time of somebody else's sleep."""
    times: list[float] = []

    async def wakes() -> None:
        for _ in range(20):
            await ctx.sleep(0.1)
            times.append(ctx.now())

    await ctx.gather(wakes(), ctx.run(a, text))
    assert [round(later - before, 6) for before, later in pairwise(times)] == [0.1] * 19
    return await ctx.run(b, text)


FLOWS: list[Any] = [
    Pipeline(agent("p"), agent("q", verify=[fine])),
    agent("t", tools=[Tool("look", look)]),
    agent("f", fallback=[SPARE]),
    agent("h", hedge=2.0),
    FanOut([agent("x"), agent("y"), agent("z")], on_error="raise"),
    Vote(agent("v"), 5),
    Refine(agent("g"), fine, max_rounds=3),
    Debate([agent("p"), agent("q")], agent("j", output_type=Judgement[str]), max_rounds=2),
    Supervisor(agent("planner", output_type=SupervisorPlan), [agent("w"), agent("u")], agent("s")),
    Pipeline(Detached(agent("beside")), agent("main")),
    first_of_two,
    beside_a_timer,
]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
@pytest.mark.parametrize("failure", [0.0, 0.4])
def test_the_short_way_gives_what_the_long_way_gives(flow: Any, failure: float):
    """Dollars, seconds, calls, who made them, the critical path, errors: run for run."""
    given = Assumptions(everyone=Expect(failure=failure))
    short, long = (
        simulate(Plan(flow, ["x" * 80], 25, 0, given, common=True, whole=whole), Beliefs(given), workers=1)
        for whole in (False, True)
    )
    assert short == long


def test_under_a_limit_every_call_goes_the_whole_way():
    """Reservations are what the limit is made of."""
    from outlay import Budget

    flow = Pipeline(agent("p"), agent("q"))
    given = Assumptions()
    limited = simulate(Plan(flow, ["x"], 10, 0, given, (Budget(calls=1),)), Beliefs(given), workers=1)
    assert {(outcome.calls, outcome.reason) for outcome in limited} == {(1, "budget")}
