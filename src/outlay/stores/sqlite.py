"""The embedded store: one SQLite file, shared by all runs of a process and by several processes (SEMANTICS 9)."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path

from outlay.errors import StoreFailed
from outlay.protocols.documents import Document
from outlay.protocols.store import Row
from outlay.protocols.upkeep import Page, Span
from outlay.stores.batch import Batch
from outlay.stores.checksums import intact, of_blob, of_document, of_row
from outlay.stores.database import STORE, connect, damaged, failed, open_database
from outlay.stores.inserts import Inserts
from outlay.stores.sqlite_faults import faults
from outlay.stores.threaded import HIGH_WATER, ThreadedStore
from outlay.stores.writer import SEQ_BITS, Written, closed

#: Digests asked for in one statement; SQLite allows 32,766 parameters since 3.32, 999 before.
_DIGESTS = 500
_DOCUMENTS = "SELECT collection, key, version, body, crc FROM documents WHERE body IS NOT NULL"
_DOCUMENT = f"{_DOCUMENTS} AND collection = ?"
_RUNS = """
SELECT r.run, count(*), max(e.seq), max(e.time), sum(length(e.body))
FROM events e JOIN runs r ON r.id = e.run GROUP BY e.run ORDER BY e.run
"""


class SqliteStore(ThreadedStore):
    """A `Store` in the file `path`, which is made where there is none."""

    def __init__(
        self, path: str | Path, *, high_water: int = HIGH_WATER, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        super().__init__(_File(self.path, clock), _Reader(self.path), high_water)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"


class _File:
    """The writing side: one connection, and the file that it was opened on."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.name = str(path)
        self._path = path
        self._connection = open_database(path)
        self._inserts = Inserts(self._connection, clock)
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
            "SELECT r.run, e.seq, e.time, e.kind, e.body, e.crc FROM events e JOIN runs r "  # noqa: S608
            f"WHERE {' AND '.join(where)} ORDER BY e.id"
        )
        with self._lock:
            try:
                return [self._row(*found) for found in self._open().execute(query, values)]
            except sqlite3.Error as error:
                raise STORE.unusable(self._path, error) from error

    def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with self._lock:
            try:
                for start in range(0, len(digests), _DIGESTS):
                    some = digests[start : start + _DIGESTS]
                    marks = ", ".join("?" * len(some))
                    query = f"SELECT digest, content, crc FROM blobs WHERE digest IN ({marks})"  # noqa: S608
                    for digest, content, crc in self._open().execute(query, some):
                        if not intact(crc, of_blob, digest, content):
                            raise damaged(self._path, f"the content {digest.hex()}")
                        found[digest] = content
            except sqlite3.Error as error:
                raise STORE.unusable(self._path, error) from error
        return found

    def document(self, collection: str, key: str) -> Document | None:
        query = f"{_DOCUMENT} AND key = ?"
        with self._lock:
            try:
                found = self._open().execute(query, (collection, key)).fetchone()
            except sqlite3.Error as error:
                raise STORE.unusable(self._path, error) from error
        return self._document(*found) if found else None

    def documents(self, collection: str | None, prefix: str) -> list[Document]:
        query = f"{_DOCUMENT} AND key >= ? ORDER BY key"
        with self._lock:
            try:
                if collection is None:
                    every = self._open().execute(f"{_DOCUMENTS} ORDER BY collection, key")
                    return [self._document(*row) for row in every]
                rows = self._open().execute(query, (collection, prefix))
                # What begins with the prefix stands together, from the prefix itself on.
                return [self._document(*row) for row in takewhile(lambda row: row[1].startswith(prefix), rows)]
            except sqlite3.Error as error:
                raise STORE.unusable(self._path, error) from error

    def page(self, after: int, kinds: Sequence[str], since: float, most: int) -> Page:
        some = f" AND e.kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        query = (
            "SELECT e.id, r.run, e.seq, e.time, e.kind, e.body, e.crc FROM events e CROSS JOIN runs r ON r.id = e.run "  # noqa: S608
            f"WHERE e.id > ? AND e.time >= ?{some} ORDER BY e.id LIMIT ?"
        )
        with self._lock:
            try:
                found = self._open().execute(query, (after, since, *kinds, most)).fetchall()
            except sqlite3.Error as error:
                raise STORE.unusable(self._path, error) from error
        rows = [self._row(*row) for _, *row in found]
        return Page(rows, found[-1][0] if len(found) == most else None)

    def runs(self) -> list[Span]:
        with self._lock:
            try:
                return [Span(*found) for found in self._open().execute(_RUNS)]
            except sqlite3.Error as error:
                raise STORE.unusable(self._path, error) from error

    def digests(self) -> list[bytes]:
        with self._lock:
            try:
                return [digest for (digest,) in self._open().execute("SELECT digest FROM blobs")]
            except sqlite3.Error as error:
                raise STORE.unusable(self._path, error) from error

    def compact(self) -> int:
        """VACUUM writes the file anew, which takes as much room again for a moment and waits for no reader."""
        before = self._path.stat().st_size
        try:
            with closing(connect(self._path)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise STORE.unusable(self._path, error) from error
        return max(0, before - self._path.stat().st_size)

    def faults(self) -> list[str]:
        with self._lock:
            try:
                return list(faults(self._open()))
            except sqlite3.Error as error:
                raise STORE.unusable(self._path, error) from error

    def _row(self, run: str, seq: int, time: float, kind: str, body: bytes, crc: int | None) -> Row:
        row = Row(run, seq, time, kind, body)
        if not intact(crc, of_row, row):
            raise damaged(self._path, f"event {seq} of run {run}")
        return row

    def _document(self, collection: str, key: str, version: int, body: bytes, crc: int | None) -> Document:
        document = Document(collection, key, version, body)
        if not intact(crc, of_document, document):
            raise damaged(self._path, f"the document {key!r} of {collection!r}")
        return document

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None
