"""Hedged calls: where an answer takes long, the same is asked once more, and the first of the two counts (Dean and
Barroso, "The Tail at Scale", 2013).

Both are reserved and both are on the bill: the slower one is cut off at its socket, and stays held as in doubt, because
its provider may bill what it had done by then. Hedges count as retries, so that a provider that slows down is not asked
twice as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from outlay.events.records import Decision, Retracted, TextDelta
from outlay.policies.ledger import Ask, Hold
from outlay.runtime.budgets import Left
from outlay.runtime.caching import visit
from outlay.runtime.call import Call
from outlay.values.price import Price
from outlay.values.request import ModelResponse


class HedgedCall(Call):
    """A call that is sent a second time where it has no answer after so many seconds (`after`)."""

    __slots__ = ("_after",)

    def __init__(self, *args: Any, after: float) -> None:
        super().__init__(*args)
        self._after = after

    def _begin(self, price: Price | None, hold: Hold, bound: int, goes_on: bool) -> Awaitable[ModelResponse]:
        first = self._run.flight.shielded(self._attempt, self._attempts, price, hold, bound, goes_on)
        if self._batch is not None:  # its answer is hours away by choice
            return first
        return self._quicker(first, price, hold, bound)

    async def _quicker(
        self, first: asyncio.Future[ModelResponse], price: Price | None, hold: Hold, bound: int
    ) -> ModelResponse:
        second: asyncio.Task[ModelResponse] | None = None
        try:
            await asyncio.wait((first,), timeout=self._after)
            if first.done() or hold.clipped is not None or not self._may_hedge(price, bound):
                return await first
            self._attempts += 1
            twin = _Twin(self, self._attempts, first)
            self._say("hedge", model=self._model.id, after_seconds=self._after, attempt=self._attempts)
            second = self._run.loop.create_task(twin.alone(price, bound))
            second.add_done_callback(_heard)
            waiting: set[asyncio.Future[ModelResponse]] = {first, second}
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if first in done and _answered(first):
                    self._say("hedged", answered=self._attempts - 1)
                    return first.result()
                if second in done and _answered(second):
                    self._run.flight.cut(first, "the same call, sent again, was answered first")
                    self._say("hedged", answered=self._attempts)
                    self._show(twin)
                    return second.result()
            return first.result()  # raises what it failed with
        except asyncio.CancelledError:
            first.cancel()  # nobody waits for it: what is paid for is still drained
            raise
        finally:
            if second is not None:
                second.cancel()

    def _may_hedge(self, price: Price | None, bound: int) -> bool:
        """Is there room for both, now, and is the provider well enough?"""
        run, model = self._run, self._model
        if run.closed is not None:
            return False
        ask = Ask(price, bound, self._request.max_output_tokens)
        left = Left(self._chain, self._deadline, run.loop.time)
        need = (ask.worst_usd(ask.output_tokens), bound + ask.output_tokens, 1)
        room = (left.usd_left, left.tokens_left, left.calls_left)
        if any(have is not None and have < wanted for have, wanted in zip(room, need, strict=True)):
            return False
        breaker, retries = run.stages.breaker, run.stages.retries
        if breaker is not None and not breaker.passes(model):
            return False
        return retries is None or retries.one_more(model, run.loop.time())

    def _say(self, about: str, **data: Any) -> None:
        self._run.recorder.emit(Decision, self._request.path, about=about, data=data)

    def _show(self, twin: _Twin) -> None:
        """What was streamed of the slower answer no longer counts; the quicker one is shown whole."""
        recorder, path = self._run.recorder, self._request.path
        if self._streamed:
            self._streamed = False
            recorder.emit(Retracted, path, reason="the same call, sent again, was answered first")
        if recorder.streaming and twin.texts:
            recorder.emit(TextDelta, path, text="".join(twin.texts))


class _Twin(Call):
    """The second of two calls that are one: the same effect, with a permit and a reservation of its own."""

    __slots__ = ("_first", "texts")

    def __init__(self, call: Call, attempt: int, first: asyncio.Future[ModelResponse]) -> None:
        super().__init__(*call.parts, None, True)
        self._first = first
        self.purpose = call.purpose
        self.texts: list[str] = []
        self._attempts = attempt

    async def alone(self, price: Price | None, bound: int) -> ModelResponse:
        run = self._run
        ask = Ask(price, bound, self._request.max_output_tokens)
        await self._permitted(bound)
        try:
            hold = await run.budgets.reserve(self._chain, ask, self._request.path, self._model.id)
        except BaseException:
            self._give_back()
            raise
        self._visit = visit(run, self._model, self._request, self._key, bound)
        answer = run.flight.shielded(self._attempt, self._attempts, price, hold, bound)
        try:
            await asyncio.wait((answer,))
            return answer.result()
        except asyncio.CancelledError:
            run.flight.cut(answer, "the first of the two calls was answered first")
            raise
        finally:
            if self._visit is not None:
                self._visit.leave()

    async def _attempt(
        self, attempt: int, price: Price | None, hold: Hold, bound: int, goes_on: bool = False
    ) -> ModelResponse:
        if self._first.done() and _answered(self._first):  # in this very moment: nothing is begun any more
            self._run.budgets.release(hold)
            self._give_back()
            raise asyncio.CancelledError
        return await super()._attempt(attempt, price, hold, bound, goes_on)

    def _stream(self, text: str) -> None:
        self.texts.append(text)


def _heard(one: asyncio.Future[Any]) -> None:
    """What it failed with is recorded: asyncio need not complain where the other one's answer is taken."""
    if not one.cancelled():
        one.exception()


def _answered(one: asyncio.Future[ModelResponse]) -> bool:
    return not one.cancelled() and one.exception() is None
