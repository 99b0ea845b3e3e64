"""Calls go out at the pace that a provider allows, in turn between runs, and hold nothing while they wait."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from flows import at_once, of_kind, worker

from outlay import Agent, Budget, Result, run, run_sync
from outlay.emulator import Emulator, Limits
from outlay.errors import RateLimited
from outlay.events import CallFailed, CallStarted, Decision
from outlay.patterns import FanOut
from outlay.policies.lane import LaneLimits
from outlay.protocols.stages import Stages
from outlay.runtime.execution import execute
from outlay.runtime.host import hosting
from outlay.runtime.permits import Permits
from outlay.testing import ScriptedModel
from outlay.values.request import ModelResponse, RateLimitFacts


class Limited(ScriptedModel):
    """A provider that allows so many requests a minute (a bucket), and says so in its headers, or does not."""

    def __init__(self, a_minute: int, *, headers: bool = True, latency: float = 1.0) -> None:
        super().__init__(lambda request: "fine", latency=latency, name="limited")
        self.reports_limits = headers
        self.limit = self.level = float(a_minute)
        self.at = 0.0
        self.refused = 0
        self.answered = 0

    async def send(self, request: Any, transport: Any, on_text: Any = None) -> ModelResponse:
        now = asyncio.get_running_loop().time()
        self.level = min(self.level + (now - self.at) * self.limit / 60, self.limit)
        self.at = now
        if self.level < 1:
            self.refused += 1
            await asyncio.sleep(0.1)
            raise RateLimited("slow down", status=429, retry_after=(1 - self.level) * 60 / self.limit)
        self.level -= 1
        self.answered += 1
        facts = RateLimitFacts(requests_left=int(self.level), requests_limit=int(self.limit))
        found = await super().send(request, transport, on_text)
        if not self.reports_limits:
            return found
        return ModelResponse(found.message, found.stop, found.usage, limits_of=lambda: facts)


def fan(model: Any, n: int, **options: Any) -> Result[Any]:
    return at_once(run(FanOut(Agent("a", model)), [str(i) for i in range(n)], **options))


@pytest.mark.parametrize("latency", [1.0, 20.0])
def test_a_thousand_against_fifty_a_minute_finish_at_its_pace(latency: float) -> None:
    """Nineteen minutes for 950 that have to wait, a few per cent of caution, and not one 429 at the provider."""
    model = Limited(50, latency=latency)
    result = fan(model, 1000)
    assert result.unwrap() == ["fine"] * 1000
    assert 19 * 60 <= result.seconds - latency <= 19 * 60 * 1.05
    assert (model.answered, model.refused) == (1000, 0)
    assert len(of_kind(result, CallStarted)) == 1000


def test_a_configured_limit_is_kept_of_a_provider_that_says_nothing() -> None:
    """`[limits]` in outlay.toml: the same pace, and no 429 either."""
    model = Limited(50, headers=False)

    async def go() -> Result[Any]:
        permits = Permits(asyncio.get_running_loop(), {"limited": LaneLimits(requests_per_minute=50)})
        async with hosting({}) as host:
            flow = FanOut(Agent("a", model))
            return await execute(replace(host, stages=Stages(permits=permits)), flow, [str(i) for i in range(1000)])

    result = at_once(go())
    assert result.unwrap() == ["fine"] * 1000
    assert 19 * 60 <= result.seconds <= 19 * 60 * 1.05
    assert model.refused == 0


def test_a_thousand_calls_of_many_runs_share_the_limit() -> None:
    """Forty runs of twenty-five, one lane: the provider sees the pace of one account."""
    model = Limited(50)

    async def go() -> list[Result[Any]]:
        flow = FanOut(Agent("a", model))
        return await asyncio.gather(*(run(flow, [f"{i}.{j}" for j in range(25)]) for i in range(40)))

    results = at_once(go())
    assert all(result.unwrap() == ["fine"] * 25 for result in results)
    assert 19 * 60 <= max(result.seconds for result in results) <= 19 * 60 * 1.05
    assert model.refused == 0


def test_a_provider_that_says_nothing_is_paced_by_its_refusals() -> None:
    """What came through in a minute is taken for the limit: one burst of refusals, and none after it."""
    model = Limited(50, headers=False)
    result = fan(model, 500)
    assert result.unwrap() == ["fine"] * 500
    assert model.refused <= 460
    assert result.seconds <= 9 * 60 * 1.2


def test_without_limits_nothing_waits() -> None:
    """As before: all at once."""
    result = fan(ScriptedModel(lambda request: "fine", latency=1.0), 1000)
    assert result.seconds == 1.0
    assert not [e for e in of_kind(result, Decision) if e.about == "paced"]


def test_a_wait_is_said() -> None:
    """Where the time went stands in the trace."""
    result = fan(Limited(50), 52)
    waits = [e.data for e in of_kind(result, Decision) if e.about == "paced"]
    assert [w["model"] for w in waits] == ["limited"] * 2
    assert all(1 < w["seconds"] < 5 for w in waits)


def test_what_waits_holds_no_money_and_no_intent() -> None:
    """Ten may go at once: for the others nothing is reserved, and no intent written, before it is their turn."""

    async def go() -> list[float]:
        permits = Permits(asyncio.get_running_loop(), {"dear": LaneLimits(requests_per_minute=10)})
        async with hosting({}) as host:
            limited, flow = replace(host, stages=Stages(permits=permits)), FanOut(worker(latency=1.0))
            result = await execute(limited, flow, [str(i) for i in range(30)], (Budget(usd=1),))
        return [event.time - result.events[0].time for event in of_kind(result, CallStarted)]

    begun = at_once(go())
    assert sum(t < 5 for t in begun) == 10
    assert [round(t) for t in begun[10:13]] == [6, 12, 18]


def test_runs_take_turns() -> None:
    """A run of one call waits for a call or two of a run of a hundred, not for all of them."""

    async def both() -> tuple[Result[Any], Result[Any]]:
        model = Limited(10)
        flow = Agent("a", model)
        many = asyncio.create_task(run(FanOut(flow), [str(i) for i in range(100)]))
        await asyncio.sleep(2)
        one = await run(flow, "quick")
        return one, await many

    one, many = at_once(both())
    assert one.seconds < 30
    assert many.seconds > 9 * 60


def test_a_call_that_is_cancelled_in_line_lets_the_others_by() -> None:
    """A deadline ends the wait; nobody is left standing behind it."""

    async def go() -> tuple[Result[Any], Result[Any]]:
        flow = Agent("a", Limited(10))
        short = asyncio.create_task(
            run(FanOut(flow), [str(i) for i in range(100)], budget=Budget(seconds=30), on_alert=lambda alert: None)
        )
        await asyncio.sleep(1)
        after = await run(FanOut(flow), [str(i) for i in range(20)])
        return await short, after

    short, after = at_once(go())
    assert (short.stop_reason, short.seconds) == ("deadline", 30)
    assert after.unwrap() == ["fine"] * 20
    assert after.seconds < 3 * 60


def test_a_call_that_cannot_be_done_in_time_is_not_begun() -> None:
    """Twenty answers took ten seconds each: two seconds before the deadline no other is paid for."""
    model = ScriptedModel(lambda request: "fine", latency=10.0)
    flow = FanOut(Agent("a", model))

    async def go() -> Result[Any]:
        await run(flow, [str(i) for i in range(20)])
        return await run(flow, ["late"], budget=Budget(seconds=2))

    result = at_once(go())
    assert (result.stop_reason, result.seconds, len(model.calls)) == ("deadline", 0, 20)
    assert "not begun" in str(result.error)


def test_configured_limits_hold() -> None:
    """By model or by provider."""

    async def acquired(model: ScriptedModel) -> int:
        permits = Permits(asyncio.get_running_loop(), {"anthropic": LaneLimits(concurrency=3)})
        took = 0
        async with asyncio.timeout(1):
            while True:
                await permits.acquire(model, 0, "r")
                took += 1
                if took == 9:
                    return took
        return took

    async def most(name: str) -> int | str:
        try:
            return await acquired(ScriptedModel([], name=name))
        except TimeoutError:
            return "waits"

    assert (at_once(most("anthropic:claude-haiku-4-5")), at_once(most("openai:gpt-5.4"))) == ("waits", 9)


@pytest.mark.parametrize("model", ["anthropic:claude-haiku-4-5", "openai:gpt-5.4", "openai-chat:any"])
def test_over_http_the_headers_are_obeyed(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """700 a minute and 708 calls: the last go out as the bucket fills, none is refused."""
    with Emulator(limits=Limits(requests_per_minute=700), behaviour="fine") as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        began = time.monotonic()
        result = run_sync(FanOut(Agent("a", model)), [str(i) for i in range(708)])
        took = time.monotonic() - began
        refused = sum(record.status == 429 for record in emulator.requests)
    assert result.unwrap() == ["fine"] * 708
    assert refused == len(of_kind(result, CallFailed)) <= 3
    assert took < 10
