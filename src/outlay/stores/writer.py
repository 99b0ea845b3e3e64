"""Group commit: one thread that writes what a store was given, as few commits as the waiters allow.

A row that nobody waits for lingers up to `LINGER` for company. A flush or a commit of documents never does: the
writer commits what is there at once, and what arrives during that commit shares the next.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from outlay.errors import ConfigError, Conflict, OutlayError, StoreFailed
from outlay.protocols.clock import future_of_thread
from outlay.protocols.documents import Change
from outlay.protocols.store import Fence, Row
from outlay.stores.batch import (
    BATCH_ROWS,
    OVERHEAD,
    Batch,
    Blob,
    Chore,
    Commit,
    Fencing,
    Forget,
    Item,
    Sweep,
    Waiter,
)
from outlay.stores.changes import check_name
from outlay.stores.refusals import Lost, Refusals
from outlay.stores.waking import Outcome, release

#: Seconds that a row without a waiter may stay in memory.
LINGER = 0.005
#: Places of a run are counted in as many bits.
SEQ_BITS = 32


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch: the runs whose rows were dropped, and the new versions of each of its commits, and what
    each chore came to."""

    lost: dict[str, Lost]
    commits: Sequence[tuple[int, ...] | Conflict]
    chores: Sequence[list[str] | int] = ()


class Database(Protocol):
    """Where a writer's thread puts its batches. Only that thread calls `write` and `close`."""

    @property
    def name(self) -> str:
        """Which store this is, for people."""
        ...

    def write(self, batch: Batch) -> Written:
        """One transaction, durable on return. Whatever it raises is the end of the writer."""
        ...

    def close(self) -> None: ...

    def failed(self, error: BaseException) -> StoreFailed:
        """What an error of `write` means to a person: a new one each time, so that waiters share no traceback."""
        ...


