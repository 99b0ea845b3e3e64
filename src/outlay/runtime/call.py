"""The path of a model call (SEMANTICS 3):

    label check → journal → response cache → for each attempt: breaker → rate permit → reserve → intent durable
    → transport → settle and result → events

One layer retries, and it is this one: each attempt reserves anew, is counted, and is billed if the provider did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from outlay.analysis.journal import Record
from outlay.errors import (
    BudgetExceeded,
    ContextTooLong,
    DeadlineExceeded,
    ModelError,
    OutputTruncated,
    Refused,
    Stopped,
    one_line,
)
from outlay.events.records import (
    CACHED,
    COMPACTION,
    CallFailed,
    CallFinished,
    CallStarted,
    CircuitChanged,
    Decision,
    Overrun,
    Retracted,
    TextDelta,
)
from outlay.policies.ledger import RESOURCES, Ask, Hold
from outlay.protocols.model import Model
from outlay.protocols.stages import UNSTAGED, AnswerKey, Breaker, Given, Lane
from outlay.runtime.asking import raise_of
from outlay.runtime.batched import BATCH, Sent, batch_of, goes_live, saved_by_batch
from outlay.runtime.budgets import Chain, exhausted
from outlay.runtime.caching import Visit, visit
from outlay.runtime.request_facts import call_key, foreign_blocks, largest_segments, request_hash
from outlay.runtime.stale import say_stale, stale_answer
from outlay.runtime.state import RunState
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse
from outlay.values.stored import dump, is_whole
from outlay.values.usage import Usage

_THINKING_SHOWN = 400
#: Where an agent declares no `min_output_tokens`, a budget may clip its output cap to a quarter.
_LEAST_SHARE = 4
#: Seconds of waiting for a provider's limits that are worth an event.
_NOTICED = 0.5
_NOT_AGAIN = "many calls to this provider fail, so they are not tried again for a while"
_LIST_PRICE = frozenset(("", "standard", "default", "auto", "on_demand"))


class Call:
    """One logical call: its identity, its reservations, its attempts."""

    __slots__ = (
        "_alone",
        "_attempts",
        "_batch",
        "_chain",
        "_deadline",
        "_finish",
        "_key",
        "_model",
        "_permit",
        "_request",
        "_run",
        "_sent",
        "_spare",
        "_stages",
        "_streamed",
        "_visit",
        "purpose",
    )

    def __init__(
        self,
        run: RunState,
        model: Model,
        request: ModelRequest,
        key: str,
        chain: Chain,
        deadline: float | None,
        finish: Hold | None,
        spare: bool,
    ) -> None:
        self._run = run
        self._model = model
        self._request = request
        self._key = key
        self._chain = chain
        self._deadline = deadline
        self._finish = finish
        self.purpose = "finish" if finish is not None else "work"
        self._spare = spare
        self._streamed = False
        #: What stands between this attempt and its provider; a batch has no need of limits and breakers.
        self._stages = run.stages
        #: The lane of this attempt, None where it goes out at once.
        self._batch: Lane | None = None
        #: The attempt that an earlier leg sent in a batch.
        self._sent: Sent | None = None
        self._permit: Any = None
        #: No other model and no older answer could stand in.
        self._alone = False
        #: What this attempt has to do with its provider's prompt cache.
        self._visit: Visit | None = None
        #: So far, those of earlier legs of this run and of other models included.
        self._attempts: int = 0

    def again(self, event: CallFinished) -> ModelResponse:
        """The answer that an earlier leg of the run paid for."""
        run, past = self._run, self._run.past
        assert past is not None
        response = past.response(event)
        tokens = 0 if response.usage is None else response.usage.total_tokens
        run.budgets.carry(self._chain, event.cost, tokens)
        if event.stale:
            say_stale(run, self._request.path, event.stale)
        if response.usage is not None:
            longest = run.longest_answers.get(self._request.agent, 0)
            run.longest_answers[self._request.agent] = max(longest, response.usage.output_tokens)
        return response

    def resend(self, record: Record) -> None:
        """The call was begun in an earlier leg: its attempts go on counting. One without an end is sent again, and
        the provider may bill both."""
        self._attempts = record.attempts
        if record.unanswered and isinstance(record.intent, CallStarted) and record.intent.lane:
            self._sent = Sent(record.intent)
            self._attempts = record.intent.attempt
        elif record.in_doubt:
            data = {"model": self._model.id, "attempt": record.attempts + 1}
            self._run.recorder.emit(Decision, self._request.path, about="sent_again", data=data)

    async def answer(
        self,
        least_output_tokens: int | None,
        max_input_tokens: int | None,
        draw: Callable[[], float],
        fallback: Sequence[Model] = (),
    ) -> ModelResponse:
        """The model's answer, or that of the first `fallback` that gives one.

        Raises ModelError, Stopped, UnpricedModel, PolicyViolation.
        """
        stages = self._run.stages
        if stages.journal is not None and (known := await stages.journal.find(self._key, self._request)) is not None:
            return known
        asked, stored = self._model, None
        if stages.cache is not None and self._request.reuse is not None:
            stored = self._stored_key()
            if (given := await stages.cache.find(stored, self._request)) is not None:
                return await self._given_again(given)
        if self._sent is not None:
            self._model = self._sent.of((self._model, *fallback)) or self._model
        spare = others(self._model, fallback)
        self._alone = not fallback and self._request.reuse is None
        refused = False  # a batch could not answer it, and it is asked at once
        while True:
            self._batch = (
                None if refused else batch_of(self._run, self._model, self._request, self._deadline, self._sent)
            )
            # a batch has limits of its own, and says nothing of how a provider's answers at once are doing
            self._stages = self._run.stages if self._batch is None else UNSTAGED
            try:
                response = await self._tried(least_output_tokens, max_input_tokens, draw)
                break
            except ModelError as error:
                if self._batch is not None and goes_live(self._run, self._model, self._request, self._batch, error):
                    refused = True
                    continue
                other = next(spare, None)
                if other is None and stored is not None:
                    old = await stale_answer(self._run, stages.cache, stored, self._request, error)
                    if old is not None:
                        return await self._given_again(Given(old[0]), old[1])
                self._fall_back(error, other)
            finally:
                if self._visit is not None:
                    self._visit.leave()
        if stages.journal is not None:
            await stages.journal.remember(self._key, self._request, response)
        if stored is not None and stages.cache is not None and self._model is asked:  # another's answer is not its own
            await stages.cache.remember(stored, self._request, response)
        return response

    def _stored_key(self) -> AnswerKey:
        tenants = sorted(account.budget.scope for account in self._chain if account.budget.scope is not None)
        return AnswerKey(self._model.provider, self._model.id, self._key, tuple(tenants))

    async def _given_again(self, given: Given, stale: str = "") -> ModelResponse:
        """Record an answer that costs nothing: a call of the purpose `cached`, and what it would have cost. `stale`
        says why it stands in for a newer one."""
        run, request, response = self._run, self._request, given.response
        message = response.message
        price = run.directory.price(self._model)
        saved = None if price is None or response.usage is None else str(price.cost(response.usage))
        data: dict[str, Any] = {"agent": request.agent, "model": self._model.id, "key": self._key, "saved": saved}
        if given.similarity is not None:
            data["similarity"] = round(given.similarity, 4)
        run.recorder.emit(Decision, request.path, about="stored_answer", data=data)
        after = request.transcript.append(message)
        run.recorder.keep(request.transcript, request.prelude)
        run.recorder.keep(after)
        whole = "" if run.recorder.store is None or is_whole(message) else run.recorder.keep_content(dump(message))
        run.recorder.emit(
            CallFinished,
            request.path,
            agent=request.agent,
            model=self._model.id,
            attempt=self._attempts + 1,
            key=self._key,
            purpose=CACHED,
            returned=response.model,
            input_tokens=0,
            cache_read_tokens=0,
            cache_write_tokens=0,
            output_tokens=0,
            cost=Decimal(0),
            stop=response.stop,
            tools=tuple(call.name for call in message.tool_calls),
            head=after.head.hex(),
            message=whole,
            stale=stale,
        )
        if stale:
            say_stale(run, request.path, stale)
        await run.recorder.durable()
        return response

    async def _tried(
        self, least_output_tokens: int | None, max_input_tokens: int | None, draw: Callable[[], float]
    ) -> ModelResponse:
        """One model's answer, in as many attempts as it is worth."""
        run, stages, batch = self._run, self._stages, self._batch
        price = run.directory.price(self._model) if batch is None else run.directory.price_at(self._model, BATCH)
        bound = await self._input_bound(max_input_tokens)
        self._visit = None if batch is not None else visit(run, self._model, self._request, self._key, bound)
        goes_on = batch is not None and self._sent is not None and self._sent.goes_on(run, self._model)
        self._sent = None
        attempt, began = 0, run.loop.time()
        while True:
            attempt += 1
            if self._visit is not None:
                await self._visit.turn(self._deadline)
            if stages.breaker is not None:
                stages.breaker.admit(self._model, run.loop.time())
            await self._permitted(bound)
            try:
                if run.closed is not None:
                    raise run.closed
                hold, bound = await self._reserve(price, bound, least_output_tokens)
                if run.closed is not None:  # it ended while this call waited in line
                    run.budgets.release(hold)
                    raise run.closed
            except BaseException:
                self._give_back()
                raise
            if attempt == 1 and stages.retries is not None:
                stages.retries.first(self._model, run.loop.time())
            self._attempts += not goes_on
            try:
                response = await self._begin(price, hold, bound, goes_on)
            except ModelError as error:
                goes_on = False
                delay = self._retry_delay(error, attempt, began, draw)
                if delay is None:
                    raise
                await asyncio.sleep(delay)
                if not self._still_worth_it(error):
                    raise
                continue
            if response.stop == "length" and hold.output_tokens < self._request.max_output_tokens:
                raise self._cut_short(hold)
            return response

    def _begin(self, price: Price | None, hold: Hold, bound: int, goes_on: bool) -> Awaitable[ModelResponse]:
        """One attempt: the answer, when there is one. A hedged call is more than one (runtime/hedge.py)."""
        return self._run.flight.shielded(self._attempt, self._attempts, price, hold, bound, goes_on)

    @property
    def parts(self) -> tuple[RunState, Model, ModelRequest, str, Chain, float | None]:
        """What another attempt at the same call is made of."""
        return self._run, self._model, self._request, self._key, self._chain, self._deadline

    async def _permitted(self, bound: int) -> None:
        """Wait for the provider's limits; a wait that anybody would notice is said."""
        run = self._run
        permits = self._stages.permits
        if permits is None:
            return
        since = run.loop.time()
        if self._deadline is not None and (least := permits.least(self._model)) > self._deadline - since > 0:
            stop = deadline_exceeded(self._request.path)
            stop.message = (
                f"{self._deadline - since:.2f} s are left of the time budget, and {self._model.id} has not answered in "
                f"less than {2 * least:.2f} s lately: the call was not begun"
            )
            raise run.stopped(stop)
        self._permit = await permits.acquire(self._model, bound, run.id)
        waited = run.loop.time() - since
        if waited >= _NOTICED:
            data = {"model": self._model.id, "seconds": round(waited, 3)}
            run.recorder.emit(Decision, self._request.path, about="paced", data=data)

    def _give_back(self, came: ModelResponse | ModelError | None = None, seconds: float | None = None) -> None:
        """The permit, once: with what came of the call and when, where it was sent."""
        permits, permit = self._stages.permits, self._permit
        self._permit = None
        if permits is None or permit is None:
            return
        if seconds is not None:
            permits.release(self._model, permit, came, seconds)
        else:
            permits.unused(self._model, permit)

    def _fall_back(self, error: ModelError, model: Model | None) -> None:
        """Go on with another model. Raises the error where there is none, or where one would not be asked for it: a
        refusal is an answer, and the run may be over."""
        run = self._run
        if model is None or run.closed is not None or isinstance(error, Refused | OutputTruncated):
            raise error
        if self._deadline is not None and run.loop.time() >= self._deadline:
            raise error
        data = {"from": self._model.id, "to": model.id, "after": one_line(error)}
        run.recorder.emit(Decision, self._request.path, about="fallback", data=data)
        self._model = model

    async def _input_bound(self, most: int | None) -> int:
        """The upper bound of the input; refused where it is over the agent's own limit."""
        bound = self._model.bound(self._request)
        if most is None or bound <= most:
            return bound
        exact = await self._model.count(self._request, self._run.transport)
        counted = bound if exact is None else exact
        if counted > most:
            segments = ", ".join(f"{name} {size:,} bytes" for name, size in largest_segments(self._request))
            raise ContextTooLong(
                f"agent {self._request.agent}: the input is {'at most ' if exact is None else ''}{counted:,} tokens, "
                f"max_input_tokens is {most:,}; the largest parts: {segments}",
                path=self._request.path,
                hint="shorten the largest part, or raise max_input_tokens",
            )
        return counted

    async def _reserve(self, price: Price | None, bound: int, declared: int | None) -> tuple[Hold, int]:
        """A reservation, after asking for the exact token count where only the bound is too coarse to fit."""
        cap = self._request.max_output_tokens
        longest = self._run.longest_answers

        def least() -> int:
            if declared is not None:
                return declared
            # a clip below what this agent's answers have needed would pay for one that breaks off
            return max(cap // _LEAST_SHARE, longest.get(self._request.agent, 0), 1)

        ask = Ask(price, bound, cap, least)
        try:
            hold = await self._run.budgets.reserve(
                self._chain, ask, self._request.path, self._model.id, self._open_finish()
            )
        except BudgetExceeded as refused:
            exact = None
            if refused.resource in ("usd", "tokens"):
                exact = await self._model.count(self._request, self._run.transport)
            if exact is None or exact >= bound:
                await self._refused(refused, bound)
                return await self._reserve(price, bound, declared)
            bound = exact
            ask = Ask(price, bound, cap, least)
            try:
                hold = await self._run.budgets.reserve(self._chain, ask, self._request.path, self._model.id)
            except BudgetExceeded as still:
                await self._refused(still, bound)
                return await self._reserve(price, bound, declared)
        if hold.output_tokens < cap:
            self._run.recorder.emit(
                Decision,
                self._request.path,
                about="clip",
                data={"max_output_tokens": hold.output_tokens, "requested": cap, "reserved": str(hold.usd)},
            )
        return hold, bound

    async def _refused(self, error: BudgetExceeded, bound: int) -> None:
        """Raises the stop. Under `on_exhausted="pause"` the branch first waits for a higher budget, unless it can be
        skipped; returns where it was given."""
        stop = self._run.stopped(error)
        if self._visit is not None:
            self._visit.leave()  # it may wait for long
        limit = None
        if error.on_exhausted == "pause" and not self._spare:
            self._give_back()  # who waits for a human keeps nobody waiting
            limit = await raise_of(self._run, self._request.path, error)
        if limit is None:
            raise stop from None
        for resource in RESOURCES:
            for account in self._chain:
                same = account.name == error.scope and resource == error.resource
                if same and account.limit(resource) == error.limit:  # else another branch has raised it
                    account.raise_to(resource, limit)
        self._run.stops.remove(stop)
        if self._permit is None:
            await self._permitted(bound)

    def _open_finish(self) -> Hold | None:
        return self._finish if self._finish is not None and self._finish.open else None

    async def _attempt(
        self, attempt: int, price: Price | None, hold: Hold, bound: int, goes_on: bool = False
    ) -> ModelResponse:
        """One attempt, in a task of its own: whatever happens to the branch, it is settled and recorded. One that goes
        on was begun, and recorded as begun, by an earlier leg of the run."""
        run, request, model = self._run, self._request, self._model
        recorder = run.recorder
        sent: float | None = None
        try:
            if hold.output_tokens < request.max_output_tokens:
                request = _with_cap(request, hold.output_tokens)
            recorder.keep(request.transcript, request.prelude)
            if left_out := foreign_blocks(request, model):
                recorder.emit(Decision, request.path, about="dropped_blocks", data={"model": model.id} | left_out)
            if not goes_on:
                recorder.emit(
                    CallStarted,
                    request.path,
                    agent=request.agent,
                    model=model.id,
                    attempt=attempt,
                    key=self._key,
                    purpose=self.purpose,
                    reserved=hold.usd if price is not None else None,
                    input_bound=bound,
                    max_output_tokens=request.max_output_tokens,
                    head=request.transcript.head.hex(),
                    prelude=request.prelude.digest.hex(),
                    lane="" if self._batch is None else BATCH,
                )
            await recorder.durable()
            on_text = self._stream if recorder.streaming and self.purpose != COMPACTION else None
            if self._visit is not None:
                request = self._visit.decide(request)
                on_text = self._visit.listening(on_text)
            sent = run.loop.time()
            if self._batch is None:
                answer = model.send(request, run.transport, on_text)
            else:
                answer = self._batch.answer(run, model, request, self._key, attempt, again=goes_on)
            if self._deadline is None:
                response = await answer
            else:
                async with asyncio.timeout_at(self._deadline):
                    response = await answer
        except BaseException as error:
            raised = self._failed(error, attempt, hold, sent, price)
            if raised is error:
                raise
            raise raised from error
        self._settle(attempt, price, hold, response, run.loop.time() - sent)
        return response

    def _settle(self, attempt: int, price: Price | None, hold: Hold, response: ModelResponse, seconds: float) -> None:
        run, request, usage = self._run, self._request, response.usage
        if response.tier not in _LIST_PRICE and price is not None:
            price = run.directory.price_at(self._model, response.tier)
        cost: Decimal | None = None
        if usage is None:
            run.budgets.doubt(hold)  # unreported is unknown: the reservation is the only figure there is
        else:
            longest = run.longest_answers.get(request.agent, 0)
            run.longest_answers[request.agent] = max(longest, usage.output_tokens)
            cost = None if price is None else price.cost(usage)
            run.budgets.settle(hold, cost, usage.total_tokens)
            if cost is not None and cost > hold.usd:
                run.recorder.emit(Overrun, request.path, model=self._model.id, reserved=hold.usd, cost=cost)
        message = response.message
        after = request.transcript.append(message)
        run.recorder.keep(after)
        whole = "" if run.recorder.store is None or is_whole(message) else run.recorder.keep_content(dump(message))
        run.recorder.emit(
            CallFinished,
            request.path,
            agent=request.agent,
            model=self._model.id,
            attempt=attempt,
            key=self._key,
            purpose=self.purpose,
            returned=response.model,
            input_tokens=None if usage is None else usage.input_tokens,
            cache_read_tokens=None if usage is None else usage.cache_read_tokens,
            cache_write_tokens=None if usage is None else usage.cache_write_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            cost=cost,
            seconds=seconds,
            first_token=response.first_token,
            stop=response.stop,
            tools=tuple(call.name for call in message.tool_calls),
            thinking=message.thinking[:_THINKING_SHOWN],
            request_id=response.request_id,
            head=after.head.hex(),
            raw_usage=None if usage is None or usage.raw is None else dict(usage.raw),
            raw_stop=response.raw_stop,
            message=whole,
            cache_write_1h_tokens=0 if usage is None else usage.cache_write_1h_tokens,
            saved=None if usage is None or price is None else _saved(price, usage),
            lane="" if self._batch is None else BATCH,
            lane_saved=None if self._batch is None else saved_by_batch(run, self._model, self._request, usage, cost),
        )
        self._give_back(response, seconds)
        if self._visit is not None:
            self._visit.answered(response, after)
        if self._stages.breaker is not None:
            self._tell_breaker(self._stages.breaker, None, run.loop.time() - seconds)

    def _failed(
        self, error: BaseException, attempt: int, hold: Hold, sent: float | None, price: Price | None
    ) -> BaseException:
        """Settle and record a failed attempt; the error to raise for it."""
        run, request = self._run, self._request
        raised: BaseException = error
        if isinstance(error, TimeoutError) and not isinstance(error, ModelError):
            raised = deadline_exceeded(request.path)
        in_doubt = sent is not None and (
            error.may_be_billed
            if isinstance(error, ModelError)
            else not isinstance(error, Exception) or raised is not error
        )
        out = False
        if self._batch is not None:
            out = self._batch.is_out(run, self._key, attempt)
            in_doubt = out or (in_doubt and isinstance(error, ModelError))  # who leaves before it is sent owes nothing
        if in_doubt:
            run.budgets.doubt(hold)
        else:
            run.budgets.release(hold)
        if isinstance(error, ModelError) and not error.path:
            error.path = request.path
        if out:
            return raised  # its batch goes on: the attempt stays open, and whoever resumes the run takes it up
        seconds = None if sent is None else run.loop.time() - sent
        run.recorder.emit(
            CallFailed,
            request.path,
            agent=request.agent,
            model=self._model.id,
            attempt=attempt,
            key=self._key,
            purpose=self.purpose,
            error=type(raised).__name__,
            message=str(getattr(error, "message", "") or error)[:500],
            status=getattr(error, "status", None),
            seconds=seconds or 0.0,
            in_doubt=hold.usd if in_doubt and price is not None else None,
            maybe_billed=in_doubt,
            request_id=getattr(error, "request_id", ""),
        )
        self._give_back(error if isinstance(error, ModelError) else None, seconds)
        if self._visit is not None:
            self._visit.failed()
        if self._streamed:
            run.recorder.emit(Retracted, request.path, reason=f"{type(raised).__name__}: the attempt failed")
            self._streamed = False
        if self._stages.breaker is not None and isinstance(error, ModelError) and sent is not None:
            self._tell_breaker(self._stages.breaker, error, sent)
        return raised

    def _tell_breaker(self, breaker: Breaker, error: ModelError | None, sent: float) -> None:
        run = self._run
        turned = breaker.record(self._model, error, sent, run.loop.time())
        if turned is None:
            return
        run.recorder.emit(
            CircuitChanged, self._request.path, target=turned.target, state=turned.state, reason=turned.reason
        )
        event = run.recorder.events[-1]
        if run.warn is not None and isinstance(event, CircuitChanged):
            run.warn(event)

    def _retry_delay(self, error: ModelError, attempt: int, began: float, draw: Callable[[], float]) -> float | None:
        run = self._run
        if run.closed is not None or isinstance(error, OutputTruncated):
            return None
        left = None if self._deadline is None else self._deadline - run.loop.time()
        if self._batch is not None and self._batch.on_failure != "retry":
            return None
        delay = run.retry.delay(error, attempt, draw(), left, alone=self._alone)
        if delay is not None and not self._worth_a_retry(error, began):
            return None
        if delay is not None:
            run.recorder.emit(
                Decision,
                self._request.path,
                about="retry",
                data={"attempt": attempt + 1, "in_seconds": round(delay, 3), "after": type(error).__name__},
            )
        else:
            error.hint = error.hint or run.retry.gave_up(error, attempt)
        return delay

    def _worth_a_retry(self, error: ModelError, began: float) -> bool:
        """Would the provider be helped or hurt by another attempt?"""
        breaker, retries = self._stages.breaker, self._stages.retries
        if breaker is not None and not breaker.passes(self._model):
            return False
        if retries is None or retries.again(self._model, error, self._run.loop.time(), began):
            return True
        error.hint = error.hint or _NOT_AGAIN
        return False

    def _still_worth_it(self, error: ModelError) -> bool:
        """Calls that fail together know of each other only when the first of them would go again."""
        breaker, retries = self._run.stages.breaker, self._run.stages.retries
        since = None if breaker is None else breaker.down_since(self._model)
        if retries is None or retries.goes(self._model, error, self._run.loop.time(), since):
            return True
        error.hint = error.hint or _NOT_AGAIN
        return False

    def _stream(self, text: str) -> None:
        self._streamed = True
        self._run.recorder.emit(TextDelta, self._request.path, text=text)

    def _cut_short(self, hold: Hold) -> Stopped:
        assert hold.clipped is not None
        stop = exhausted(hold.clipped, self._request.path)
        stop.message = (
            f"the budget left room for {hold.output_tokens} output tokens of {self._request.max_output_tokens}, "
            "and the answer did not fit"
        )
        stop.hint = "raise the budget, or lower max_output_tokens and ask for shorter answers"
        return self._run.stopped(stop)


def others(model: Model, fallback: Sequence[Model]) -> Iterator[Model]:
    """The models to go on with, each once: a replacement may stand for several."""
    tried = [model]
    for other in fallback:
        if all(other is not one for one in tried):
            tried.append(other)
            yield other


def deadline_exceeded(path: str, seconds: float | None = None) -> DeadlineExceeded:
    limit = "" if seconds is None else f" of {seconds:g} s"
    return DeadlineExceeded(
        f"the time budget{limit} is used up", seconds=seconds, path=path, hint="raise seconds= of the budget"
    )


def _saved(price: Price, usage: Usage) -> Decimal | None:
    """What the prompt cache saved this call; None where it had no part in it."""
    if not (usage.cache_read_tokens or usage.cache_write_tokens):
        return None
    return price.cost(usage.without_cache()) - price.cost(usage)


def _with_cap(request: ModelRequest, cap: int) -> ModelRequest:
    return replace(request, max_output_tokens=cap, clipped=True)


__all__ = ["Call", "call_key", "deadline_exceeded", "request_hash"]
