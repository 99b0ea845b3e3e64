"""One delivery, until it is settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from outlay.bus.broker import Broker, Lease
from outlay.bus.envelope import Content
from outlay.errors import BusFailed, Conflict, OutlayError, one_line
from outlay.protocols.bus import BusLimits, Headers

_log = logging.getLogger("outlay.bus")
#: How often a lease is extended while its `async with` block runs, in visibility timeouts.
_BEAT = 1 / 3


@dataclass(frozen=True, slots=True)
class Hold:
    """What all messages of a consumer share."""

    broker: Broker
    limits: BusLimits
    now: Callable[[], float]
    check: Callable[[], None]
    settled: Callable[[BusMessage], None]


class BusMessage:
    """A `Message`: see `protocols.bus`."""

    def __init__(self, lease: Lease, content: Content, hold: Hold) -> None:
        self._lease = lease
        self._content = content
        self._hold = hold
        self._until = lease.until
        self._outcome = ""
        self._beat: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<message {self.id} of {self.topic}, attempt {self.attempt}>"

    @property
    def id(self) -> str:
        return self._content.id

    @property
    def topic(self) -> str:
        return self._lease.topic

    @property
    def key(self) -> str | None:
        return self._content.key

    @property
    def body(self) -> Any:
        return self._content.body

    @property
    def headers(self) -> Headers:
        return self._content.headers

    @property
    def attempt(self) -> int:
        return self._lease.attempt

    @property
    def published(self) -> float:
        return self._content.published

    @property
    def leased_until(self) -> float:
        return self._until

    @property
    def open(self) -> bool:
        """Neither settled nor expired."""
        return not self._outcome and self._hold.now() < self._until

    async def ack(self) -> None:
        self._check("acknowledged")
        await self._settle("acknowledged", await self._hold.broker.ack(self._lease))

    async def nack(self, reason: str = "refused", *, delay: float | None = None) -> None:
        limits = self._hold.limits
        if self.attempt >= limits.max_deliveries:
            return await self.reject(reason)
        self._check("refused")
        wait = limits.retry_delay if delay is None else delay
        await self._settle("refused", await self._hold.broker.nack(self._lease, wait))

    async def hand_back(self) -> None:
        """Nobody saw it: whatever its attempt, that is no reason to bury it."""
        await self._settle("handed back", await self._hold.broker.nack(self._lease, 0))

    async def reject(self, reason: str) -> None:
        self._check("rejected")
        await self._settle("rejected", await self._hold.broker.bury(self._lease, reason))

    async def extend(self) -> None:
        self._check("extended")
        until = await self._hold.broker.extend(self._lease)
        if until is None:
            raise self._lost("extended")
        self._until = until

    async def __aenter__(self) -> BusMessage:
        self._check("worked on")
        self._beat = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beat is not None:
            self._beat.cancel()
        if self._outcome:
            return
        if error is None:
            await self.ack()
            return
        # The error of the block is what its caller should see, whatever becomes of the message.
        try:
            await self.nack(one_line(error))
        except OutlayError as lost:
            _log.warning("%r was not refused: %s", self, lost.message)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._hold.limits.visibility * _BEAT)
            try:
                await self.extend()
            except BusFailed as error:
                _log.warning("%r was not extended: %s", self, error.message)
            except OutlayError:
                return  # settled, lost or closed: whoever holds the message is told when it settles

    def _check(self, what: str) -> None:
        self._hold.check()
        if self._outcome:
            raise Conflict(f"message {self.id} cannot be {what}: it was {self._outcome} already", path=self.topic)
        if self._hold.now() >= self._until:
            raise self._lost(what)

    def _lost(self, what: str) -> Conflict:
        return Conflict(
            f"message {self.id} cannot be {what}: its lease of {self._hold.limits.visibility:g} s is over, "
            "another consumer may have it",
            path=self.topic,
            hint="work on it inside `async with message`, which keeps the lease, or call extend() in time",
        )

    async def _settle(self, outcome: str, ours: bool) -> None:
        self._outcome = outcome
        self._hold.settled(self)
        if not ours:
            raise self._lost(outcome)
