"""The store of a run that nobody wants to keep: dictionaries, with the same manners as the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from outlay.errors import ConfigError, Conflict
from outlay.protocols.store import Row


class MemoryStore:
    """A `Store` that lasts as long as the object."""

    def __init__(self) -> None:
        self._runs: dict[str, dict[int, Row]] = {}
        self._blobs: dict[bytes, bytes] = {}
        self._fenced: dict[str, int] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._runs)} runs)"

    def append(self, rows: Sequence[Row]) -> None:
        self._check()
        for row in rows:
            if row.run in self._fenced:
                raise self._conflict(row.run)
        for row in rows:
            run = self._runs.setdefault(row.run, {})
            if row.run in self._fenced or run.setdefault(row.seq, row) is not row:
                self._fenced.setdefault(row.run, row.seq)

    def keep(self, blobs: Iterable[tuple[bytes, bytes]]) -> None:
        self._check()
        for digest, content in blobs:
            self._blobs.setdefault(digest, content)

    async def flush(self, run: str | None = None) -> None:
        self._check()
        if run in self._fenced:
            raise self._conflict(run)
        if run is None and self._fenced:
            raise self._conflict(next(iter(self._fenced)))

    async def room(self) -> None:
        self._check()

    async def events(self, run: str | None = None, kinds: Sequence[str] = ()) -> list[Row]:
        self._check()
        runs = self._runs.values() if run is None else filter(None, [self._runs.get(run)])
        return [rows[seq] for rows in runs for seq in sorted(rows) if not kinds or rows[seq].kind in kinds]

    async def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        self._check()
        return {digest: self._blobs[digest] for digest in digests if digest in self._blobs}

    async def close(self) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise ConfigError("the memory store is closed", hint="keep it open until the last run that uses it is done")

    def _conflict(self, run: str) -> Conflict:
        return Conflict(
            f"run {run} was continued by somebody else: event {self._fenced[run]} is already there",
            hint="let the other one finish it; nothing of it was written over",
        )
