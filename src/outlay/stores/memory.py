"""The store of a run that nobody wants to keep: dictionaries, with the same manners as the real ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from outlay.errors import ConfigError
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Fence, Row
from outlay.protocols.upkeep import PAGE_EVENTS, Page, Span
from outlay.stores.changes import Held, Place, check_name, decide, holds
from outlay.stores.refusals import Lost, Refusals
from outlay.stores.writer import SEQ_BITS


class MemoryStore:
    """A `Store` that lasts as long as the object."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._runs: dict[str, dict[int, Row]] = {}
        self._blobs: dict[bytes, bytes] = {}
        self._clock = clock
        self._kept: dict[bytes, float] = {}
        self._documents: dict[Place, Held] = {}
        self._refusals = Refusals("there")
        self._closed = False

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._runs)} runs)"

    def connection(self) -> MemoryStore:
        """What another process would have: the same data, and refusals and an end of its own."""
        other = MemoryStore(clock=self._clock)
        other._runs, other._blobs, other._documents = self._runs, self._blobs, self._documents
        other._kept = self._kept
        return other

    def append(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        self._check()
        if self._refusals:
            for row in rows:
                if not self._refusals.admits(row.run, fence) and (error := self._refusals.of(row.run)):
                    raise error
        lost: dict[str, Lost] = {}
        if fence is not None and not holds(fence, self._documents):
            lost = {row.run: fence for row in rows}
        for row in rows:
            if row.run in lost:
                continue
            run = self._runs.setdefault(row.run, {})
            if row.seq in run:
                lost[row.run] = row.seq
            else:
                run[row.seq] = row
        for name, why in lost.items():
            self._refusals.add(name, why, fence)

    def keep(self, blobs: Iterable[tuple[bytes, bytes]]) -> None:
        self._check()
        now = self._clock()
        for digest, content in blobs:
            self._blobs.setdefault(digest, content)
            self._kept[digest] = now

    async def flush(self, run: str | None = None) -> None:
        self._check()
        if error := self._refusals.of(run):
            raise error

    async def room(self) -> None:
        self._check()

    async def events(self, run: str | None = None, kinds: Sequence[str] = ()) -> list[Row]:
        self._check()
        runs = self._runs.values() if run is None else filter(None, [self._runs.get(run)])
        return [rows[seq] for rows in runs for seq in sorted(rows) if not kinds or rows[seq].kind in kinds]

    async def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        self._check()
        return {digest: self._blobs[digest] for digest in digests if digest in self._blobs}

    async def read(self, collection: str, key: str) -> Document | None:
        self._check()
        held = self._documents.get((collection, key))
        return held and held.document((collection, key))

    async def list(self, collection: str, prefix: str = "") -> list[Document]:
        self._check()
        found = [
            held.document(place)
            for place, held in self._documents.items()
            if place[0] == collection and place[1].startswith(prefix)
        ]
        # Text sorts by code point, which is the order of its UTF-8 bytes.
        return sorted((document for document in found if document), key=lambda document: document.key)

    async def commit(self, changes: Sequence[Change]) -> tuple[int, ...]:
        self._check()
        for change in changes:
            check_name(change.collection, change.key)
        new, versions = decide(changes, self._documents)
        self._documents.update(new)
        return versions

    async def page(
        self, after: int = 0, kinds: Sequence[str] = (), *, since: float = 0.0, most: int = PAGE_EVENTS
    ) -> Page:
        self._check()
        first, last = divmod(after, 1 << SEQ_BITS)
        found: list[Row] = []
        for number, rows in enumerate(list(self._runs.values())[max(first - 1, 0) :], max(first, 1)):
            for seq in sorted(rows):
                row = rows[seq]
                if (number == first and seq <= last) or row.time < since or (kinds and row.kind not in kinds):
                    continue
                found.append(row)
                if len(found) == most:
                    return Page(found, (number << SEQ_BITS) + seq)
        return Page(found, None)

    async def runs(self) -> list[Span]:
        self._check()
        return [
            Span(run, len(rows), max(rows), max(r.time for r in rows.values()), sum(len(r.body) for r in rows.values()))
            for run, rows in self._runs.items()
            if rows
        ]

    async def digests(self) -> list[bytes]:
        self._check()
        return list(self._blobs)

    async def documents(self) -> list[Document]:
        self._check()
        return [found for place in sorted(self._documents) if (found := self._documents[place].document(place))]

    async def forget(self, runs: Mapping[str, int]) -> list[str]:
        self._check()
        gone = [run for run, last in runs.items() if max(self._runs.get(run, ()), default=-1) == last]
        for run in gone:
            self._runs[run].clear()
        return gone

    async def sweep(self, digests: Sequence[bytes], before: float) -> int:
        self._check()
        swept = [digest for digest in digests if digest in self._blobs and self._kept[digest] < before]
        for digest in swept:
            del self._blobs[digest], self._kept[digest]
        return len(swept)

    async def compact(self) -> int:
        self._check()
        return 0

    async def faults(self) -> list[str]:
        self._check()
        return []

    async def close(self) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise ConfigError("the memory store is closed", hint="keep it open until the last run that uses it is done")
