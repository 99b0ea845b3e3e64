"""Compaction in real requests: over the emulator, with its prompt cache and the list prices."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from cache_support import dollars, emulated, text_of

from outlay import Agent, Budget, Compaction, run, run_sync
from outlay.agents.checkpoint import ASKS
from outlay.emulator import EmulatedReply, ToolCall
from outlay.events import Decision
from outlay.events.records import CallFinished
from outlay.stores.memory import MemoryStore

SONNET = "anthropic:claude-sonnet-4-6"
NOTES = {"summary": text_of(200), "open_tasks": ["find it"], "paths": [], "errors": [], "decisions": []}


def look(page: int) -> str:
    """Read a page."""
    return text_of(600, f"page {page}")


def session(monkeypatch: Any, turns: int, compaction: Compaction | None, model: str = SONNET) -> tuple[Any, Any]:
    """So many turns of an agent that reads pages; the result, and the provider's own books."""
    taken = 0

    def behave(request: Any) -> EmulatedReply:
        nonlocal taken
        if ASKS in request.messages[-1].text:
            return EmulatedReply(json.dumps(NOTES))
        taken += 1
        if taken == turns:
            return EmulatedReply("Found it.")
        return EmulatedReply(text_of(60, "thought"), tool_calls=(ToolCall("look", {"page": taken}),))

    agent = Agent("coder", model, instructions=text_of(2_000), tools=[look], max_turns=turns, compaction=compaction)
    with emulated(monkeypatch, behaviour=behave) as emulator:
        result = run_sync(agent, "Where is it?", budget=Budget(usd=100))
        (used,) = emulator.billed().values()
    assert result.output == "Found it.", result.error
    return result, used


def done(result: Any) -> list[dict[str, Any]]:
    return [e.data for e in result.events if isinstance(e, Decision) and e.about == "compaction"]


def test_a_long_session_costs_in_proportion_to_its_turns(monkeypatch) -> None:
    """Twice the turns: without compaction almost three times the money, with it about twice."""
    (whole_40, _), (whole_80, _) = session(monkeypatch, 40, None), session(monkeypatch, 80, None)
    (short_40, _), (short_80, used) = (session(monkeypatch, n, Compaction()) for n in (40, 80))
    assert whole_80.bill.total / whole_40.bill.total > 2.9
    assert short_80.bill.total / short_40.bill.total < 2.2
    assert short_80.bill.total / whole_80.bill.total < 0.6
    # our own bill is the provider's: what it counted, at list prices, and the answers
    assert float(short_80.bill.total) == pytest.approx(dollars(SONNET, used) + used.output_tokens * 15e-6)
    # what the events estimate that it saved is what it saved
    saved = whole_80.bill.total - short_80.bill.total
    assert float(short_80.bill.savings.by_compaction) == pytest.approx(float(saved), rel=0.15)


def test_a_short_session_is_left_alone(monkeypatch) -> None:
    """Ten turns: no rewrite of the cache would pay, so both runs are the same to the cent."""
    (whole, _), (short, _) = session(monkeypatch, 10, None), session(monkeypatch, 10, Compaction())
    assert done(short) == []
    assert short.bill.total == whole.bill.total


def test_the_summary_reads_the_conversation_from_the_cache(monkeypatch) -> None:
    """Its request is the agent's own prefix and one message more."""
    result, _ = session(monkeypatch, 50, Compaction())
    summaries = [e for e in result.events if isinstance(e, CallFinished) and e.purpose == "compaction"]
    assert summaries
    for event in summaries:
        assert event.cache_read_tokens is not None
        assert event.input_tokens is not None
        assert event.cache_read_tokens > 0.9 * (event.cache_read_tokens + event.input_tokens)


def edits_in(body: Any) -> Any:
    return body.get("context_management", {}).get("edits", [{}])[0]


