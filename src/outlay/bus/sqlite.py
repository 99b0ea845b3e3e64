"""The embedded broker: one SQLite file for the processes of one machine, no server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from outlay.bus import sqlite_work as work
from outlay.bus.bells import Bells
from outlay.bus.broker import Buried, Envelope, Lease, Put
from outlay.bus.sqlite_file import open_file
from outlay.bus.sqlite_thread import SqliteThread
from outlay.protocols.bus import BusLimits

#: Seconds between looks for what other processes did, when nothing came of the first look and of many.
_FIRST_LOOK = 0.002
_LAST_LOOK = 0.05


async def open_sqlite(path: Path, limits: BusLimits, now: Callable[[], float]) -> SqliteBroker:
    """Raises ConfigError for what cannot be a bus."""
    connection = await asyncio.to_thread(open_file, path)
    return SqliteBroker(SqliteThread(connection, path), limits, now)


class SqliteBroker:
    """A `Broker`. What this process does wakes its own consumers at once; other processes' work is found by looking,
    every 2 ms at first and every 50 ms when idle, without a lock."""

    def __init__(self, thread: SqliteThread, limits: BusLimits, now: Callable[[], float]) -> None:
        self._thread = thread
        self._limits = limits
        self._now = now
        self._bells = Bells(_FIRST_LOOK, _LAST_LOOK)

    async def put(self, envelope: Envelope) -> Put:
        limits = self._limits
        job = partial(work.put, envelope=envelope, now=self._now(), window=limits.window, high_water=limits.high_water)
        done = await self._thread.do(job, durable=True)
        assert done is not None
        if done is Put.STORED:
            self.ring(envelope.topic)
        return done

    async def subscribe(self, topic: str, group: str) -> None:
        await self._thread.do(partial(work.subscribe, topic_name=topic, name=group, now=self._now()), durable=True)

    async def claim(self, topic: str, group: str) -> Lease | None:
        now = self._now()
        job = partial(work.claim, topic=topic, group_name=group, now=now, visibility=self._limits.visibility)
        return await self._thread.do(job, when=partial(work.anything, topic=topic, group=group, now=now))

    async def ack(self, lease: Lease) -> bool:
        return await self._change(lease, partial(work.finish, lease=lease))

    async def nack(self, lease: Lease, delay: float) -> bool:
        return await self._change(lease, partial(work.postpone, lease=lease, due=self._now() + delay))

    async def bury(self, lease: Lease, reason: str) -> bool:
        return await self._change(lease, partial(work.bury, lease=lease, reason=reason, now=self._now()))

    async def _change(self, lease: Lease, job: Callable[..., bool]) -> bool:
        done = await self._thread.do(job)
        self.ring(lease.topic)
        return bool(done)

    async def extend(self, lease: Lease) -> float | None:
        until = self._now() + self._limits.visibility
        return until if await self._thread.do(partial(work.postpone, lease=lease, due=until)) else None

    async def buried(self, topic: str, group: str | None, limit: int) -> list[Buried]:
        return await self._thread.do(partial(work.buried, topic=topic, group=group, limit=limit)) or []

    async def forget(self, topic: str, place: int) -> None:
        await self._thread.do(partial(work.forget, topic=topic, place=place))

    def ring(self, topic: str) -> None:
        self._bells.ring(topic)

    def seen(self, topic: str) -> int:
        return self._bells.seen(topic)

    async def changed(self, topic: str, since: int, empty: int) -> None:
        await self._bells.wait(topic, since, empty)

    async def close(self) -> None:
        self._bells.ring_all()
        await self._thread.stop()
