"""One batch, from its first request to its last answer: gathered, sent, waited for, and held against what was asked."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, TypeVar

from outlay.errors import BadRequest, BadResponse, ModelError, one_line
from outlay.events.records import BatchEnded, Decision
from outlay.policies.batching import Batching, Gathering, Reconciled, reconcile
from outlay.protocols.batches import Batches, Fate, Handed, Lost, Read, Seen, Traced
from outlay.protocols.clock import wall_clock
from outlay.protocols.transport import Transport
from outlay.runtime.state import RunState
from outlay.values.request import ModelRequest, ModelResponse

A = TypeVar("A")
log = logging.getLogger("outlay")
#: Turns of the loop without another call before a batch that all runs wait for is closed; a wake-up takes a few.
_QUIET_TURNS = 12
#: Results that are read before others have their turn.
_AT_ONCE = 200
#: Of what went wrong in one batch, so much is listed by name.
_LISTED = 20


@dataclass(slots=True, eq=False)
class Waiting:
    """A call that waits for its answer."""

    run: RunState
    client: Batches
    request: ModelRequest
    model: str
    answer: asyncio.Future[ModelResponse]

    def tell(self, **data: Any) -> None:
        """Record where it is, in its own run."""
        facts = {"agent": self.request.agent, "model": self.model, **data}
        self.run.recorder.emit(Decision, self.request.path, about="batch", data=facts)

    def fail(self, error: BaseException) -> None:
        """Each call gets an error of its own, which will say where it happened."""
        if not self.answer.done():
            self.answer.set_exception(copy.copy(error))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is kept of a batch: who may answer it, the provider's id (empty until it is known), when it was closed (in
    seconds since the epoch), and its requests."""

    group: str
    id: str
    since: float
    ids: tuple[str, ...]


class Lane(Protocol):
    """What a batch needs to know of the others (runtime/batches.py)."""

    batching: Batching
    waiting: dict[str, Waiting]

    def all_wait(self) -> bool: ...
    def closed(self, batch: Batch) -> None: ...
    def known(self) -> frozenset[str]: ...
    def gather(self, id: str, waiting: Waiting) -> None: ...
    def answered(self, id: str) -> None: ...
    async def write(self, batch: Batch) -> None: ...
    async def forget(self, batch: Batch) -> None: ...


