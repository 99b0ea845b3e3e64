"""Store: where events and contents are kept. It handles bytes and knows nothing of prices or agents (SEMANTICS 9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from outlay.protocols.documents import Documents
from outlay.protocols.rows import Row
from outlay.protocols.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Fence:
    """What makes a row's writer the owner of its run: the version of a document that a new owner raises."""

    collection: str
    key: str
    version: int


class Store(Documents, Upkeep, Protocol):
    """Appends are enqueued and return at once, in one order; `flush` waits until everything before it is durable.

    A failed commit fails every waiter and every later call with the same error; nothing is retried silently.
    Raises ConfigError on opening what is not a store, is read-only or of a newer version.
    """

    def append(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        """Enqueue events, in order. With `fence` they are dropped like rows whose place is taken (see `flush`) once
        that document has another version or is deleted: a paused process that wakes up cannot write. A run that
        was lost so may come back to the same process: a later fence of the same document writes again."""
        ...

    def keep(self, blobs: Iterable[tuple[bytes, bytes]]) -> None:
        """Enqueue contents by their digest; one that is already there is left as it is."""
        ...

    async def flush(self, run: str | None = None) -> None:
        """Return when all that was enqueued before is durable.

        Raises Conflict where an event's place in its run was taken by another process: that run's rows since are
        dropped and every later append of them fails, other runs go on. With `run`, only that run's conflict counts.
        """
        ...

    async def room(self) -> None:
        """Return at once below the high-water mark, else when the writer has caught up."""
        ...

    async def events(self, run: str | None = None, kinds: Sequence[str] = ()) -> list[Row]:
        """Events of one run or of all, of some kinds or of all; by run start, then by `seq`."""
        ...

    async def blobs(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """The contents that are there."""
        ...

    async def close(self) -> None:
        """Flush and let go. Safe to call twice."""
        ...
