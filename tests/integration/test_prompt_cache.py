"""The prompt cache in real requests: what is written and read at the emulator, and what it costs at list prices."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from cache_support import dollars, emulated, text_of

from outlay import Agent, Budget, ModelSettings, run, run_many, run_sync
from outlay.analysis.bill import Bill
from outlay.analysis.tree import tree
from outlay.emulator import EmulatedReply, Fault, Faults, ToolCall
from outlay.errors import ConfigError
from outlay.events import CacheAlert, CallFinished, Decision, Overrun
from outlay.patterns import FanOut
from outlay.runtime.prefixes import forget, prefixes

SONNET = "anthropic:claude-sonnet-4-6"
GPT = "openai:gpt-5.4"
PREFIX = text_of(30_000)


def marks_in(body: Any) -> int:
    return json.dumps(body).count('"cache_control"')


def decisions(result: Any) -> list[dict[str, Any]]:
    return [e.data for e in result.events if isinstance(e, Decision) and e.about == "cache"]


async def all_of(agent: Agent[str], n: int, concurrency: int = 16) -> list[Any]:
    rows = [(i, f"question {i:03}") for i in range(n)]
    return [result async for _, result in run_many(agent, rows, concurrency=concurrency)]


def test_a_prefix_of_30k_tokens_used_20_times_costs_exactly_3_15_prefixes(monkeypatch) -> None:
    """One goes ahead and writes, nineteen wait for its first token and read: 1.25 + 19 × 0.1."""
    agent = Agent("clerk", SONNET, instructions=PREFIX)
    with emulated(monkeypatch, behaviour="Yes.") as emulator:
        results = asyncio.run(all_of(agent, 20))
        used = emulator.billed()["claude-sonnet-4-6"]
    assert (used.cache_write_tokens, used.cache_read_tokens) == (30_000, 19 * 30_000)
    prefixes = (used.cache_write_tokens * 1.25 + used.cache_read_tokens * 0.1) / 30_000
    assert prefixes == pytest.approx(3.15, abs=1e-12)
    assert all(result.output == "Yes." for result in results)


def test_five_minutes_asked_for_are_written_by_the_first_and_read_one_after_another(monkeypatch) -> None:
    """cache="5m" asks for no evidence: 3.15 prefixes in sequence, too."""
    agent = Agent("clerk", SONNET, instructions=PREFIX, cache="5m")
    with emulated(monkeypatch, behaviour="Yes.") as emulator:
        asyncio.run(all_of(agent, 20, concurrency=1))
        used = emulator.billed()["claude-sonnet-4-6"]
    # the questions are marked too, and are the first's own: six tokens each
    prefix = used.cache_write_tokens - 20 * 6
    assert (prefix, used.cache_read_tokens) == (30_000, 19 * 30_000)


def test_one_call_alone_writes_nothing_and_the_second_is_reason_enough(monkeypatch) -> None:
    """Nothing speaks for a second use, until there is one: 1 + 1.25 + 18 × 0.1 in sequence."""
    agent = Agent("clerk", SONNET, instructions=PREFIX)
    with emulated(monkeypatch, behaviour="Yes.") as emulator:
        first = run_sync(agent, "question")
        assert emulator.billed()["claude-sonnet-4-6"].cache_write_tokens == 0
        asyncio.run(all_of(agent, 19, concurrency=1))
        used = emulator.billed()["claude-sonnet-4-6"]
    assert (used.cache_write_tokens, used.cache_read_tokens) == (30_000, 18 * 30_000)
    assert [d["why"] for d in decisions(first)] == ["0 further reads are expected, and writing pays from 0.28 on"]


def test_a_fan_out_of_200_pays_one_write(monkeypatch) -> None:
    """199 wait for the first token of the first, and read."""
    flow = FanOut(Agent("worker", SONNET, instructions=text_of(6_000)), name="crew")
    with emulated(monkeypatch, behaviour="Done.", latency=0.02) as emulator:
        result = asyncio.run(run(flow, [f"task {n}" for n in range(200)]))
        used = emulator.billed()["claude-sonnet-4-6"]
    assert result.output == ["Done."] * 200
    assert (used.cache_write_tokens, used.cache_read_tokens) == (6_000, 199 * 6_000)
    assert dollars(SONNET, used) < 0.2 * dollars(SONNET, used, cached=False)


def test_openais_cache_is_warmed_once_and_asked_for_by_one_key(monkeypatch) -> None:
    """It caches by itself, in steps of 128 tokens; without the wait, all 20 would have missed."""
    flow = FanOut(Agent("worker", GPT, instructions=text_of(6_000)), name="crew")
    with emulated(monkeypatch, behaviour="Done.", latency=0.02) as emulator:
        asyncio.run(run(flow, [f"task {n}" for n in range(20)]))
        used = emulator.billed()["gpt-5.4"]
        keys = {r.body["prompt_cache_key"] for r in emulator.requests}
    assert len(keys) == 1
    assert used.cache_read_tokens >= 19 * (6_000 - 128)


def turns_of(n: int) -> Any:
    """A model that calls `look` n times and then answers."""

    def behave(request: Any) -> EmulatedReply:
        taken = sum(m.role == "assistant" for m in request.messages)
        if taken < n:
            return EmulatedReply(tool_calls=(ToolCall("look", {"page": taken}),))
        return EmulatedReply("Found it.")

    return behave


def look(page: int) -> str:
    """Read a page."""
    return text_of(500, f"page {page}")


@pytest.mark.parametrize("model", [SONNET, GPT], ids=["anthropic", "openai"])
def test_each_turn_of_a_session_reads_all_that_came_before_it(monkeypatch, model) -> None:
    """40 turns: every token of the conversation is written once; what is sent anew each turn is read."""
    agent = Agent("coder", model, instructions=text_of(3_000), tools=[look], max_turns=41)
    with emulated(monkeypatch, behaviour=turns_of(40)) as emulator:
        result = run_sync(agent, "Where is it?")
        (used,) = emulator.billed().values()
    assert result.output == "Found it."
    assert used.cache_read_tokens > 0.9 * used.prompt_tokens
    assert dollars(model, used) < 0.2 * dollars(model, used, cached=False)


def test_marks_change_no_byte_of_what_is_cached(monkeypatch) -> None:
    """Without its marks, each request of a session begins with the whole of the one before."""
    agent = Agent("coder", SONNET, instructions=text_of(2_000), tools=[look], max_turns=9)
    with emulated(monkeypatch, behaviour=turns_of(8)) as emulator:
        run_sync(agent, "Where is it?")
        bodies = [request.body for request in emulator.requests]
    assert all(0 < marks_in(body) <= 4 for body in bodies)

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: bare(v) for k, v in value.items() if k != "cache_control"}
        return [bare(v) for v in value] if isinstance(value, list) else value

    for earlier, later in pairwise(bodies):
        a, b = bare(earlier), bare(later)
        assert (a["system"], a["tools"]) == (b["system"], b["tools"])
        assert b["messages"][: len(a["messages"])] == a["messages"]


def test_below_the_models_minimum_nothing_is_marked(monkeypatch) -> None:
    """Haiku 4.5 caches from 4,096 tokens on; the reason is recorded once."""
    flow = FanOut(Agent("worker", "anthropic:claude-haiku-4-5", instructions=text_of(2_000)), name="crew")
    with emulated(monkeypatch, behaviour="Done.") as emulator:
        result = asyncio.run(run(flow, [f"task {n}" for n in range(8)]))
        assert all(marks_in(request.body) == 0 for request in emulator.requests)
    (why,) = [d["why"] for d in decisions(result)]
    assert "the least that is cached is 4,096" in why


def test_switched_off_it_is_off(monkeypatch) -> None:
    """Neither marks nor a key."""
    for model, field in ((SONNET, "cache_control"), (GPT, "prompt_cache_key")):
        flow = FanOut(Agent("worker", model, instructions=text_of(6_000), cache="off"), name="crew")
        with emulated(monkeypatch, behaviour="Done.") as emulator:
            asyncio.run(run(flow, [f"task {n}" for n in range(4)]))
            assert all(field not in json.dumps(request.body) for request in emulator.requests)


def test_who_sets_marks_in_extra_sets_all_of_them(monkeypatch) -> None:
    """A fifth breakpoint would be a 400."""
    settings = ModelSettings(extra={"cache_control": {"type": "ephemeral"}})
    agent = Agent("clerk", SONNET, instructions=PREFIX, settings=settings)
    with emulated(monkeypatch, behaviour="Yes.") as emulator:
        asyncio.run(all_of(agent, 3))
        assert all(marks_in(request.body) == 1 for request in emulator.requests)


def test_the_decision_is_recorded_with_its_inputs(monkeypatch) -> None:
    """What was marked, what was expected to be read and written, and why."""
    agent = Agent("coder", SONNET, instructions=text_of(2_000), tools=[look], max_turns=9)
    with emulated(monkeypatch, behaviour=turns_of(2)):
        first, second, third = decisions(run_sync(agent, "Where is it?"))
    assert first["marks"] == ["system 1 5m", "message 1 5m"]
    assert (first["expect_read"], first["agent"], first["model"]) == (0, "coder", SONNET)
    assert second["marks"] == ["system 1 5m", "message 1 5m", "message 3 5m"]
    assert second["expect_read"] > 1_900
    assert third["expect_read"] > second["expect_read"] + 400
    assert third["why"].endswith("further reads expected")


def test_newer_gpt_models_that_charge_for_writes_are_told_not_to_where_nothing_comes_after(monkeypatch) -> None:
    """GPT from 5.6 on writes at each latest message by itself, at 1.25 times the price."""
    agent = Agent("clerk", "openai:gpt-5.6", instructions=PREFIX)
    with emulated(monkeypatch, behaviour="Yes.") as emulator:
        run_sync(agent, "question")
        used = emulator.billed()["gpt-5.6"]
    assert (used.cache_write_tokens, used.cache_read_tokens) == (0, 0)


def test_an_unknown_mode_is_refused_before_anything_runs() -> None:
    """With the modes there are."""
    with pytest.raises(ConfigError, match="cache='1d' is not understood"):
        Agent("clerk", SONNET, cache="1d")  # pyright: ignore[reportArgumentType]


def test_the_bill_says_exactly_what_the_cache_saved(monkeypatch) -> None:
    """Against the same tokens without it: 20 − 3.15 prefixes of 30,000 tokens at $3 a million."""
    agent = Agent("clerk", SONNET, instructions=PREFIX)
    with emulated(monkeypatch, behaviour="Yes."):
        results = asyncio.run(all_of(agent, 20))
    bill = Bill.of(sorted((e for result in results for e in result.events), key=lambda event: event.time))
    assert bill.saved_by_cache() == Decimal("16.85") * 30_000 * 3 / 1_000_000
    (clerk,) = bill.cache
    assert (clerk.written, clerk.read, clerk.unread, clerk.missed) == (30_000, 570_000, 0, 0)
    assert "saved $1.52 by cache" in bill.render()


def test_an_hours_write_is_billed_and_saved_at_its_own_rate(monkeypatch) -> None:
    """2 × and not 1.25 ×: the old estimate said 0.75 prefixes too much."""
    agent = Agent("clerk", SONNET, instructions=PREFIX, cache="1h")
    with emulated(monkeypatch, behaviour="Yes."):
        result = run_sync(agent, "question")
    assert result.bill.saved_by_cache() == -Decimal(30_000 + 5) * 3 / 1_000_000


def test_a_time_in_the_instructions_is_named_and_told_at_the_third_prompt(monkeypatch) -> None:
    """Before it is paid for: the part, what it looks like, and both sides of it."""
    ticks = iter(range(10, 60))
    agent = Agent("clerk", SONNET, instructions=lambda: f"It is 2026-11-21 10:04:{next(ticks)}. {PREFIX}")
    alerts: list[Any] = []

    async def several() -> list[Any]:
        return [await run(agent, f"question {i}", on_alert=alerts.append) for i in range(4)]

    with emulated(monkeypatch, behaviour="Yes."):
        results = asyncio.run(several())
    assert results[0].bill.cache[0].changes == ()
    (change,) = results[1].bill.cache[0].changes
    assert change.startswith("system 1 changed (a time): 'It is 2026-11-21 10:04:10.")
    (alert,) = alerts
    assert isinstance(alert, CacheAlert)
    assert alert.text.startswith("its prompt is another one with every call, so nothing can be read: system 1 changed")
    assert alert in results[2].events


def test_nothing_read_over_a_run_that_should_have_is_an_alert(monkeypatch) -> None:
    """The provider has dropped the prefix; the next call knows and writes it again."""
    agent = Agent("clerk", SONNET, instructions=PREFIX, cache="5m")
    alerts: list[Any] = []
    with emulated(monkeypatch, behaviour="Yes.") as emulator:
        run_sync(agent, "question 1", on_alert=alerts.append)
        emulator.reset()
        second = run_sync(agent, "question 2", on_alert=alerts.append)
        third = run_sync(agent, "question 3", on_alert=alerts.append)
    (alert,) = alerts
    assert (alert.agent, alert.text) == ("clerk", "nothing was read, 1 call should have")
    assert (second.bill.cache[0].missed, third.bill.cache[0].missed) == (1, 0)
    assert "1 of 1 expected reads missed" in second.bill.render()
    assert "! cache: nothing was read" in tree(second.events)


def test_a_cache_that_stays_silent_is_told_of_while_the_run_goes_on(monkeypatch) -> None:
    """At the fifth call that should have read, and once: most of the money is not spent yet."""
    flow = FanOut(Agent("clerk", SONNET, instructions=PREFIX, cache="5m"))
    alerts: list[Any] = []
    with emulated(monkeypatch, behaviour="Yes.", latency=0.05) as emulator:
        run_sync(flow, ["question"], on_alert=alerts.append)
        emulator.reset()  # the provider has dropped the prefix
        result = run_sync(flow, [f"question {n}" for n in range(8)], on_alert=alerts.append)
    (alert,) = alerts
    assert alert.text == "nothing was read, 5 calls should have"
    after = list(result.events)[list(result.events).index(alert) :]
    assert sum(isinstance(event, CallFinished) for event in after) == 3


def test_a_write_that_fails_holds_nobody_up(monkeypatch) -> None:
    """The others go on at once, each for itself; the one that failed tries again."""
    flow = FanOut(Agent("worker", SONNET, instructions=text_of(6_000)), name="crew")
    faults = Faults(at={1: Fault.http(529, retry_after=0)})
    with emulated(monkeypatch, behaviour="Done.", faults=faults, latency=0.02) as emulator:
        result = asyncio.run(run(flow, [f"task {n}" for n in range(6)]))
        assert len(emulator.requests) == 7
    assert result.output == ["Done."] * 6


def test_a_resumed_run_pays_nothing_again_though_it_would_plan_otherwise(monkeypatch, tmp_path) -> None:
    """Breakpoints are a decision of the moment: they are in no key."""
    agent = Agent("coder", SONNET, instructions=text_of(2_000), tools=[look], max_turns=9)
    store = str(tmp_path / "outlay.db")
    with emulated(monkeypatch, behaviour=turns_of(3)) as emulator:
        first = run_sync(agent, "Where is it?", store=store, run_id="r")
        sent = len(emulator.requests)
        forget()
        again = run_sync(agent.replace(cache="1h"), "Where is it?", store=store, run_id="r")
        assert len(emulator.requests) == sent
    assert (again.output, again.bill.total) == (first.output, first.bill.total)


def test_a_write_for_an_hour_stays_within_its_reservation(monkeypatch) -> None:
    """The bound prices every input token at the dearest rate that could apply."""
    agent = Agent("clerk", SONNET, instructions=PREFIX, cache="1h")
    with emulated(monkeypatch, behaviour="Yes."):
        result = run_sync(agent, "question", budget=Budget(usd=2))
    assert result.output == "Yes."
    assert not any(isinstance(event, Overrun) for event in result.events)
    assert result.bill.total > Decimal("0.18")


def test_tokens_a_character_are_learned_right_though_many_calls_are_under_way(monkeypatch) -> None:
    """Each answer corrects the estimate of its own request, whatever others have corrected meanwhile: we count the
    escapes of line breaks, the provider does not, and 200 calls, 20 at a time, still write once."""
    agent = Agent("clerk", SONNET, instructions=text_of(1_500))

    async def asked() -> None:
        rows = [(n, f"question {n:03}" + "\n" * 4_000) for n in range(200)]
        async for _ in run_many(agent, rows, concurrency=20):
            pass

    with emulated(monkeypatch, behaviour="Yes.") as emulator:
        asyncio.run(asked())
        used = emulator.billed()["claude-sonnet-4-6"]
        (provider,) = prefixes().providers.values()
    assert provider.scale == pytest.approx(2_500 / 3_500, rel=0.01)
    assert used.cache_read_tokens == 199 * used.cache_write_tokens
