"""Hedged calls: the same asked once more where an answer takes long, within the budget, and billed for what it is."""

from __future__ import annotations

import asyncio
import gc
from decimal import Decimal
from typing import Any

import pytest
from crash import crashed, go, journal
from flows import at_once, cents, dear, of_kind

from outlay import Agent, Budget, Result, RunContext, node, run, stream, tool
from outlay.errors import ConfigError, Overloaded
from outlay.events import CallFailed, CallFinished, CallStarted, Decision, Retracted, TextDelta
from outlay.patterns import Cascade, FanOut
from outlay.stores.memory import MemoryStore
from outlay.testing import ScriptedModel


class Slow:
    """A model whose n-th call takes so many seconds, and costs a cent; an exception is raised when they are over."""

    def __init__(self, *seconds: float | tuple[float, Exception]) -> None:
        self.left = list(seconds)
        self.asked = self.cut_off = 0
        self.model = dear(self._answer)

    async def _answer(self, request: Any) -> Any:
        self.asked += 1
        n, plan = self.asked, self.left[min(self.asked, len(self.left)) - 1]
        seconds, error = plan if isinstance(plan, tuple) else (plan, None)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        if error is not None:
            raise error
        return cents(1, f"answer {n}")

    def agent(self, hedge: float | None = 2, **options: Any) -> Agent[str]:
        return Agent("a", self.model, hedge=hedge, max_output_tokens=100, min_output_tokens=100, **options)


def decided(result: Result[Any], *about: str) -> list[tuple[str, dict[str, Any]]]:
    return [(e.about, e.data) for e in of_kind(result, Decision) if e.about in (about or ("hedge", "hedged"))]


HEDGED = ("hedge", {"model": "dear", "after_seconds": 2, "attempt": 2})


def test_an_answer_in_time_is_asked_for_once() -> None:
    slow = Slow(1.9)
    result = at_once(run(slow.agent(), "hi"))
    assert (result.output, slow.asked, decided(result)) == ("answer 1", 1, [])


def test_the_second_answers_first_and_the_first_is_cut_off_and_held_as_in_doubt() -> None:
    slow = Slow(60, 1)
    result = at_once(run(slow.agent(), "hi", budget=Budget(usd=1)))
    assert (result.output, result.seconds) == ("answer 2", 3)
    assert (slow.asked, slow.cut_off) == (2, 1)
    assert (result.bill.total, result.bill.in_doubt) == (Decimal("0.01"), Decimal("0.01"))
    assert decided(result) == [HEDGED, ("hedged", {"answered": 2})]
    (failed,) = of_kind(result, CallFailed)
    assert (failed.attempt, failed.maybe_billed) == (1, True)
    assert "answered first" in failed.message
    assert len({e.key for e in of_kind(result, CallStarted)}) == 1


def test_the_first_answers_first_after_all_and_the_second_is_cut_off() -> None:
    slow = Slow(3, 60)
    result = at_once(run(slow.agent(), "hi"))
    assert (result.output, result.seconds, slow.cut_off) == ("answer 1", 3, 1)
    assert decided(result) == [HEDGED, ("hedged", {"answered": 1})]
    assert [(e.attempt, e.maybe_billed) for e in of_kind(result, CallFailed)] == [(2, True)]
    assert result.stop_reason == "completed"
    assert not result.degraded


@pytest.mark.parametrize("budget", [{"usd": "0.015"}, {"calls": 1}, {"tokens": 150}], ids=str)
def test_where_there_is_no_room_for_both_there_is_no_second(budget: Any) -> None:
    slow = Slow(60, 1)
    result = at_once(run(slow.agent(), "hi", budget=Budget(**budget)))
    assert (result.output, result.seconds, slow.asked, decided(result)) == ("answer 1", 60, 1, [])


def test_forty_hedged_calls_at_once_stay_within_their_budget() -> None:
    slow = Slow(*([30] * 40), 1)
    crew = FanOut(slow.agent())
    result = at_once(run(crew, [str(n) for n in range(40)], budget=Budget(usd="0.45"), on_alert=lambda _: None))
    assert len(result.output or ()) == 40
    assert result.bill.at_least + result.bill.in_doubt <= Decimal("0.45")
    assert slow.asked == 45


def test_a_provider_that_slows_down_is_not_asked_twice_as_much() -> None:
    """Hedges are retries: at most a tenth of the first attempts, and ten a minute."""
    slow = Slow(*([30] * 200), 30)
    result = at_once(run(FanOut(slow.agent()), [str(n) for n in range(200)]))
    assert len(result.output or ()) == 200
    assert slow.asked == 220


