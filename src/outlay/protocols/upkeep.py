"""Upkeep: what retention, export and the integrity check need of a store. Like the rest of it, bytes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from outlay.protocols.documents import Document
from outlay.protocols.rows import Row

#: Seconds after which a content that is kept again is marked as used anew; more often would cost a write each time.
TOUCH_SECONDS = 1_800
#: Seconds that a content stays for the event that will name it. What was kept so long ago and is named nowhere may
#: go: at least `GRACE_SECONDS - TOUCH_SECONDS` have passed since anybody kept it.
GRACE_SECONDS = 3_600
#: Events that are held at once where all runs are read: some megabytes.
PAGE_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Span:
    """One stored run: how many events, the place of the last, the newest time among them, their bytes."""

    run: str
    events: int
    last: int
    time: float
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some events of all runs, and where to go on: `next` is None after the last page."""

    rows: Sequence[Row]
    next: int | None


class Upkeep(Protocol):
    async def page(
        self, after: int = 0, kinds: Sequence[str] = (), *, since: float = 0.0, most: int = PAGE_EVENTS
    ) -> Page:
        """The next events of all runs, at most `most`: by run start, then by `seq`, so that each run's stand together.

        `after` is 0 or the `next` of the page before, and means nothing else. Only events of these kinds (or of all),
        written at `since` (seconds since the epoch) or later. Events that are written meanwhile to a run whose page is
        past are not seen.
        """
        ...

    async def runs(self) -> list[Span]:
        """All runs that have events, in the order in which they started."""
        ...

    async def digests(self) -> list[bytes]:
        """The digests of all contents."""
        ...

    async def documents(self) -> list[Document]:
        """The documents of all collections, by collection and key."""
        ...

    async def forget(self, runs: Mapping[str, int]) -> list[str]:
        """Delete the events of each run whose last event is still the one at the given place. Returns which were
        deleted: the others have gone on meanwhile."""
        ...

    async def sweep(self, digests: Sequence[bytes], before: float) -> int:
        """Delete these contents, but for those that somebody kept at `before` (seconds since the epoch) or later, as
        far as `TOUCH_SECONDS` tell; how many. A content is kept before the event that names it is written, and one
        that is there already is not written again: the time of its last `keep` is what protects it."""
        ...

    async def compact(self) -> int:
        """Give the space of what was deleted back to the system, as far as it can be done while others work on the
        store; how many bytes. Raises ConfigError where it cannot be done now: later writes use the space again."""
        ...

    async def faults(self) -> list[str]:
        """What the store itself finds wrong in what it holds, all of it: its own check of its structure, and every
        checksum. Empty where all is as it was written."""
        ...
