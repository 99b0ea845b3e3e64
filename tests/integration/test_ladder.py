"""The bench of the cost ladder: what it shows is what happened, and a rung is one entry."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from bench.ladder import played, table
from bench.ladder.door import BATCH_SECONDS, Door
from bench.ladder.measured import Meter
from bench.ladder.models import LATENCY, STRONG, model_for
from bench.ladder.prefix import Prefix, prefixes_paid
from bench.ladder.rungs import RUNGS, TICKETS, Setting, settings_for
from bench.ladder.sessions import SESSIONS, mended

from outlay import Agent, run, run_many
from outlay.emulator import EmulatedReply, EmulatedRequest, ToolCall
from outlay.models import Anthropic
from outlay.protocols.clock import loop_factory, wall_clock
from outlay.runtime.directory import reach_through
from outlay.runtime.prefixes import forget
from outlay.testing import Emulator, virtual_time

CODING, AUTONOMOUS = SESSIONS


def test_a_prefix_of_30k_tokens_used_20_times_is_billed_as_3_15_prefixes() -> None:
    """In dollars of the bill, to the last digit: 1.25 + 19 × 0.1, and 20 without a cache."""
    assert prefixes_paid(played(Prefix(), Setting(prompt_cache=True))) == Decimal("3.15")
    assert prefixes_paid(played(Prefix(), Setting())) == 20


@pytest.mark.parametrize("rung", ["prompt cache", "cascade", "compaction", "all of these"])
def test_each_rung_saves_on_a_coding_session_and_loses_nothing(rung: str) -> None:
    settings = settings_for(CODING.name)
    off, on = (played(CODING, settings[name]).measured(CODING.name, name) for name in ("off", rung))
    assert off.dollars is not None
    assert on.dollars is not None
    assert on.dollars < off.dollars / 2
    assert (off.right, on.right, on.checked) == (1, 1, 1)


def test_the_same_setting_gives_the_same_line_again() -> None:
    lines = [played(CODING, Setting(prompt_cache=True)).measured("coding", "x") for _ in range(2)]
    assert lines[0] == lines[1]


def test_success_is_what_the_check_says_and_not_that_it_ended() -> None:
    """A model that no longer sees what failed gives a patch that does not pass."""
    assert mended("def total(amounts):\n    return sum(amounts)\n") is None
    assert mended("def total(amounts):\n    return sum(amounts[:-1])\n") is not None
    assert mended("I no longer know what failed.") == "the patch does not run: SyntaxError"


def test_all_of_these_is_every_rung_that_fits() -> None:
    """Whatever is added to the list is in the table, by itself and with the others."""
    for workload in ("tickets", "coding", "autonomous"):
        fitting = [rung for rung in RUNGS if workload in rung.of]
        settings = settings_for(workload)
        together = ["all of these"] if all(rung.live for rung in fitting) else ["all of these", "all, by batch"]
        assert list(settings) == ["off", *(rung.name for rung in fitting), *together]
        assert settings["off"] == Setting()
        assert all(settings[rung.name] == rung.switch(Setting()) != Setting() for rung in fitting)


class Few:
    """Questions that a workload of tickets would ask, without its texts."""

    name = TICKETS

    async def play(self, setting: Setting, meter: Meter) -> None:
        agent = Agent("clerk", model_for(setting, None), cache="off")
        pace: Any = {"lane": "batch"} if setting.batch else {}
        async for _, result in run_many(agent, [(n, f"question {n}") for n in range(20)], on_event=meter, **pace):
            meter.check(result.output == "Yes.")

    def behaviour(self, request: EmulatedRequest) -> EmulatedReply:
        return EmulatedReply("Yes.")


def test_a_batch_costs_half_takes_an_hour_and_answers_the_same() -> None:
    """Through Anthropic's own adapter; what the bill says it saved is what it saved."""
    off, meter = (played(Few(), Setting(batch=batch)) for batch in (False, True))
    live, batch = (one.measured(TICKETS, "") for one in (off, meter))
    assert live.dollars is not None
    assert batch.dollars == live.dollars / 2 == meter.fold.bill().saved_by_batch
    assert (live.right, batch.right) == (20, 20)
    assert live.p95 < 60 < BATCH_SECONDS <= batch.p50