def test_the_provider_clears_where_it_is_asked_to(monkeypatch) -> None:
    """The whole conversation is sent, and costs what it costs to clear it here: the provider's cache finds the rest."""
    native, emulator = requests_of(monkeypatch, 40, Compaction(summarise=False, native=True))
    ours, _ = requests_of(monkeypatch, 40, Compaction(summarise=False))
    assert [data["way"] for data in done(native)] == [data["way"] for data in done(ours)]
    assert native.bill.total == pytest.approx(ours.bill.total, rel=Decimal("0.02"))
    asked = [request for request in emulator.requests if "context_management" in request.body]
    assert asked
    assert all(request.headers["anthropic-beta"] == "context-management-2025-06-27" for request in asked)
    assert all("[cleared" not in json.dumps(request.body) for request in emulator.requests)
    # what is kept grows by one a turn between two decisions: the same results are cleared, so the prefix stays
    kept = [edits_in(request.body)["keep"]["value"] for request in asked]
    assert sum(later - earlier == 1 for earlier, later in pairwise(kept)) >= len(kept) - len(done(native))


def test_a_failure_is_not_left_to_the_provider(monkeypatch) -> None:
    """It would clear that too; here it stays."""
    result, emulator = requests_of(monkeypatch, 40, Compaction(summarise=False, native=True), fails=2)
    assert done(result)
    assert not any("context_management" in request.body for request in emulator.requests)
    assert "page 2 is torn" in json.dumps(emulator.requests[-1].body)


def requests_of(monkeypatch: Any, turns: int, compaction: Compaction, *, fails: int | None = None) -> tuple[Any, Any]:
    """The result of so many turns, and the emulator that saw them. `fails` is the page that cannot be read."""
    taken = 0

    def page(page: int) -> str:
        """Read a page."""
        if page == fails:
            raise LookupError(f"page {page} is torn")
        return text_of(600, f"page {page}")

    def behave(request: Any) -> EmulatedReply:
        nonlocal taken
        taken += 1
        if taken == turns:
            return EmulatedReply("Found it.")
        return EmulatedReply(text_of(60, "thought"), tool_calls=(ToolCall("page", {"page": taken}),))

    agent = Agent("coder", SONNET, instructions=text_of(2_000), tools=[page], max_turns=turns, compaction=compaction)
    with emulated(monkeypatch, behaviour=behave) as emulator:
        result = run_sync(agent, "Where is it?", budget=Budget(usd=100))
        assert result.output == "Found it.", result.error
        return result, emulator


def test_openai_s_free_writes_make_it_pay_sooner(monkeypatch) -> None:
    """Another provider, another break-even: the same agent, the same code."""
    (whole, _), (short, _) = (session(monkeypatch, 50, c, "openai:gpt-5.4") for c in (None, Compaction()))
    assert done(short)
    assert short.bill.total < whole.bill.total


def test_a_session_of_many_runs_of_one_call_is_shortened_too(monkeypatch) -> None:
    """A chat: each run is one answer, so nothing but the conversation's own length says that it will go on."""

    def chat(compaction: Compaction | None) -> Any:
        def behave(request: Any) -> EmulatedReply:
            asked = ASKS in request.messages[-1].text
            return EmulatedReply(json.dumps(NOTES) if asked else text_of(400, f"{len(request.messages)}"))

        agent = Agent("clerk", SONNET, instructions=text_of(1_200), max_output_tokens=1_000, compaction=compaction)

        async def talk() -> list[Any]:
            store = MemoryStore()
            return [await run(agent, f"question {i}", store=store, session="s") for i in range(60)]

        with emulated(monkeypatch, behaviour=behave):
            results = asyncio.run(talk())
        assert all(result.output for result in results)
        return results

    whole, short = chat(None), chat(Compaction())
    times = sum(len(done(result)) for result in short)
    assert 1 <= times <= 20
    costs = [sum(result.bill.total for result in results) for results in (whole, short)]
    assert costs[1] / costs[0] < 0.9  # more than half of it are the answers
    assert len(short[-1].transcript) < 60 < len(whole[-1].transcript)
