"""Wake-ups within a process: who waits for a topic is woken by whoever changes it."""

from __future__ import annotations

import asyncio
from collections import Counter


class Bells:
    """Counted, so that what rings between a look in vain and the wait for the next one is not missed.

    `first` and `last`: seconds to wait after the first look in vain, and at most; it doubles in between.
    """

    def __init__(self, first: float, last: float) -> None:
        self._first = first
        self._last = last
        self._rung: Counter[str] = Counter()
        self._waiting: dict[str, asyncio.Event] = {}

    def seen(self, topic: str) -> int:
        return self._rung[topic]

    def ring(self, topic: str) -> None:
        self._rung[topic] += 1
        if (event := self._waiting.pop(topic, None)) is not None:
            event.set()

    def ring_all(self) -> None:
        for topic in list(self._waiting):
            self.ring(topic)

    async def wait(self, topic: str, since: int, empty: int) -> None:
        if self._rung[topic] != since:
            return
        event = self._waiting.setdefault(topic, asyncio.Event())
        try:
            async with asyncio.timeout(min(self._last, self._first * 2 ** min(empty, 10))):
                await event.wait()
        except TimeoutError:
            pass
