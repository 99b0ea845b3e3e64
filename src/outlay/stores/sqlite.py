"""The embedded store: one SQLite file, shared by all runs of a process and by several processes (SEMANTICS 9)."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from outlay.errors import StoreFailed
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Fence, Row
from outlay.stores.batch import Batch
from outlay.stores.database import connect, failed, open_database, unusable
from outlay.stores.inserts import Inserts
from outlay.stores.writer import SEQ_BITS, Writer, Written, closed

#: Bytes in the queue above which no new effect should start.
HIGH_WATER = 16 * 2**20
#: Digests asked for in one statement; SQLite allows 32,766 parameters since 3.32, 999 before.
_DIGESTS = 500
_DOCUMENT = "SELECT collection, key, version, body FROM documents WHERE body IS NOT NULL AND collection = ?"


class SqliteStore:
    """A `Store` in the file `path`, which is made where there is none.

    Writes go through one thread with group commit, reads through a connection of their own in other threads: the
    event loop never waits for the disk. Any number of loops may use it. What was enqueued is written even if
    nobody calls `close` before the process ends; a killed process keeps what was flushed.
    """

    def __init__(self, path: str | Path, *, high_water: int = HIGH_WATER) -> None:
        self.path = Path(path).expanduser().absolute()
        self._writer = Writer(_File(self.path), high_water)
        self._reader = _Reader(self.path)
        # Runs at the latest when the interpreter ends: the writer is a daemon and would be cut off.
        self._end = weakref.finalize(self, _end, self._writer, self._reader)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

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

    async def close(self) -> None:
        if self._end.alive:
            await asyncio.to_thread(self._end)
            if error := self._writer.error:
                raise error


class _File:
    """The writing side: one connection, and the file that it was opened on."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._connection = open_database(path)
        self._inserts = Inserts(self._connection)
        self._inode = _inode(self.name)

    def write(self, batch: Batch) -> Written:
        if _inode(self.name) != self._inode:
            raise FileNotFoundError("the file was removed or replaced while it was in use")
        return self._inserts.write(batch)

    def close(self) -> None:
        self._connection.close()

    def failed(self, error: BaseException) -> StoreFailed:
        return failed(self._path, error)


def _inode(path: str) -> tuple[int, int] | None:
    """Which file the name stands for; SQLite itself would go on writing into a file that was removed."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class _Reader:
    """The reading side: one connection, opened on first use, one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise closed(str(self._path))
        if self._connection is None:
            self._connection = connect(self._path)
            self._connection.execute("PRAGMA query_only = TRUE")
        return self._connection

    def events(self, run: str | None, kinds: Sequence[str]) -> list[Row]:
        where: list[str] = []
        values: list[str] = []
        if run is not None:
            # The range, and not the computed column, so that SQLite reads only these rows.
            where.append(f"r.run = ? AND e.id >= r.id << {SEQ_BITS} AND e.id < (r.id + 1) << {SEQ_BITS}")
            values.append(run)
        else:
            where.append("r.id = e.run")
        if kinds:
            where.append(f"e.kind IN ({', '.join('?' * len(kinds))})")
            values.extend(kinds)
        query = (
            "SELECT r.run, e.seq, e.time, e.kind, e.body FROM events e JOIN runs r "  # noqa: S608
            f"WHERE {' AND '.join(where)} ORDER BY e.id"
        )
        with self._lock:
            try:
                return [Row(*found) for found in self._open().execute(query, values)]
            except sqlite3.Error as error:
                raise unusable(self._path, error) from error

    def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with self._lock:
            try:
                for start in range(0, len(digests), _DIGESTS):
                    some = digests[start : start + _DIGESTS]
                    marks = ", ".join("?" * len(some))
                    query = f"SELECT digest, content FROM blobs WHERE digest IN ({marks})"  # noqa: S608
                    found.update(self._open().execute(query, some))
            except sqlite3.Error as error:
                raise unusable(self._path, error) from error
        return found

    def document(self, collection: str, key: str) -> Document | None:
        query = f"{_DOCUMENT} AND key = ?"
        with self._lock:
            try:
                found = self._open().execute(query, (collection, key)).fetchone()
            except sqlite3.Error as error:
                raise unusable(self._path, error) from error
        return Document(*found) if found else None

    def documents(self, collection: str, prefix: str) -> list[Document]:
        query = f"{_DOCUMENT} AND key >= ? ORDER BY key"
        with self._lock:
            try:
                rows = self._open().execute(query, (collection, prefix))
                # What begins with the prefix stands together, from the prefix itself on.
                return list(takewhile(lambda found: found.key.startswith(prefix), (Document(*row) for row in rows)))
            except sqlite3.Error as error:
                raise unusable(self._path, error) from error

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _end(writer: Writer, reader: _Reader) -> None:
    # The writer last: the last connection to close empties the log into the file and removes it.
    reader.close()
    writer.stop()
