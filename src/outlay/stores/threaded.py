"""What the stores that keep things outside this process have in common: one thread writes, others read."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Fence, Row
from outlay.protocols.upkeep import PAGE_EVENTS, Page, Span
from outlay.stores.batch import Forget, Sweep
from outlay.stores.writer import Database, Writer

#: Contents and runs removed in one transaction: others wait for its length.
_AT_ONCE = 500
_RUNS_AT_ONCE = 50
#: Bytes in the queue above which no new effect should start.
HIGH_WATER = 16 * 2**20


class Reader(Protocol):
    """The reading side, called in threads: as `Store` has it, but synchronous."""

    def events(self, run: str | None, kinds: Sequence[str]) -> list[Row]: ...
    def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]: ...
    def document(self, collection: str, key: str) -> Document | None: ...
    def documents(self, collection: str | None, prefix: str) -> list[Document]: ...
    def page(self, after: int, kinds: Sequence[str], since: float, most: int) -> Page: ...
    def runs(self) -> list[Span]: ...
    def digests(self) -> list[bytes]: ...
    def compact(self) -> int: ...
    def faults(self) -> list[str]: ...
    def close(self) -> None: ...


class ThreadedStore:
    """A `Store` over a `Database` that one thread writes with group commit, and a `Reader` of its own connection.

    The event loop never waits for either. Any number of loops may use it. What was enqueued is written even if
    nobody calls `close` before the process ends; a killed process keeps what was flushed.
    """

    def __init__(self, database: Database, reader: Reader, high_water: int = HIGH_WATER) -> None:
        self._writer = Writer(database, high_water)
        self._reader = reader
        # Runs at the latest when the interpreter ends: the writer is a daemon and would be cut off.
        self._end = weakref.finalize(self, _end, self._writer, reader, os.getpid())

    def append(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        self._writer.put_rows(rows, fence)

    def keep(self, blobs: Iterable[tuple[bytes, bytes]]) -> None:
        self._writer.put_blobs(blobs)

    async def flush(self, run: str | None = None) -> None:
        durable = self._writer.wait(asyncio.get_running_loop(), run)
        if durable is not None:
            await durable

    async def room(self) -> None:
        fallen = self._writer.wait_for_room(asyncio.get_running_loop())
        if fallen is not None:
            await fallen

    async def events(self, run: str | None = None, kinds: Sequence[str] = ()) -> list[Row]:
        return await asyncio.to_thread(self._reader.events, run, kinds)

    async def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        return await asyncio.to_thread(self._reader.blobs, digests)

    async def read(self, collection: str, key: str) -> Document | None:
        return await asyncio.to_thread(self._reader.document, collection, key)

    async def list(self, collection: str, prefix: str = "") -> list[Document]:
        return await asyncio.to_thread(self._reader.documents, collection, prefix)

    async def commit(self, changes: Sequence[Change]) -> tuple[int, ...]:
        return await self._writer.put_changes(asyncio.get_running_loop(), changes)

    async def page(
        self, after: int = 0, kinds: Sequence[str] = (), *, since: float = 0.0, most: int = PAGE_EVENTS
    ) -> Page:
        return await asyncio.to_thread(self._reader.page, after, kinds, since, most)

    async def runs(self) -> list[Span]:
        return await asyncio.to_thread(self._reader.runs)

    async def digests(self) -> list[bytes]:
        return await asyncio.to_thread(self._reader.digests)

    async def documents(self) -> list[Document]:
        return await asyncio.to_thread(self._reader.documents, None, "")

    async def forget(self, runs: Mapping[str, int]) -> list[str]:
        loop, gone = asyncio.get_running_loop(), list[str]()
        names = list(runs)
        for start in range(0, len(names), _RUNS_AT_ONCE):
            some = {run: runs[run] for run in names[start : start + _RUNS_AT_ONCE]}
            gone += await self._writer.put_chore(loop, Forget(some))
        return gone

    async def sweep(self, digests: Sequence[bytes], before: float) -> int:
        loop, swept = asyncio.get_running_loop(), 0
        for start in range(0, len(digests), _AT_ONCE):
            swept += await self._writer.put_chore(loop, Sweep(digests[start : start + _AT_ONCE], before))
        return swept

    async def compact(self) -> int:
        return await asyncio.to_thread(self._reader.compact)

    async def faults(self) -> list[str]:
        return await asyncio.to_thread(self._reader.faults)

    async def close(self) -> None:
        if self._end.alive:
            await asyncio.to_thread(self._end)
            if error := self._writer.error:
                raise error


def _end(writer: Writer, reader: Reader, process: int) -> None:
    # A fork has no thread to stop, and its copies of the connections belong to the parent.
    if os.getpid() == process:
        # The writer last: SQLite's last connection to close empties the log into the file and removes it.
        reader.close()
        writer.stop()