class Batch:
    """`token` is our name for it, `id` the provider's (empty until it is known), `since` the time when it was closed,
    in seconds since the epoch."""

    def __init__(self, lane: Lane, client: Batches, transport: Transport, token: str) -> None:
        loop = asyncio.get_running_loop()
        self.client = client
        self.transport = transport
        self.token = token
        self.group = client.group
        self.id = ""
        self.since = 0.0
        self.at_work = False
        self._lane = lane
        self._time = loop.time
        self._wall = wall_clock(loop)
        self._state: Literal["open", "out", "over"] = "open"
        self._handed: dict[str, Handed] = {}
        limits = lane.batching
        self._gathering = Gathering(
            replace(
                limits,
                max_requests=min(limits.max_requests, client.most_requests),
                max_bytes=min(limits.max_bytes, client.most_bytes),
            ),
            loop.time(),
        )
        self._changed = asyncio.Event()
        self._ids: tuple[str, ...] = ()
        self._read: dict[str, Read] = {}

    @classmethod
    def found(cls, lane: Lane, client: Batches, transport: Transport, token: str, facts: Facts) -> Self:
        """One that an earlier process closed; where it has no id, nobody knows whether it was sent."""
        made = cls(lane, client, transport, token)
        made.group, made.id, made.since, made._ids = facts.group, facts.id, facts.since, facts.ids
        made._state = "out"
        return made

    @property
    def ids(self) -> Sequence[str]:
        return self._ids or tuple(self._handed)

    @property
    def is_out(self) -> bool:
        """It is sent, or may be, and its results have not been read."""
        return self._state == "out"

    @property
    def is_over(self) -> bool:
        return self._state == "over"

    def takes(self, handed: Handed) -> bool:
        return self._state == "open" and self._gathering.fits(len(handed.line))

    def add(self, handed: Handed) -> None:
        self._handed[handed.id] = handed
        self._gathering.add(len(handed.line), self._time())
        self.look()

    def look(self) -> None:
        """Something has changed: is it to be closed?"""
        self._changed.set()

    def withdraw(self, id: str) -> bool:
        """Nobody waits for it any more: it is left out, where there is still time for that."""
        return self._state == "open" and self._handed.pop(id, None) is not None

    def hand_over(self, id: str) -> None:
        """Give a call what became of it, if it waits."""
        waiting = self._lane.waiting.get(id)
        if waiting is None:
            return
        read = self._read.get(id) or Read("missing", error=_missing(self.id))
        self._lane.answered(id)
        if read.error is not None:
            waiting.fail(read.error)
        elif not waiting.answer.done():
            assert read.response is not None
            waiting.answer.set_result(read.response)

    async def live(self) -> None:
        """All of it. What fails on our side is told to those that wait; the batch may be taken up again."""
        try:
            if self._state == "open":
                await self._filled()
                arrived = await self._submitted()
            else:
                arrived = bool(self.id) or await self._found_again()
            if arrived:
                await self._finished(await self._ended())
        except Exception as error:
            log.debug("a batch is left as it is", exc_info=True)
            for waiting in self._waiting():
                waiting.fail(error)
        finally:
            self.at_work = False

    def _waiting(self) -> list[Waiting]:
        found = self._lane.waiting
        return [found[id] for id in self.ids if id in found]

    # ── until it is sent ──────────────────────────────────────────────────────────────────────────────────────

    async def _filled(self) -> None:
        """Until it is to be closed."""
        while (left := self._gathering.due() - self._time()) > 0:
            if self._lane.all_wait() and await self._nothing_moves():
                return
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    async def _nothing_moves(self) -> bool:
        """Who has just been given something may be about to go on."""
        size = self._gathering.requests
        for _ in range(_QUIET_TURNS):
            await asyncio.sleep(0)
            if self._gathering.requests != size or not self._lane.all_wait():
                return False
        return True

    async def _submitted(self) -> bool:
        """Durable first, then sent. False where it is known not to have arrived, which those that wait are told."""
        self._lane.closed(self)
        self._leave_out_the_dead()
        self._ids, handed = tuple(self._handed), list(self._handed.values())
        if not handed:
            self._state = "over"
            return False
        self._state, self.since = "out", self._wall()
        await self._lane.write(self)
        self._handed.clear()
        try:
            self.id = await self.client.submit(self.token, handed, self.transport)
        except ModelError as error:
            if not (error.may_be_billed and await self._traced()):
                refusal = copy.copy(error)
                refusal.may_be_billed = False
                await self._over(dict.fromkeys(self.ids, Read("failed", error=refusal)))
                return False
        await self._lane.write(self)
        for id in self.ids:
            if (waiting := self._lane.waiting.get(id)) is not None:
                waiting.tell(batch=self.id, custom_id=id, requests=len(self.ids))
        return True

    def _leave_out_the_dead(self) -> None:
        """A run that has ended meanwhile sends nothing more."""
        for id in list(self._handed):
            waiting = self._lane.waiting.get(id)
            if waiting is None or waiting.run.closed is not None:
                del self._handed[id]
                self._lane.answered(id)
                if waiting is not None and waiting.run.closed is not None:
                    waiting.fail(waiting.run.closed)

    async def _found_again(self) -> bool:
        """A crash came between the submission and its answer. What never arrived is gathered anew."""
        if await self._traced():
            await self._lane.write(self)
            return True
        left = [(id, self._lane.waiting[id]) for id in self.ids if id in self._lane.waiting]
        self._state = "over"
        await self._lane.forget(self)
        for id, waiting in left:
            self._lane.gather(id, waiting)
        return False

    async def _traced(self) -> bool:
        """Look for it at the provider until it is there, or certainly is not."""
        looks = 0
        while True:
            lost = Lost(self.token, self.ids, self.since, self._lane.known())
            found = await self._patiently(self.client.trace, lost) or Traced(unclear=True)
            if found.id:
                self.id = found.id
                return True
            if not found.unclear and self._wall() >= self.since + self._lane.batching.settle:
                return False
            await asyncio.sleep(self._lane.batching.pause(looks))
            looks += 1

    # ── until it is answered ──────────────────────────────────────────────────────────────────────────────────

    async def _ended(self) -> Seen:
        looks = 0
        while True:
            try:
                seen = await self._patiently(self.client.look, self.id)
            except BadRequest as error:
                if error.status != 404:
                    raise
                return Seen(self.id, True, _gone(self.id))
            if seen is not None and seen.ended:
                return seen
            await asyncio.sleep(self._lane.batching.pause(looks))
            looks += 1

    async def _patiently(self, ask: Callable[[Any, Transport], Awaitable[A]], what: Any) -> A | None:
        """The answer, None where the provider cannot say it now. Raises what will not get better by itself."""
        try:
            return await ask(what, self.transport)
        except ModelError as error:
            if not error.retryable:
                raise
            log.info("batch %s: %s", self.id or self.token, error)
            return None

    async def _finished(self, seen: Seen) -> None:
        if seen.refused is not None:
            await self._over(dict.fromkeys(self.ids, Read("failed", error=seen.refused)))
            return
        lines: list[bytes] | None = None
        looks = 0
        while (lines := await self._patiently(self.client.lines, seen)) is None:
            await asyncio.sleep(self._lane.batching.pause(looks))
            looks += 1
        found = reconcile(self.ids, lines)
        read: dict[str, Read] = {}
        for n, (id, line) in enumerate(found.answers.items()):
            read[id] = self.client.read(line)
            if n % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        for id in found.missing:
            read[id] = Read("missing", error=_missing(self.id))
        await self._over(read, found)

    async def _over(self, read: dict[str, Read], found: Reconciled | None = None) -> None:
        """Tell one run what became of the whole, and each call what became of it."""
        self._read, self._state = read, "over"
        waiting = self._waiting()
        if waiting:
            first = waiting[0]
            first.run.recorder.emit(BatchEnded, first.request.path, **self._account(found or Reconciled()))
        for n, id in enumerate(self.ids):
            self.hand_over(id)
            if n % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)

    def _account(self, found: Reconciled) -> dict[str, Any]:
        fates: Counter[Fate] = Counter(read.fate for read in self._read.values())
        listed = [f"{read.fate} {id}{_why(read)}" for id, read in self._read.items() if read.fate != "answered"]
        listed += [f"came twice {id}" for id in found.duplicate]
        listed += [f"never asked {_shown(id)}" for id in found.unknown]
        return {
            "batch": self.id or self.token,
            "provider": self.group.split(" ", 1)[0],
            "requests": len(self.ids),
            "answered": fates["answered"],
            "failed": fates["failed"],
            "expired": fates["expired"],
            "cancelled": fates["cancelled"],
            "missing": fates["missing"],
            "duplicate": len(found.duplicate),
            "unknown": len(found.unknown),
            "unreadable": found.unreadable,
            "listed": tuple(listed[:_LISTED]),
            "seconds": max(0.0, self._wall() - self.since),
        }


def _why(read: Read) -> str:
    """Of those that failed by themselves, each has a reason of its own."""
    return f": {one_line(read.error)[:120]}" if read.fate == "failed" and read.error is not None else ""


def _missing(batch: str) -> BadResponse:
    return BadResponse(f"batch {batch} ended and holds no answer to this request")


def _gone(batch: str) -> BadResponse:
    return BadResponse(f"batch {batch} is no longer at the provider, and nobody knows its results")


def _shown(id: str) -> str:
    """A foreign name, fit for a line."""
    return "".join(c if c.isprintable() else "?" for c in id[:64])
