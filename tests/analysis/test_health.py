"""How agents, tools and providers fared, counted over what runs left: each figure against what really happened."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from outlay import Agent, Breaker, Budget, Tool, Usage, Watchdog, run
from outlay.analysis.health import KINDS, Health, health
from outlay.errors import BadRequest, Overloaded
from outlay.events import Event, decode
from outlay.events.codec import kind_of
from outlay.patterns import Cascade, FanOut
from outlay.sim import VirtualLoop
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


def of_runs(*flows: Any, **options: Any) -> Health:
    """The health of runs of these flows, as their store has them."""
    options.setdefault("on_alert", lambda _: None)

    async def main() -> list[Event]:
        store = MemoryStore()
        for flow in flows:
            await run(flow, "hi", store=store, **options)
        return [decode(row.body) for row in await store.events(None, KINDS)]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return health(runner.run(main()))


def test_calls_errors_retries_and_latency_of_agents_models_and_providers() -> None:
    """Two that fail and are tried again, one that is refused for good, and four answers of 1, 2, 3 and 4 seconds."""
    plan = [
        (1, "ok"),
        (0, Overloaded("busy")),
        (2, "ok"),
        (0, BadRequest("no")),
        (3, "ok"),
        (0, Overloaded("busy")),
        (4, "ok"),
    ]
    left = iter(plan)

    async def answer(request: Any) -> Any:
        seconds, what = next(left)
        await asyncio.sleep(seconds)
        return what

    model = ScriptedModel(answer, name="anthropic:small", price=(1, 1))
    found = of_runs(*[Agent("a", model)] * 5)
    (agent,), (provider,), (small,) = found.agents, found.providers, found.models
    for one in (agent, provider, small):
        assert (one.calls, one.failed, one.retries) == (7, 3, 2)
        assert one.errors == Counter({"Overloaded": 2, "BadRequest": 1})
        assert (one.latency(50), one.latency(95)) == pytest.approx((2, 4))
    assert (agent.name, provider.name, small.name) == ("a", "anthropic", "anthropic:small")
    assert found.runs == Counter({"completed": 4, "error": 1})


def test_answers_that_a_check_sent_back() -> None:
    def short(output: str) -> str | None:
        return None if output == "ok" else "too long"

    agent = Agent("a", ScriptedModel(["no", "no", "ok"]), verify=[short])
    (one,) = of_runs(agent).agents
    assert (one.calls, one.corrections) == (3, 2)


def test_tools_and_what_their_breaker_turned_away() -> None:
    async def find(what: str) -> str:
        """Find it."""
        await asyncio.sleep(2)
        raise ConnectionError("refused")

    def answer(request: Any) -> Any:
        done = sum(message.role == "tool" for message in request.messages)
        return "done" if done == 4 else Reply("", tool_calls=[("find", {"what": str(done)})])

    tool = Tool("find", find, breaker=Breaker(failures=2), when_down="unknown")
    (one,) = of_runs(Agent("a", ScriptedModel(answer), tools=[tool], max_turns=9)).tools
    assert (one.calls, one.errors, one.opened, one.refused) == (4, Counter({"ConnectionError": 2}), 1, 2)


def test_a_provider_whose_circuit_opened() -> None:
    model = ScriptedModel(lambda _: Overloaded("busy"), name="p:m", latency=1)
    crew = FanOut(Agent("a", model), split=lambda _: list("abcdefghijklmno"), min_success=0, max_parallel=2)
    (provider,) = of_runs(crew).providers
    assert provider.opened == 1


def test_what_was_read_from_the_prompt_cache_is_a_share_of_all_input() -> None:
    usage = [Usage(input_tokens=100, cache_write_tokens=300), Usage(input_tokens=100, cache_read_tokens=500)]
    replies = iter(usage)
    agent = Agent("a", ScriptedModel(lambda _: Reply("ok", usage=next(replies)), price=(1, 1)))
    (one,) = of_runs(agent, agent).agents
    assert one.cache_hit == 0.5


def test_how_much_a_cascade_sent_to_the_top() -> None:
    def gate(output: str) -> str | None:
        return None if output == "fine" else "unsure"

    replies = iter(["fine", "hm", "fine", "hm"])
    cheap = ScriptedModel(lambda _: next(replies), name="cheap", price=(1, 1))
    strong = ScriptedModel(lambda _: "fine", name="strong", price=(9, 9))
    agent = Agent("a", Cascade([cheap, strong], gate))
    found = of_runs(FanOut(agent, split=lambda _: list("abcd"), max_parallel=1))
    assert [(one.name, one.escalated) for one in found.agents] == [("a", 0.5)]


def test_runs_by_how_they_ended_and_what_their_watchdogs_found() -> None:
    answer = ScriptedModel(lambda _: Reply("ok", usage=Usage(output_tokens=100)), name="m", price=(0, 100))
    agent = Agent("a", answer, max_output_tokens=100)
    found = of_runs(
        agent,
        FanOut(agent, split=lambda _: list("abc"), max_parallel=1),
        budget=Budget(usd="0.02"),
        watchdog=Watchdog(usd="0.005", factor=2),
    )
    assert found.runs == Counter({"completed": 1, "budget": 1})
    assert found.watchdog == Counter({"forecast": 3})


def test_of_nothing_there_is_nothing_to_say() -> None:
    found = health([])
    assert (found.runs.total(), found.agents, found.tools, found.providers) == (0, (), (), ())


def test_every_kind_that_is_folded_is_read() -> None:
    """What the command does not read from the store it could not count."""

    async def main() -> tuple[Health, Health]:
        store = MemoryStore()
        failing = Agent(
            "a", ScriptedModel([Overloaded("busy"), "no", "ok"]), verify=[lambda o: None if o == "ok" else "no"]
        )
        await run(failing, "hi", store=store)
        rows = await store.events(None)
        events = [decode(row.body) for row in rows]
        return health(events), health(event for event in events if kind_of(event) in KINDS)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        everything, read = runner.run(main())
    assert everything == read
