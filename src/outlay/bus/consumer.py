"""One member of a consumer group: claims when it is asked, never ahead (what waits in memory loses its lease)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from types import TracebackType

from outlay.bus.envelope import unseal
from outlay.bus.message import BusMessage, Hold
from outlay.errors import ConfigError

#: Seconds between looks whether a lease has run out, while all places are taken.
_LOOK = 0.05


class BusConsumer:
    """A `Consumer`: see `protocols.bus`. Several tasks may ask for messages at once; they take turns."""

    def __init__(self, topic: str, group: str, max_in_flight: int, hold: Hold) -> None:
        if max_in_flight < 1:
            raise ConfigError(f"max_in_flight must be at least 1, not {max_in_flight}", path=topic)
        self._topic = topic
        self._group = group
        self._max = max_in_flight
        self._hold = replace(hold, settled=self._settled)
        self._taken: set[BusMessage] = set()
        self._free = asyncio.Event()
        self._turn = asyncio.Lock()
        # Outlives who asked: a claim that is cut off half-way would keep its message from everybody until it expires.
        self._claim: asyncio.Task[BusMessage | None] | None = None
        self._joined = False
        self._closed = False

    def __aiter__(self) -> BusConsumer:
        return self

    async def __anext__(self) -> BusMessage:
        async with self._turn:
            await self._room()
            if self._closed:
                raise StopAsyncIteration
            if self._claim is None:
                self._claim = asyncio.create_task(self._next())
            try:
                message = await asyncio.shield(self._claim)
            finally:
                if self._claim.done():
                    self._claim = None
            if message is None:
                raise StopAsyncIteration
            self._taken.add(message)
            return message

    async def aclose(self) -> None:
        """End every wait; what was claimed for nobody goes back. Safe to call twice."""
        self._closed = True
        self._free.set()
        self._hold.broker.ring(self._topic)
        if self._claim is not None:
            # Its failure, if it failed, ended a wait for a message that nobody waits for.
            with contextlib.suppress(Exception):
                message = await self._claim
                if message is not None and message not in self._taken:
                    await message.nack("its consumer was closed", delay=0)

    async def __aenter__(self) -> BusConsumer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _room(self) -> None:
        while not self._closed:
            self._taken = {message for message in self._taken if message.open}
            if len(self._taken) < self._max:
                return
            self._free.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._free.wait()

    def _settled(self, message: BusMessage) -> None:
        self._taken.discard(message)
        self._free.set()

    async def _next(self) -> BusMessage | None:
        broker = self._hold.broker
        if not self._joined:
            await broker.subscribe(self._topic, self._group)
            self._joined = True
        seen = -1
        empty = 0
        while not self._closed:
            empty = empty + 1 if seen == broker.seen(self._topic) else 0
            seen = broker.seen(self._topic)
            if message := await self._take():
                return message
            if seen == broker.seen(self._topic) and not self._closed:
                await broker.changed(self._topic, seen, empty)
        return None

    async def _take(self) -> BusMessage | None:
        """The next message that this group has not given up on."""
        broker, limits = self._hold.broker, self._hold.limits
        while lease := await broker.claim(self._topic, self._group):
            if lease.attempt > limits.max_deliveries:
                # Whoever had it last died or was too slow, and could not say why.
                of = limits.max_deliveries
                await broker.bury(lease, f"not acknowledged within {limits.visibility:g} s, delivery {of} of {of}")
                continue
            try:
                content = unseal(lease.topic, lease.payload)
            except ConfigError as error:
                await broker.bury(lease, error.message)
                continue
            return BusMessage(lease, content, self._hold)
        return None