class Long(Few):
    """Questions to a prompt that the strong one's cache takes, and the cheap one's does not: under 4,096 tokens.
    The cheap one answers every third."""

    async def play(self, setting: Setting, meter: Meter) -> None:
        gate = lambda output: None if output == "Yes." else "not sure"  # noqa: E731
        cache: Any = "auto" if setting.prompt_cache else "off"
        agent = Agent("clerk", model_for(setting, gate), instructions="A rule. " * 1_500, cache=cache)
        rows = [(n, f"question {n}") for n in range(300)]
        pace: Any = {"lane": "batch"} if setting.batch else {}
        async for _, result in run_many(agent, rows, on_event=meter, **pace):
            meter.check(result.output == "Yes.")

    def behaviour(self, request: EmulatedRequest) -> EmulatedReply:
        sure = request.model == STRONG or int(request.text.split()[-1]) % 3 == 0
        return EmulatedReply("Yes." if sure else "Perhaps.")


def test_a_rung_that_would_cost_more_than_it_saves_is_off() -> None:
    """Beside a prompt cache, the cheap model that reads its prompt uncached is dearer than the strong one: left out."""
    both = played(Long(), Setting(prompt_cache=True, cascade=True))
    cache = played(Long(), Setting(prompt_cache=True)).measured("x", "").dollars
    whole = both.measured("x", "").dollars
    assert whole is not None
    assert cache is not None
    assert whole < cache * Decimal("1.2")
    assert both.right == 300
    by_model = both.fold.bill().by("model")
    assert by_model["anthropic:claude-haiku-4-5"].calls < 30


@pytest.mark.parametrize("cached", [False, True])
def test_what_the_bill_says_a_cascade_saved_is_about_what_it_saved(cached: bool) -> None:
    """Against the same run without it, which has its prompt cache or none."""
    without, with_it = (played(Long(), Setting(prompt_cache=cached, cascade=cascade)) for cascade in (False, True))
    off, on = (meter.measured("x", "").dollars for meter in (without, with_it))
    said = with_it.fold.bill().savings.by_cascade
    assert off is not None
    assert on is not None
    assert said is not None
    assert abs(said - (off - on)) < off * Decimal("0.05")


def test_a_batch_is_held_against_the_prompt_cache_that_it_goes_without() -> None:
    """A long prompt that every row has: read from the cache it costs a tenth, by batch a half. The receipt says so."""
    live, batch = (played(Long(), Setting(prompt_cache=True, batch=batch)) for batch in (False, True))
    off, on = (meter.measured("x", "").dollars for meter in (live, batch))
    bill = batch.fold.bill()
    assert off is not None
    assert on is not None
    assert bill.saved_by_batch is not None
    assert bill.saved_by_batch < 0
    assert abs(bill.saved_by_batch - (off - on)) < on * Decimal("0.05")
    assert "more than at once: a prompt cache would have saved more" in bill.render()


def test_the_table_says_what_is_left_of_the_cost() -> None:
    off, on = (played(Prefix(), Setting(prompt_cache=cache)).measured("prefix", name) for cache, name in _CACHE)
    said = table([off, on]).splitlines()
    assert said[1].split()[:4] == ["prefix", "off", f"${off.dollars:.4f}", "100.0"]
    assert "20/20 100.0 %  20 calls · 95 % of input read from cache" in said[2]


_CACHE = ((False, "off"), (True, "prompt cache"))


def test_the_door_answers_as_the_emulator_does_over_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same requests, same usage, same dollars: only the way there is another."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-emulator")

    def look(page: int) -> str:
        """Read a page."""
        return f"page {page} " * 900

    def behave(request: object) -> EmulatedReply:
        taken = sum(message.role == "assistant" for message in request.messages)  # type: ignore[attr-defined]
        return EmulatedReply("done") if taken == 3 else EmulatedReply(tool_calls=(ToolCall("look", {"page": taken}),))

    def agent(**options: object) -> Agent[str]:
        model = Anthropic(STRONG, api_key="sk-emulator", **options)  # type: ignore[arg-type]
        return Agent("reader", model, instructions="Read. " * 2_000, tools=[look])

    async def inside() -> object:
        reach_through(Door(behave, LATENCY, wall_clock(asyncio.get_running_loop())))
        return await run(agent(), "Go.")

    forget()
    with virtual_time(), asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        by_door = runner.run(inside())
    forget()
    with Emulator(behaviour=behave) as emulator:
        by_socket = asyncio.run(run(agent(base_url=emulator.anthropic_url), "Go."))
    forget()

    def billed(result: object) -> list[object]:
        lines = result.bill.lines  # type: ignore[attr-defined]
        return [(line.input_tokens, line.cache_read_tokens, line.cache_write_tokens, line.cost) for line in lines]

    assert billed(by_door) == billed(by_socket)
    assert by_door.output == by_socket.output == "done"  # type: ignore[attr-defined]
