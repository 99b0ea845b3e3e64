"""Ten points before production, of each a flow that holds it, one that does not, and one of which nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from outlay import Agent, Budget, node, tool
from outlay.advice import POINTS, Evidence, Survey, checklist
from outlay.evals import Checked, Comparison, Measured, Setup, Side
from outlay.patterns import Cascade, Critique, Detached, FanOut, Gate, Pipeline, Plan, Refine, Router, Supervisor, Vote
from outlay.protocols.node import Node

HAIKU, SONNET, GPT = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6", "openai:gpt-5.4"
Flow = Node[Any, Any]


class Facts(BaseModel):
    names: list[Literal["a", "b"]]
    sure: bool


class Prose(BaseModel):
    text: str


def short(text: str) -> str | None:
    return "too long" if len(text) > 400 else None


def agent(name: str = "a", **more: Any) -> Agent[Any]:
    return Agent(name, HAIKU, instructions=f"You are {name}.", **more)


@tool
def search(query: str) -> str:
    """Search."""
    return query


@tool(timeout=None)
def wait(query: str) -> str:
    """Wait."""
    return query


@tool(side_effect=True)
def mail(to: str, text: str) -> str:
    """Send a mail."""
    return to


@tool(side_effect=True, requires_approval=True)
def approved_mail(to: str, text: str) -> str:
    """Send a mail."""
    return to


@tool(side_effect=True)
def refund(amount: Literal[10, 20], at_once: bool, share: float | None = None) -> str:
    """Refund."""
    return str(amount)


@node
async def forever(ctx: Any, task: str) -> str:
    while True:
        task = await ctx.run(agent("worker"), task)


@node
async def hands_on(ctx: Any, task: str) -> str:
    return await _elsewhere(ctx, task)


async def _elsewhere(ctx: Any, task: str) -> str:
    return await ctx.run(agent("worker"), task)


@node
async def looks_up(ctx: Any, task: str) -> str:
    return _state_of(ctx) + task


def _state_of(ctx: Any) -> str:
    return str(ctx.state)


@node(children=[agent("worker")])
async def declared(ctx: Any, task: str) -> str:
    return await ctx.run(agent("worker"), task)


@node(children=[agent("worker", fallback=[GPT], verify=[short])])
async def declared_well(ctx: Any, task: str) -> str:
    return await ctx.run(agent("worker"), task)


@node
async def to_human(ctx: Any, message: str) -> str:
    return message


def runs(limited: int = 0, timed: int = 0) -> dict[str, Any]:
    return {"evidence": Evidence(runs=10, recent=10, limited=limited, timed=timed)}


def compared(single: list[bool], crew: list[bool], *, factor: int = 4) -> dict[str, Any]:
    def side(name: str, agents: int, outcomes: list[bool], cost: Decimal) -> Side:
        cases = [
            Measured(
                f"c{i}",
                f"r{i}",
                "completed",
                answered=True,
                checks=(Checked("exact", None if ok else "no"),),
                cost=cost,
            )
            for i, ok in enumerate(outcomes)
        ]
        return Side(name, agents, tuple(cases))

    one, other = side("single", 1, single, Decimal("0.01")), side("crew", 3, crew, factor * Decimal("0.01"))
    return {"evidence": Evidence(runs=10, compared=Comparison(one, other, Setup("cases", ("exact",))))}


def crew(**more: Any) -> Flow:
    return Pipeline(agent("a"), agent("b"), name="crew", **more)


def desk(**more: Any) -> Flow:
    return Router(agent("look", output_type=Literal["x"]), {"x": agent("a")}, default=to_human, **more)


def review(critic: Any) -> Flow:
    return Refine(agent("writer"), critic)


#: By point: (flow, what is known beside it) that holds it, that does not, of which it cannot be known.
HOLDS: Mapping[str, list[Any]] = {
    "caps": [crew(), forever.replace(budget=Budget(calls=9)), agent()],
    "budget": [
        crew(budget=Budget(usd=1)),
        crew(budget=Budget(calls=9)),
        Pipeline(agent("a", budget=Budget(usd=1)), agent("b", budget=Budget(tokens=900))),
        (crew(), runs(limited=10)),
    ],
    "time-outs": [crew(budget=Budget(seconds=60)), (crew(), runs(timed=10)), (agent(tools=[search]), runs(timed=10))],
    "fallback": [
        agent(fallback=[GPT]),
        desk(),
        FanOut([agent("a"), Agent("b", GPT)]),
        agent(optional=True),
        Cascade([agent("a"), Agent("b", GPT)], short),
        Pipeline(to_human, Detached(agent())),
        declared_well,
        looks_up,
        Router(agent("look", output_type=Literal["x"]), {"x": declared}, default=to_human),
        Refine(agent(fallback=[GPT]), [short, agent("critic", output_type=Critique)]),
    ],
    "typed-handoffs": [
        Pipeline(agent("a", output_type=Facts), agent("b")),
        Supervisor(agent("plan", output_type=Plan), [agent("a", output_type=list[Facts])], agent("sum")),
        desk(),
        Pipeline(agent("a"), to_human),
    ],
    "checkers": [
        agent(verify=[short]),
        agent(output_type=Facts),
        crew().replace(stages=(agent("a"), agent("b", verify=[short]))),
        Pipeline(agent("a"), Gate(short)),
        review(short),
        Pipeline(agent("a"), to_human),
        Agent("a", Cascade([HAIKU, GPT], short)),
    ],
    "trace-and-alerts": [(crew(), {**runs(), "webhook": True})],
    "allow-lists": [agent(), agent(tools=[search]), agent(tools=[approved_mail]), agent(tools=[refund])],
    "resumable": [(crew(), runs())],
    "baseline": [agent(), (crew(), compared([False] * 12, [True] * 12))],
}
FAILS: Mapping[str, list[Any]] = {
    "caps": [forever, Pipeline(agent(), forever)],
    "budget": [(crew(), runs(limited=9))],
    "time-outs": [agent(tools=[wait]), (crew(), runs(timed=0))],
    "fallback": [
        agent(),
        crew(),
        desk(on_error="raise"),
        FanOut(agent()),
        Vote(agent(), n=3),
        agent(fallback=[SONNET]),
        FanOut([agent("a"), Agent("b", GPT)], merge=agent("sum")),
        Agent("a", Cascade([HAIKU, GPT], short)),
    ],
    "typed-handoffs": [crew(), Pipeline(crew(), agent("c")), FanOut(agent(), merge=agent("sum"))],
    "checkers": [agent(), agent(output_type=Prose), crew(), desk(), review(agent("critic", output_type=Critique))],
    "trace-and-alerts": [],
    "allow-lists": [agent(tools=[mail]), Pipeline(agent("a"), agent("b", tools=[search, mail]))],
    "resumable": [],
    "baseline": [(crew(), compared([True] * 12, [True] * 12))],
}
NOT_KNOWN: Mapping[str, list[Any]] = {
    "caps": [],
    "budget": [crew(), Pipeline(agent("a", budget=Budget(usd=1)), agent("b"))],
    "time-outs": [crew()],
    "fallback": [forever, hands_on, declared, Pipeline(agent(fallback=[GPT]), forever)],
    "typed-handoffs": [forever, hands_on],
    "checkers": [forever, hands_on],
    "trace-and-alerts": [crew(), (crew(), runs()), (crew(), {"webhook": True})],
    "allow-lists": [forever, hands_on],
    "resumable": [crew()],
    "baseline": [crew(), (crew(), runs()), forever, hands_on],
}


def _state(point: str, given: Any) -> str:
    flow, known = given if isinstance(given, tuple) else (given, {})
    return next(one.state for one in checklist(Survey(flow, **known)) if one.id == point)


@pytest.mark.parametrize("point", [point.id for point in POINTS])
def test_each_point_holds_or_does_not_or_is_not_known(point: str):
    """By the flow and what stored runs say, and nothing else."""
    for wanted, table in (("pass", HOLDS), ("fail", FAILS), ("not known", NOT_KNOWN)):
        assert [_state(point, given) for given in table[point]] == [wanted] * len(table[point])


def test_there_are_ten():
    """In an order that stays."""
    assert [point.id for point in POINTS] == [
        "caps",
        "budget",
        "time-outs",
        "fallback",
        "typed-handoffs",
        "checkers",
        "trace-and-alerts",
        "allow-lists",
        "resumable",
        "baseline",
    ]


@pytest.mark.parametrize("flow", [crew(), agent(), desk(), forever], ids=["crew", "agent", "desk", "forever"])
def test_whatever_does_not_hold_comes_with_the_line_to_change(flow: Flow):
    """And what holds, without one."""
    for one in checklist(Survey(flow)):
        assert bool(one.change) == (one.state != "pass")
        assert one.text


def test_you_may_vouch_for_what_cannot_be_known_and_for_nothing_else():
    """A point that does not hold stays so."""
    said = {one.id: one for one in checklist(Survey(crew()), vouched={"trace-and-alerts", "fallback"})}
    assert (said["trace-and-alerts"].state, said["trace-and-alerts"].text) == ("pass", "you say so")
    assert said["fallback"].state == "fail"


@pytest.mark.parametrize(
    ("limited", "recent", "said"),
    [
        (1, 1, "the newest run had a limit"),
        (0, 1, "the newest run had no limit"),
        (9, 9, "each of the newest 9 runs had a limit"),
        (7, 9, "2 of the newest 9 runs had no limit"),
        (0, 9, "each of the newest 9 runs had no limit"),
    ],
)
def test_how_many_of_the_newest_runs(limited: int, recent: int, said: str):
    """As people would say it."""
    known = Evidence(runs=recent, recent=recent, limited=limited)
    assert next(one.text for one in checklist(Survey(crew(), evidence=known)) if one.id == "budget") == said


def test_a_baseline_that_wins_is_told_with_its_figures():
    """The point is lost where the single agent is the one to ship."""
    (lost,) = [one for one in checklist(Survey(crew(), **compared([True] * 12, [True] * 12))) if one.id == "baseline"]
    assert lost.text.startswith("measured, and it loses. Ship the single agent, single")
    assert lost.change == "ship single"
