"""`models=` with a name that nothing bears: refused before the real model is asked in its place."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from outlay import Agent, RunContext, Tool, Watchdog, node, run, run_many, run_sync, stream
from outlay.errors import ConfigError
from outlay.evals import Case, Dataset, Terms, compare_sync
from outlay.patterns import Cascade, FanOut, Pipeline, Router
from outlay.patterns.pattern import Pattern
from outlay.testing import ScriptedModel

HAIKU, SONNET = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"


def say(text: str = "ok") -> ScriptedModel:
    return ScriptedModel(lambda request: text)


def flow() -> Any:
    return Pipeline(Agent("draft", HAIKU), Agent("reply", SONNET), name="desk")


def refused(root: Any, models: Any, **options: Any) -> str:
    """No key is set here: the slip is said before the key that it asks for is missed."""
    with pytest.raises(ConfigError) as caught:
        run_sync(root, "x", models=models, **options)
    return str(caught.value)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────


def test_a_mistyped_agent_is_refused_with_the_one_that_was_meant() -> None:
    said = refused(flow(), {"draft": say(), "replly": say()})
    assert "models= replaces 'replly', and no agent or model of desk is called so" in said
    assert "next: did you mean 'reply'? its agents are draft, reply" in said


def test_a_mistyped_model_too() -> None:
    assert f"did you mean {SONNET!r}?" in refused(flow(), {HAIKU: say(), "anthropic:claude-sonet-4-6": say()})


def test_a_name_like_no_other_is_refused_while_an_agent_would_ask_its_real_model() -> None:
    said = refused(flow(), {"draft": say(), "editor": say()})
    assert "models= replaces 'editor'" in said
    assert "did you mean" not in said
    assert "its agents are draft, reply" in said


def test_a_star_does_not_hide_a_slip() -> None:
    """Else the test passes with another model than the one that it was written for."""
    assert "did you mean 'reply'?" in refused(flow(), {"replly": say(), "*": say()})


def test_an_agent_for_a_key_is_told_how_it_is_written() -> None:
    agent = Agent("reply", SONNET)
    assert "write models={'reply': …}" in refused(agent, {agent: say()})


def test_every_way_to_run_a_flow_refuses_it_alike() -> None:
    models: Any = {"replly": say()}

    async def many() -> None:
        async for _ in run_many(flow(), [(1, "x")], models=models):
            pass

    async def streamed() -> None:
        async with stream(flow(), "x", models=models):
            pass

    for way in (many, streamed, lambda: run(flow(), "x", models=models)):
        with pytest.raises(ConfigError, match="replly"):
            asyncio.run(way())  # pyright: ignore[reportArgumentType]


# ── what is not ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "models",
    [
        {"draft": "a", "reply": "b"},
        {HAIKU: "a", SONNET: "b"},
        {"draft": "a", SONNET: "b"},
        {"reply": "b", "*": "a"},
        {"*": "a"},
        {"draft": "a", "reply": "b", HAIKU: "c", "*": "d"},
    ],
    ids=str,
)
def test_names_of_agents_and_models_and_the_star_are_good(models: dict[str, str]) -> None:
    assert run_sync(flow(), "x", models={key: say(text) for key, text in models.items()}).unwrap()


def test_what_is_left_over_is_no_error_where_nothing_real_is_asked() -> None:
    """One mapping for all flows of a test file."""
    shared = {"draft": say(), "reply": say(), "editor": say(), "openai:gpt-5": say()}
    assert run_sync(Agent("reply", SONNET), "x", models=shared).unwrap() == "ok"
    assert run_sync(Agent("other", SONNET), "x", models={**shared, "*": say("star")}).unwrap() == "star"
    assert run_sync(Agent("clerk", say("own")), "x", models=shared).unwrap() == "own"


def passes(answer: str) -> None:
    return None


def test_models_of_a_cascade_and_of_fallbacks_can_be_named() -> None:
    agent = Agent("reply", Cascade([HAIKU, SONNET], passes), fallback=["openai:gpt-5"])
    models = {HAIKU: say("cheap"), SONNET: say(), "openai:gpt-5": say()}
    assert run_sync(agent, "x", models=models).unwrap() == "cheap"


def test_an_agent_that_is_a_tool_can_be_named() -> None:
    boss = Agent("boss", HAIKU, tools=[Agent("helper", SONNET, description="Helps.")])
    assert run_sync(boss, "x", models={"boss": say(), "helper": say()}).unwrap() == "ok"
    assert "did you mean 'helper'?" in refused(boss, {"boss": say(), "helpr": say()})


def test_a_watchdogs_second_opinion_can_be_named() -> None:
    models = {"draft": say(), "reply": say(), "watchdog": say(), "openai:gpt-5": say()}
    dog = Watchdog(opinion="openai:gpt-5")
    assert run_sync(flow(), "x", models={**models, "x": say()}, watchdog=dog).unwrap() == "ok"
    alone = {"watchdog": say(), "openai:gpt-5": say(), "reply": say()}
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):  # of draft, and not of a name
        run_sync(flow(), "x", models=alone, watchdog=dog)


# ── flows that are only known while they run ──────────────────────────────────────────────────────────────


@node
async def hires(ctx: RunContext, text: str) -> str:
    return await ctx.run(Agent("late", HAIKU), text)


@node(children=(Agent("late", HAIKU),))
async def declares(ctx: RunContext, text: str) -> str:
    return text


@node
async def reads(ctx: RunContext, text: str) -> str:
    return f"{ctx.run_id and ''}{text} by {ctx.path}"


async def hands_it_on(ctx: RunContext, text: str) -> str:
    return await _helper(ctx, text)


async def _helper(ctx: RunContext, text: str) -> str:
    return await ctx.run(Agent("late", HAIKU), text)


async def asks(ctx: RunContext, question: str) -> str:
    """Ask somebody."""
    return await ctx.run(Agent("late", HAIKU), question)


async def briefs(ctx: RunContext) -> str:
    return await ctx.run(Agent("late", HAIKU), "brief me")


async def splits(ctx: RunContext, text: str) -> list[str]:
    return [await ctx.run(Agent("late", HAIKU), text)]


async def minds(ctx: RunContext, text: str) -> str | None:
    await ctx.run(Agent("late", HAIKU), text)
    return None


def looks(ctx: RunContext, question: str) -> str:
    """Look it up."""
    return str(ctx.deps) + question


@dataclass(frozen=True, eq=False)
class Mine(Pattern[str, str]):
    """A pattern of one's own that says nothing of what it runs."""

    async def run(self, ctx: RunContext[Any], input: str) -> str:
        return await ctx.run(Agent("late", HAIKU), input)


