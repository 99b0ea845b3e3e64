"""How a map by batch finds its runs again: a map has a name in the store, and each row's run is named after it.

A map that is cut off has sent its calls and has no answers yet. The same command, later, takes up the same runs, and
they wait for the batches that were sent. A map is over when all its rows have answers; the next one into the same file
is another, and so is one whose answers were deleted meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any, Final

from outlay.cli.rows import Row
from outlay.protocols.documents import Change
from outlay.protocols.store import Store

COLLECTION: Final = "maps"


class MapName:
    """The name of the map of one flow into one file. `answered`: how many of its rows have answers in that file."""

    def __init__(self, store: Store, flow: str, target: Path, answered: int) -> None:
        self._store = store
        self._key = _digest(flow, str(target.resolve()))
        self._answered = answered
        self._name = ""

    async def find(self) -> None:
        """That of the map that was cut off, or a new one."""
        document = await self._store.read(COLLECTION, self._key)
        found: dict[str, Any] = {} if document is None else json.loads(document.body)
        if found and (self._answered or not found["answered"]):
            self._name = found["name"]
        else:
            self._name = secrets.token_hex(6)
            await self._write(answered=False)

    def of_row(self, row: Row) -> str:
        """The id of a row's run: with another input it is another run."""
        return f"{self._name}.{_digest(row.key, json.dumps(row.input, sort_keys=True))}"

    async def answer(self) -> None:
        """The first answer is in the file."""
        if not self._answered:
            await self._write(answered=True)
        self._answered += 1

    async def close(self) -> None:
        """All rows have answers: the next map is another."""
        await self._store.commit([Change(COLLECTION, self._key, None, None)])

    async def _write(self, *, answered: bool) -> None:
        body = json.dumps({"name": self._name, "answered": answered}).encode()
        await self._store.commit([Change(COLLECTION, self._key, body, None)])


def _digest(*parts: str) -> str:
    named = "".join(f"{len(part)}:{part}" for part in parts).encode(errors="surrogatepass")
    return hashlib.blake2b(named, digest_size=10).hexdigest()
