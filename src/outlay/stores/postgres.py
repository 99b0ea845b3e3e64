"""The store for many machines: a PostgreSQL database, with the same manners as the file (SEMANTICS 9)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import LiteralString, TypeVar

import psycopg

from outlay.errors import StoreFailed
from outlay.protocols.documents import Document
from outlay.protocols.store import Row
from outlay.protocols.upkeep import Page, Span
from outlay.stores.batch import Batch
from outlay.stores.postgres_inserts import Inserts
from outlay.stores.postgres_tables import Address
from outlay.stores.threaded import HIGH_WATER, ThreadedStore
from outlay.stores.writer import SEQ_BITS, Written, closed, forked

T = TypeVar("T")
_EVENTS: LiteralString = """
SELECT r.run, e.seq, e.time, e.kind, e.body FROM outlay_events e, outlay_runs r WHERE r.id = e.run
"""
_OF_KINDS: LiteralString = " AND e.kind = ANY(%(kinds)s::text[])"
_PAGE: LiteralString = """
SELECT e.run, r.run, e.seq, e.time, e.kind, e.body FROM outlay_events e JOIN outlay_runs r ON r.id = e.run
WHERE (e.run, e.seq) > (%(run)s::bigint, %(seq)s::bigint) AND e.time >= %(since)s::double precision
"""
_BLOBS: LiteralString = "SELECT digest, content FROM outlay_blobs WHERE digest = ANY(%b::bytea[])"
_DOCUMENTS: LiteralString = "SELECT collection, key, version, body FROM outlay_documents WHERE body IS NOT NULL"
_DOCUMENT: LiteralString = _DOCUMENTS + " AND collection = %b"
_RUNS: LiteralString = """
SELECT r.run, count(*), max(e.seq), max(e.time), sum(octet_length(e.body))::bigint
FROM outlay_events e JOIN outlay_runs r ON r.id = e.run GROUP BY r.id, r.run ORDER BY r.id
"""
_ORPHANS: LiteralString = """
SELECT e.run, min(e.seq) FROM outlay_events e WHERE NOT EXISTS (SELECT FROM outlay_runs r WHERE r.id = e.run)
GROUP BY e.run ORDER BY e.run
"""


class PostgresStore(ThreadedStore):
    """A `Store` in the database at `url`, whose tables are made where there are none. Connects at once."""

    def __init__(self, url: str, *, high_water: int = HIGH_WATER, clock: Callable[[], float] = time.time) -> None:
        self._address = Address(url)
        super().__init__(_Writing(self._address, clock), _Reader(self._address), high_water)

    def __repr__(self) -> str:
        return f"PostgresStore({self._address.name!r})"


class _Writing:
    """The writing side: one connection. It is not made anew: after a failure nobody here knows what was written."""

    def __init__(self, address: Address, clock: Callable[[], float]) -> None:
        self.name = address.name
        self._address = address
        self._connection = address.open()
        self._inserts = Inserts(self._connection, clock)

    def write(self, batch: Batch) -> Written:
        return self._inserts.write(batch)

    def close(self) -> None:
        self._connection.close()

    def failed(self, error: BaseException) -> StoreFailed:
        return self._address.failed(error)


class _Reader:
    """The reading side: one connection, made on first use and again where it was lost, one thread at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._closed = False
        self._process = os.getpid()

    def events(self, run: str | None, kinds: Sequence[str]) -> list[Row]:
        query = _EVENTS
        if run is not None:
            query += " AND r.run = %(run)s"
        if kinds:
            query += _OF_KINDS
        query += " ORDER BY e.run, e.seq"
        values = {"run": run, "kinds": list(kinds)}
        found = self._read(lambda connection: connection.execute(query, values, binary=True).fetchall())
        return [Row(*row) for row in found]

    def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        values = [list(digests)]
        return dict(self._read(lambda connection: connection.execute(_BLOBS, values, binary=True).fetchall()))

    def document(self, collection: str, key: str) -> Document | None:
        query = _DOCUMENT + " AND key = %b"
        found = self._read(lambda connection: connection.execute(query, [collection, key], binary=True).fetchone())
        return Document(*found) if found else None

    def documents(self, collection: str | None, prefix: str) -> list[Document]:
        if collection is None:
            every = _DOCUMENTS + " ORDER BY collection, key"
            return [Document(*row) for row in self._read(lambda c: c.execute(every, binary=True).fetchall())]
        query = _DOCUMENT + " AND key >= %b AND starts_with(key, %b) ORDER BY key"
        found = self._read(
            lambda connection: connection.execute(query, [collection, prefix, prefix], binary=True).fetchall()
        )
        return [Document(*row) for row in found]

    def page(self, after: int, kinds: Sequence[str], since: float, most: int) -> Page:
        query = _PAGE + (_OF_KINDS if kinds else "") + " ORDER BY e.run, e.seq LIMIT %(most)s"
        run, seq = divmod(after, 1 << SEQ_BITS)
        values = {"run": run, "seq": seq, "since": since, "kinds": list(kinds), "most": most}
        found = self._read(lambda connection: connection.execute(query, values, binary=True).fetchall())
        rows = [Row(*row) for _, *row in found]
        return Page(rows, (found[-1][0] << SEQ_BITS) + rows[-1].seq if len(found) == most else None)

    def runs(self) -> list[Span]:
        return [Span(*row) for row in self._read(lambda c: c.execute(_RUNS, binary=True).fetchall())]

    def digests(self) -> list[bytes]:
        query: LiteralString = "SELECT digest FROM outlay_blobs"
        return [digest for (digest,) in self._read(lambda c: c.execute(query, binary=True).fetchall())]

    def compact(self) -> int:
        """The server uses the room again by itself; this only tells it that it may."""
        self._read(lambda c: c.execute("VACUUM outlay_events, outlay_blobs"))
        return 0

    def faults(self) -> list[str]:
        """The server checks its own pages, where it was set up to (`initdb --data-checksums`)."""
        found = self._read(lambda c: c.execute(_ORPHANS, binary=True).fetchall())
        return [f"event {seq} belongs to run number {run}, which is not there" for run, seq in found]

    def _read(self, ask: Callable[[psycopg.Connection], T]) -> T:
        with self._lock:
            if self._closed:
                raise closed(self._address.name)
            if os.getpid() != self._process:
                raise forked(self._address.name)
            try:
                if self._connection is None:
                    return ask(self._connect())
                try:
                    return ask(self._connection)
                except psycopg.OperationalError:
                    if not self._connection.broken:
                        raise
                    # The server was started anew since: reading twice does no harm.
                    return ask(self._connect())
            except psycopg.Error as error:
                raise self._address.unusable(error) from error

    def _connect(self) -> psycopg.Connection:
        self._connection = self._address.connect()
        return self._connection

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None