@dataclass(frozen=True, eq=False)
class Said(Mine):
    """The same, and says it."""

    @property
    def children(self) -> tuple[Any, ...]:
        return (Agent("late", HAIKU),)


OPEN: dict[str, Any] = {
    "a node without children": hires,
    "a function that hands its context on": hands_it_on,
    "a pattern without children": Mine(),
    "a tool": Agent("boss", say(), tools=[asks]),
    "instructions": Agent("boss", say(), instructions=briefs),
    "a checker": Agent("boss", say(), verify=[minds]),
    "a split": FanOut(Agent("boss", say()), split=splits),
    "a gate": Agent("boss", Cascade([say(), say()], minds)),
}


@pytest.mark.parametrize("part", OPEN.values(), ids=OPEN.keys())
def test_what_may_run_agents_that_nobody_knows_keeps_every_name_open(part: Any) -> None:
    """`late` is met while the flow runs, or never: nothing is refused (that would be raised)."""
    root = Pipeline(part, Agent("reply", say()), name="desk")
    result = run_sync(root, "x", models={"late": say("late"), "repyl": say()})
    assert result.bill.lines


def plain(text: str) -> str:
    return text


CLOSED: dict[str, Any] = {
    "a node with children": declares,
    "a node that only reads its context": reads,
    "a pattern with children": Said(),
    "a tool that only reads": Agent("boss", say(), tools=[Tool("looks", looks)]),
    "a function without a context": plain,
}


@pytest.mark.parametrize("part", CLOSED.values(), ids=CLOSED.keys())
def test_what_is_known_to_run_nothing_else_does_not(part: Any) -> None:
    assert "'lat'" in refused(Pipeline(part, Agent("reply", HAIKU), name="desk"), {"lat": say(), "late": say()})


def test_the_router_of_the_contract_is_known_whole() -> None:
    """Its human only reads `ctx.route`."""

    async def to_human(ctx: RunContext, message: str) -> str:
        return f"to a human: {ctx.route.reason}"

    desk = Router(Agent("router", HAIKU), {"billing": Agent("reply", SONNET)}, default=to_human, name="desk")
    assert "did you mean 'reply'?" in refused(desk, {"router": say("billing"), "replly": say()})


# ── several flows ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_comparison_takes_the_names_of_both_sides_and_the_judge() -> None:
    """A slip is one that neither side knows."""
    one, two = Agent("single", HAIKU), Pipeline(Agent("plan", HAIKU), Agent("write", SONNET), name="team")
    cases = Dataset([Case("1", "x", "ok")])
    models = {"single": say(), "plan": say(), "write": say()}
    found = compare_sync(one, two, cases, Terms(["exact"], models=models))
    assert [side.name for side in (found.a, found.b)] == ["single", "team"]
    with pytest.raises(ConfigError, match="did you mean 'write'"):
        compare_sync(one, two, cases, Terms(["exact"], models={"single": say(), "plan": say(), "wrte": say()}))