@pytest.mark.parametrize("first", [True, False])
def test_one_that_fails_leaves_it_to_the_other(first: bool) -> None:
    gone = (5.0, Overloaded("gone", retryable=False))
    slow = Slow(gone, 10) if first else Slow(10, (3.0, Overloaded("gone", retryable=False)))
    result = at_once(run(slow.agent(), "hi"))
    assert result.output == f"answer {2 if first else 1}"
    assert result.bill.in_doubt == 0


def test_where_both_fail_it_is_tried_again_like_any_call() -> None:
    down = (5.0, Overloaded("busy"))
    slow = Slow(down, down, 1)
    result = at_once(run(slow.agent(), "hi"))
    assert result.output == "answer 3"
    assert [e.attempt for e in of_kind(result, CallStarted)] == [1, 2, 3]


def test_a_deadline_ends_both() -> None:
    slow = Slow(60, 60)
    result = at_once(run(slow.agent(), "hi", budget=Budget(usd=1, seconds=5)))
    assert (result.stop_reason, result.seconds, slow.cut_off) == ("deadline", 5, 2)
    assert result.bill.in_doubt == Decimal("0.02")


def test_a_branch_that_is_cut_off_leaves_no_second_call_behind() -> None:
    slow = Slow(60, 60)

    @node
    async def flow(ctx: RunContext, text: str) -> str:
        try:
            async with ctx.timeout(5):
                await ctx.run(slow.agent(), text)
        except TimeoutError:
            return "too late"
        return "never"

    result = at_once(run(flow, "hi"))
    assert (result.output, slow.asked, slow.cut_off) == ("too late", 2, 2)


def test_what_nobody_waits_for_any_more_is_recorded_and_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    """The branch and both calls run out of time in the same moment: no traceback of asyncio's on stderr."""
    slow = Slow(60, 60)

    @node
    async def flow(ctx: RunContext, text: str) -> str:
        try:
            async with ctx.timeout(5):
                await ctx.run(slow.agent(budget=Budget(seconds=5)), text)
        except TimeoutError:
            return "too late"
        return "never"

    result = at_once(run(flow, "hi"))
    gc.collect()
    assert [e.error for e in of_kind(result, CallFailed)] == ["DeadlineExceeded"] * 2
    assert caplog.text == ""


def test_a_stream_shows_the_answer_that_counts() -> None:
    slow = Slow(60, 1)

    async def main() -> tuple[str, list[str], Any]:
        shown, retracted = "", list[str]()
        async with stream(slow.agent(), "hi") as s:
            async for event in s:
                if isinstance(event, TextDelta):
                    shown += event.text
                elif isinstance(event, Retracted):
                    shown = ""
                    retracted.append(event.reason)
        return shown, retracted, s.result

    shown, _, result = at_once(main())
    assert shown == result.output == "answer 2"


def test_a_resumed_run_gets_the_answer_that_counted_wherever_it_was_cut_off() -> None:
    store = MemoryStore()
    first = go(Slow(60, 1).agent(), "hi", store, budget=Budget(usd=1))
    events = journal(store)
    answered = next(i for i, event in enumerate(events) if isinstance(event, CallFinished))
    for length in range(1, len(events)):
        again = go(Slow(60, 1).agent(), "hi", crashed(store, length), budget=Budget(usd=1))
        assert again.output == first.output == "answer 2"
        if length > answered:
            assert len(of_kind(again, CallStarted)) == 2  # nothing was sent again
        ours = again.bill.at_least + again.bill.in_doubt
        assert ours <= Decimal("0.04")  # at most one call in doubt more than that


# ── only where nothing can be done twice ──────────────────────────────────────────────────────────────────────────


@tool(side_effect=True)
def send(to: str) -> str:
    """Send."""
    return to


@pytest.mark.parametrize(
    "wrong",
    [
        {"hedge": 0},
        {"hedge": -1},
        {"hedge": float("inf")},
        {"hedge": True},
        {"hedge": "2"},
        {"hedge": 2, "tools": [send]},
        {"hedge": 2, "model": Cascade([ScriptedModel([]), ScriptedModel([])], lambda _: None)},
    ],
    ids=lambda wrong: str(wrong)[:30],
)
def test_what_cannot_be_hedged_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Agent("a", **{"model": ScriptedModel([]), **wrong})
