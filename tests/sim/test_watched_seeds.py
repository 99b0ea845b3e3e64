"""Watchdogs, hedges and breakers of tools under faults, crashes, stalls and rivals: every law still holds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from outlay import Agent, Breaker, Budget, RunContext, Tool, Watchdog, node
from outlay.patterns import FanOut, Refine
from outlay.sim.schedule import Outcome, simulate
from outlay.testing import Reply, ScriptedModel

#: A hundred and fifty of each were played by hand; these keep it so.
SEEDS = range(6)


def look(query: str) -> str:
    """Look it up; it is down for every third question."""
    if query.endswith("2"):
        raise ConnectionError("refused")
    return f"nothing about {query}"


def searching(**options: Any) -> Agent[str]:
    """An agent that looks the same up again and again, and then answers."""

    def answer(request: Any) -> Any:
        looked = sum(message.role == "tool" for message in request.messages)
        if looked == 4:
            return "found"
        return Reply("", tool_calls=[("look", {"query": f"page {looked % 3}"})])

    tool = Tool("look", look, concurrency=2, breaker=Breaker(failures=3), when_down="down")
    return Agent("scout", ScriptedModel(answer, price=(1, 1)), tools=[tool], max_turns=9, **options)


def crew() -> Any:
    @node
    async def report(ctx: RunContext, found: list[str]) -> str:
        return f"{len(found)} found"

    return FanOut(searching(hedge=0.5), split=lambda _: list("abc"), min_success=0, merge=report)


def played(flow: Any, **options: Any) -> list[Outcome]:
    outcomes = [simulate(seed, flow(), **options) for seed in SEEDS]
    broken = {outcome.seed: outcome.violations for outcome in outcomes if outcome.violations}
    assert broken == {}
    return outcomes


@pytest.mark.parametrize("then", ["warn", "pause", "stop"])
def test_every_law_holds_of_watched_runs(then: Any) -> None:
    dog = Watchdog(same_call=2, no_progress=3, retries=5, usd="0.0001", factor=2, then=then)
    ends = Counter(outcome.stop_reason for outcome in played(crew, watchdog=dog))
    assert ends["watchdog"] >= (1 if then == "stop" else 0)
    assert sum(ends.values()) == len(SEEDS)


def test_every_law_holds_of_hedged_calls_within_a_budget() -> None:
    played(crew, budget=Budget(usd="0.05"))


def test_hedges_happen_in_these_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that never met its case proves nothing: a hedge that is not said to be one is an unlabelled duplicate."""
    monkeypatch.setattr("outlay.runtime.hedge.HedgedCall._say", lambda *_, **__: None)
    found = [problem for seed in SEEDS for problem in simulate(seed, crew()).violations]
    assert any("was sent again" in problem for problem in found)


def test_a_watched_seed_gives_the_same_events_each_time() -> None:
    dog = Watchdog(same_call=2, then="pause")
    assert [simulate(seed, crew(), watchdog=dog) for seed in range(3)] == [
        simulate(seed, crew(), watchdog=dog) for seed in range(3)
    ]


def test_a_refine_that_is_stopped_keeps_its_laws() -> None:
    def never(text: str) -> str:
        return "not yet"

    def flow() -> Any:
        writer = Agent("writer", ScriptedModel(lambda _: "draft", price=(1, 1)), hedge=0.3)
        return Refine(writer, never, max_rounds=5)

    played(flow, watchdog=Watchdog(retries=3, usd="0.0001", factor=1, then="stop"))
