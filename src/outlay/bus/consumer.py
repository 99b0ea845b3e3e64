"""One member of a consumer group: claims when it is asked, never ahead (what waits in memory loses its lease)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from types import TracebackType

from outlay.bus.envelope import unseal
from outlay.bus.message import BusMessage, Hold
from outlay.errors import ConfigError, OutlayError

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
        # One look, which outlives who asked for it: cut off half-way, its message would be nobody's until it expires.
        self._look: asyncio.Task[BusMessage | None] | None = None
        self._joined = False
        self._closed = False

    def __aiter__(self) -> BusConsumer:
        return self

    async def __anext__(self) -> BusMessage:
        broker = self._hold.broker
        async with self._turn:
            await self._room()
            empty = 0
            while not self._closed:
                seen = broker.seen(self._topic)
                if (message := await self._next()) is not None:
                    self._taken.add(message)
                    return message
                if not self._closed:
                    await broker.changed(self._topic, seen, empty)
                empty = empty + 1 if seen == broker.seen(self._topic) else 0
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End every wait; what was claimed for nobody goes back. Safe to call twice."""
        self._closed = True
        self._free.set()
        self._hold.broker.ring(self._topic)
        # A look that failed has nothing to give back.
        with contextlib.suppress(OutlayError):
            if (message := await self._next()) is not None:
                await message.hand_back()

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
        """What the last look found for somebody who left, or what a new one finds."""
        if self._look is None:
            if self._closed:
                return None
            self._look = asyncio.create_task(self._take())
        look = self._look
        await asyncio.wait([look])
        if self._look is not look:
            # Somebody else waited for it too, and was faster.
            return None
        self._look = None
        message = look.result()
        return message if message is not None and message.open else None

    async def _take(self) -> BusMessage | None:
        """The next message that this group has not given up on."""
        broker, limits = self._hold.broker, self._hold.limits
        if not self._joined:
            await broker.subscribe(self._topic, self._group)
            self._joined = True
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
