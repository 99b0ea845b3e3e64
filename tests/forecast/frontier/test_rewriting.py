"""A flow with changed arguments: what is made anew, what stays, and what functions then run."""

from __future__ import annotations

from typing import Any

import pytest

from outlay import Agent, RunContext, node, run_sync
from outlay.errors import ConfigError
from outlay.forecast.frontier.rewriting import rewritten
from outlay.patterns import (
    Blackboard,
    Critique,
    FanOut,
    Mesh,
    Pipeline,
    Plan,
    Refine,
    Router,
    Specialist,
    Supervisor,
    Vote,
)
from outlay.runtime.preflight import walk
from outlay.testing import ScriptedModel


def says(text: str) -> ScriptedModel:
    return ScriptedModel(lambda _: text, name=text)


def agent(name: str, **options: Any) -> Agent[Any]:
    return Agent(name, says("old"), **options)


def named(root: Any, name: str) -> Any:
    return next(one for one in walk(root) if one.name == name)


NEW = says("new")
CHANGED = {"a": {"model": NEW}}


def test_nothing_changed_is_the_same_flow():
    flow = Pipeline(agent("a"), FanOut([agent("b"), agent("c")]))
    assert rewritten(flow, {}) is flow


@pytest.mark.parametrize(
    "flow",
    [
        agent("a"),
        Pipeline(agent("a"), agent("b")),
        FanOut([agent("a"), agent("b")]),
        FanOut(agent("a")),
        Router(agent("r"), {"x": agent("a")}, default=agent("d")),
        Supervisor(
            agent("p", output_type=Plan), [agent("a", description="A"), agent("b", description="B")], agent("s")
        ),
        Refine(agent("g"), [agent("a", output_type=Critique)]),
        Vote(agent("a"), 3),
        Blackboard([Specialist(agent("a"), ["input"], ["x"])], {"x": str}, lambda board: "x" in board, 3),
        agent("b", tools=[agent("a", description="Helps.")]),
    ],
    ids=lambda flow: flow.type,
)
def test_an_agent_is_changed_wherever_it_stands(flow: Any):
    changed = rewritten(flow, CHANGED)
    assert named(changed, "a").model is NEW
    assert named(flow, "a").model is not NEW
    others = [one for one in walk(flow) if isinstance(one, Agent) and one.name not in ("a", "p", flow.name)]
    assert all(named(changed, one.name) is one for one in others)


def test_a_mesh_is_changed_with_who_may_hand_to_whom():
    a, b = agent("a", description="x"), agent("b", description="y")
    changed = rewritten(Mesh({a: [b], b: [a]}, a, max_handoffs=2), CHANGED)
    assert isinstance(changed, Mesh)
    assert changed.start.name == "a"
    assert changed.start is named(changed, "a")
    assert [peer.name for peer in changed.agents[changed.start]] == ["b"]


def test_what_stands_in_two_places_still_is_one_node():
    a = agent("a")
    changed = rewritten(Router(agent("r"), {"x": a, "y": Pipeline(a, agent("b"))}, default=a), CHANGED)
    assert isinstance(changed, Router)
    assert changed.routes["x"] is changed.default
    assert changed.routes["y"].children[0] is changed.default


def test_a_function_runs_the_changed_node():
    """Its code knows the old one: `ctx.run(a, …)`."""
    a = agent("a")

    @node(children=(a,))
    async def ask(ctx: RunContext, text: str) -> str:
        return f"{await ctx.run(a, text)}, {ctx.path}"

    assert run_sync(rewritten(Pipeline(ask), CHANGED), "x").unwrap() == "new, pipeline/ask"
    assert run_sync(Pipeline(ask), "x").unwrap() == "old, pipeline/ask"


def test_a_stage_is_left_out():
    flow = Pipeline(agent("a"), agent("b"), agent("c"))
    assert [stage.name for stage in rewritten(flow, {}, {"b"}).children] == ["a", "c"]
    with pytest.raises(ConfigError, match="nothing is left"):
        rewritten(flow, {}, {"a", "b", "c"})


def test_a_function_among_its_own_children_is_no_endless_descent():
    found: list[Any] = []

    @node
    async def f(ctx: RunContext, text: str) -> str:
        return text

    again = f.replace(nodes=(agent("a"),))
    object.__setattr__(again, "nodes", (*again.nodes, again))
    found.append(rewritten(again, CHANGED))
    assert named(found[0], "a").model is NEW