class Writer:
    """The queue of one store and the thread that empties it. All methods but the thread's own return at once."""

    def __init__(self, database: Database, high_water: int) -> None:
        self._database = database
        self._high_water = high_water
        # Reentrant: the garbage collector may find the store in this very thread, and stop it.
        self._lock = threading.RLock()
        # A lock as a binary semaphore: held means nothing to do. Half the CPU of a Condition.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._rung = False
        # The thread looks by itself within LINGER: only who waits needs to ring. One wake-up a commit, not three.
        self._dozing = False
        self._queue: deque[Item] = deque()
        self._weight = 0
        # Flushes and commits in the queue: somebody waits for them.
        self._waiting = 0
        # The fence of the last row that was put, and of the last that was taken.
        self._put_under: Fence | None = None
        self._taken_under: Fence | None = None
        self._batch: Batch | None = None
        self._stopping = False
        self._room: list[asyncio.Future[None]] = []
        self._error: BaseException | None = None
        self._refusals = Refusals(f"in {database.name}")
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name="outlay-store", daemon=True)
        self._thread.start()

    def put_rows(self, rows: Sequence[Row], fence: Fence | None) -> None:
        weight = 0
        for row in rows:
            weight += len(row.body) + OVERHEAD
            if row.seq >> SEQ_BITS:
                raise ValueError(f"an event's seq must be from 0 to 2**{SEQ_BITS} - 1, not {row.seq}")
        with self._lock:
            self._check()
            if self._refusals:
                for row in rows:
                    if not self._refusals.admits(row.run, fence) and (error := self._refusals.of(row.run)):
                        raise error
            if fence is not self._put_under and fence != self._put_under:
                if fence is not None:
                    check_name(fence.collection, fence.key)
                self._put_under = fence
                self._put((Fencing(fence), *rows), weight)
            else:
                self._put(rows, weight)

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        kept = list(blobs)
        weight = sum(len(content) for _, content in kept) + OVERHEAD * len(kept)
        with self._lock:
            self._check()
            self._put(kept, weight)

    def put_changes(
        self, loop: asyncio.AbstractEventLoop, changes: Sequence[Change]
    ) -> asyncio.Future[tuple[int, ...]]:
        """A future of the new versions, or of a Conflict."""
        for change in changes:
            check_name(change.collection, change.key)
        commit = Commit(changes, future_of_thread(loop))
        with self._lock:
            self._check()
            self._waiting += 1
            self._put((commit,), commit.weight)
            self._ring()
        return commit.future

    def put_chore(self, loop: asyncio.AbstractEventLoop, work: Forget | Sweep) -> asyncio.Future[Any]:
        """A future of what it comes to."""
        chore = Chore(work, future_of_thread(loop))
        with self._lock:
            self._check()
            self._waiting += 1
            self._put((chore,), 0)
            self._ring()
        return chore.future

    def _put(self, items: Sequence[Item], weight: int) -> None:
        before = len(self._queue)
        self._queue.extend(items)
        self._weight += weight
        if (before == 0 and not self._dozing) or before < BATCH_ROWS <= len(self._queue):
            self._ring()

    def wait(self, loop: asyncio.AbstractEventLoop, run: str | None) -> asyncio.Future[None] | None:
        """A future of the moment when everything put before is durable; None if it is already."""
        with self._lock:
            self._check()
            if not self._queue and self._batch is None:
                if error := self._refusals.of(run):
                    raise error
                return None
            future = future_of_thread(loop)
            self._queue.append(Waiter(future, run))
            self._waiting += 1
            self._ring()
            return future

    def wait_for_room(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
        """A future of the moment when the queue has fallen to half the mark; None below the mark."""
        with self._lock:
            self._check()
            # An empty queue has room whatever the mark: nobody would ever wake the waiter.
            if self._weight < self._high_water or not self._weight:
                return None
            future = future_of_thread(loop)
            self._room.append(future)
            self._ring()
            return future

    def stop(self) -> None:
        """Write what is queued, let go of the file and end the thread. Safe to call twice."""
        with self._lock:
            self._stopping = True
            self._ring()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    @property
    def error(self) -> OutlayError | None:
        """What ended the writer, None as long as all is well."""
        return None if self._error is None else self._database.failed(self._error)

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            self._bell.release()

    def _check(self) -> None:
        if self._error is not None:
            raise self._database.failed(self._error)
        if self._stopping:
            raise closed(self._database.name)
        if os.getpid() != self._process:
            # Threads do not survive a fork: without this, a flush would wait for ever.
            raise forked(self._database.name)

    # From here on: the thread.

    def _work(self) -> None:
        try:
            while batch := self._next():
                outcomes = self._write(batch)
                with self._lock:
                    self._batch = None
                    self._weight -= batch.weight
                    outcomes += [(waiter.future, self._refusals.of(waiter.run)) for waiter in batch.waiters]
                    if self._room and self._weight * 2 <= self._high_water:
                        outcomes += [(future, None) for future in self._room]
                        self._room = []
                if outcomes:
                    release(outcomes)
        except BaseException as error:
            self._fail(error)
        finally:
            self._database.close()

    def _next(self) -> Batch | None:
        """The next batch, as soon as somebody waits for it or its rows have lingered; None at the end."""
        while True:
            rung = self._bell.acquire(timeout=LINGER if self._dozing else -1)
            with self._lock:
                self._rung = self._rung and not rung
                if not self._queue:
                    if self._stopping:
                        return None
                    self._dozing = self._dozing and rung
                elif not rung or self._waiting or self._stopping or self._room or len(self._queue) >= BATCH_ROWS:
                    self._dozing = True
                    return self._take()
                else:
                    self._dozing = True

    def _take(self) -> Batch:
        self._batch = batch = Batch()
        self._taken_under = batch.take(self._queue, self._taken_under)
        self._waiting -= len(batch.waiters) + len(batch.commits) + len(batch.chores)
        if self._queue or self._stopping:
            self._ring()
        return batch

    def _write(self, batch: Batch) -> list[Outcome]:
        if self._refusals:
            with self._lock:
                refused = {run for run, fence in batch.fences.items() if not self._refusals.admits(run, fence)}
            batch.rows = batch.rows_but(refused)
        if not batch.rows and not batch.blobs and not batch.commits and not batch.chores:
            return []
        written = self._database.write(batch)
        if written.lost:
            with self._lock:
                for run, lost in written.lost.items():
                    self._refusals.add(run, lost, batch.fences[run])
        outcomes: list[Outcome] = [(c.future, found) for c, found in zip(batch.commits, written.commits, strict=True)]
        return outcomes + [(c.future, found) for c, found in zip(batch.chores, written.chores, strict=True)]

    def _fail(self, error: BaseException) -> None:
        """Nothing is tried again: every waiter, and every later call, gets the error."""
        with self._lock:
            self._error = error
            awaited = (Waiter, Commit, Chore)
            waiting: list[Waiter | Commit | Chore] = [item for item in self._queue if isinstance(item, awaited)]
            if self._batch is not None:
                waiting += self._batch.waiters
                waiting += self._batch.commits
                waiting += self._batch.chores
            futures: list[asyncio.Future[Any]] = [item.future for item in waiting] + self._room
            self._queue.clear()
            self._room = []
        release([(future, self._database.failed(error)) for future in futures])


def closed(name: str) -> ConfigError:
    return ConfigError(f"the store {name} is closed", hint="keep it open until the last run that uses it is done")


def forked(name: str) -> ConfigError:
    return ConfigError(
        f"the store {name} was opened before this process was forked",
        hint="open it in each process; they may share what is in it",
    )
