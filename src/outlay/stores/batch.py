"""What waits in a writer's queue, and how much of it one transaction takes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from outlay.protocols.documents import Change
from outlay.protocols.store import Fence, Row
from outlay.stores.changes import Place

#: Rows, commits and bytes of one transaction; other processes wait for its length.
BATCH_ROWS = 512
BATCH_BYTES = 8 * 2**20
#: What a row, a content or a change weighs in memory beside its body, in bytes.
OVERHEAD = 200

#: A content behind its digest.
Blob: TypeAlias = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who wants to know that everything before is durable."""

    future: asyncio.Future[Any]
    run: str | None


@dataclass(frozen=True, slots=True)
class Fencing:
    """All rows from here to the next of these were given under this fence."""

    fence: Fence | None


@dataclass(frozen=True, slots=True)
class Commit:
    """Changes of documents, all or none."""

    changes: Sequence[Change]
    future: asyncio.Future[Any]

    @property
    def weight(self) -> int:
        return sum(len(change.body or b"") + OVERHEAD for change in self.changes)


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the events of each run whose last place is still the given one; the result is which."""

    runs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Delete contents that were last kept before a time; the result is how many."""

    digests: Sequence[bytes]
    before: float


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to clear away, and who waits for it."""

    work: Forget | Sweep
    future: asyncio.Future[Any]


Item: TypeAlias = Row | Blob | Waiter | Fencing | Commit | Chore


@dataclass(slots=True)
class Batch:
    """One transaction: fences are checked, rows and contents written, then commits and chores, in their order."""

    rows: list[Row] = field(default_factory=list[Row])
    blobs: list[Blob] = field(default_factory=list[Blob])
    commits: list[Commit] = field(default_factory=list[Commit])
    chores: list[Chore] = field(default_factory=list[Chore])
    #: The one fence of each run in `rows`.
    fences: dict[str, Fence | None] = field(default_factory=dict[str, Fence | None])
    waiters: list[Waiter] = field(default_factory=list[Waiter])
    weight: int = 0

    def take(self, queue: deque[Item], fence: Fence | None) -> Fence | None:
        """Move items in from the queue, as many as belong in one transaction. `fence` and the result: the one that
        rows stand under before and after.

        A row under a fence that a commit before it in this batch may have changed waits for the next one, and so
        does a row of a run that stands here under another fence.
        """
        touched: set[Place] = set()
        while queue and not self._is_full():
            item = queue[0]
            if isinstance(item, Row):
                if touched and fence is not None and (fence.collection, fence.key) in touched:
                    break
                found = self.fences.setdefault(item.run, fence)
                if found is not fence and found != fence:
                    break
                self.rows.append(item)
                self.weight += len(item.body) + OVERHEAD
            elif isinstance(item, Waiter):
                self.waiters.append(item)
            elif isinstance(item, Fencing):
                fence = item.fence
            elif isinstance(item, Commit):
                self.commits.append(item)
                self.weight += item.weight
                touched.update((change.collection, change.key) for change in item.changes)
            elif isinstance(item, Chore):
                self.chores.append(item)
            else:
                self.blobs.append(item)
                self.weight += len(item[1]) + OVERHEAD
            queue.popleft()
        return fence

    def _is_full(self) -> bool:
        # What comes after a chore is not written before it.
        return (
            len(self.rows) >= BATCH_ROWS
            or len(self.commits) >= BATCH_ROWS
            or self.weight >= BATCH_BYTES
            or bool(self.chores)
        )

    def rows_but(self, runs: Collection[str]) -> list[Row]:
        """The rows of all runs but these."""
        return [row for row in self.rows if row.run not in runs] if runs else self.rows

    def fenced_runs(self) -> dict[Fence, list[str]]:
        """The runs that stand under each fence: it is looked at once a batch, however many rows there are."""
        runs: dict[Fence, list[str]] = {}
        for run, fence in self.fences.items():
            if fence is not None:
                runs.setdefault(fence, []).append(run)
        return runs
