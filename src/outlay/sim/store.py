"""SimStore: a store whose commits take drawn times, and of which a crash leaves what had become durable."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from outlay.errors import Conflict, StoreFailed
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Fence, Row
from outlay.protocols.upkeep import PAGE_EVENTS, Page, Span
from outlay.sim.process import Process
from outlay.stores.memory import MemoryStore

#: Bytes that may wait for the writer before `room` makes callers wait.
HIGH_WATER = 1_000_000


class SimStore:
    """One process's connection to `disk`, which outlives the process.

    Appends and contents wait in one queue, which is written in order and in batches: `delay` draws how long a commit
    takes, in seconds. When `process` dies, `torn` draws how much of the queue had been written (from 0 to 1), and
    everything after it is gone; what is called on a dead process's store reaches nobody and raises StoreFailed.
    """

    def __init__(
        self, disk: MemoryStore, process: Process, *, delay: Callable[[], float], torn: Callable[[], float]
    ) -> None:
        self.process = process
        self._disk = disk.connection()
        self._delay = delay
        self._torn = torn
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()
        self._bytes = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._enqueued = 0
        self._written = 0
        self._timer: asyncio.TimerHandle | None = None

    def append(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        if self.process.step():
            self._enqueue(sum(len(row.body) for row in rows), lambda: self._disk.append(rows, fence))

    def keep(self, blobs: Iterable[tuple[bytes, bytes]]) -> None:
        if self.process.step():
            kept = tuple(blobs)
            self._enqueue(sum(len(content) for _, content in kept), lambda: self._disk.keep(kept))

    async def flush(self, run: str | None = None) -> None:
        await self._turn()
        await self._disk.flush(run)

    async def room(self) -> None:
        while self._bytes > HIGH_WATER:
            await self._turn()

    async def events(self, run: str | None = None, kinds: Sequence[str] = ()) -> list[Row]:
        await self._turn()
        return await self._disk.events(run, kinds)

    async def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        await self._turn()
        return await self._disk.blobs(digests)

    async def read(self, collection: str, key: str) -> Document | None:
        await self._turn()
        return await self._disk.read(collection, key)

    async def commit(self, changes: Sequence[Change]) -> tuple[int, ...]:
        await self._turn(at_least_one=True)
        self._step()
        versions = await self._disk.commit(changes)
        self._step()  # it may die between the commit and hearing of it
        return versions

    async def page(
        self, after: int = 0, kinds: Sequence[str] = (), *, since: float = 0.0, most: int = PAGE_EVENTS
    ) -> Page:
        await self._turn()
        return await self._disk.page(after, kinds, since=since, most=most)

    async def runs(self) -> list[Span]:
        await self._turn()
        return await self._disk.runs()

    async def digests(self) -> list[bytes]:
        await self._turn()
        return await self._disk.digests()

    async def documents(self) -> list[Document]:
        await self._turn()
        return await self._disk.documents()

    async def forget(self, runs: Mapping[str, int]) -> list[str]:
        await self._turn(at_least_one=True)
        return await self._disk.forget(runs)

    async def sweep(self, digests: Sequence[bytes], before: float) -> int:
        await self._turn(at_least_one=True)
        return await self._disk.sweep(digests, before)

    async def compact(self) -> int:
        await self._turn()
        return await self._disk.compact()

    async def faults(self) -> list[str]:
        await self._turn()
        return await self._disk.faults()

    async def list(self, collection: str, prefix: str = "") -> list[Document]:
        await self._turn()
        return await self._disk.list(collection, prefix)

    async def close(self) -> None:
        if self.process.alive:
            await self._turn()

    def die(self) -> None:
        """The process is gone, in the middle of a commit: a part of the queue, from its front, was written."""
        for _ in range(round(self._torn() * len(self._queue))):
            self._write()
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(_dead())
                waiter.exception()  # nobody need be left to look at it
        self._waiters.clear()

    def _step(self) -> None:
        if not self.process.step():
            raise _dead()

    def _enqueue(self, size: int, write: Callable[[], None]) -> None:
        self._queue.append((size, write))
        self._enqueued += 1
        self._bytes += size
        self._soon()

    async def _turn(self, *, at_least_one: bool = False) -> None:
        """Return when all that was enqueued before is written."""
        self._step()
        if at_least_one:
            self._enqueue(0, lambda: None)  # a transaction of its own takes its time too
        if self._written == self._enqueued and not self.process.stalls:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._enqueued, waiter))
        self._soon()
        await waiter
        if not self.process.alive:
            raise _dead()

    def _soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._delay(), self._commit, self._enqueued)

    def _commit(self, until: int) -> None:
        """A batch is written: what was enqueued when it began, or when the process woke up."""
        self._timer = None
        process = self.process
        if not process.alive:
            return
        if process.stalls:
            self._timer = asyncio.get_running_loop().call_at(process.stalled_until, self._commit, self._enqueued)
            return
        while self._written < until:
            self._write()
        while self._waiters and self._waiters[0][0] <= self._written:
            waiter = self._waiters.popleft()[1]
            if not waiter.done():
                waiter.set_result(None)
        if self._queue or self._waiters:
            self._soon()

    def _write(self) -> None:
        size, write = self._queue.popleft()
        self._written += 1
        self._bytes -= size
        with suppress(Conflict):  # `flush` says so
            write()


def _dead() -> StoreFailed:
    return StoreFailed("the simulated process is dead", hint="nothing that it does from here on reaches anybody")
