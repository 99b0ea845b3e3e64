"""Group commit: one thread that writes what a store was given, as few commits as the waiters allow.

A row that nobody waits for lingers up to `LINGER` for company. A flush never does: the writer commits what is there
at once, and what arrives during that commit shares the next.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outlay.errors import ConfigError, Conflict, OutlayError
from outlay.protocols.store import Row
from outlay.stores.database import SEQ_BITS, closed, failed
from outlay.stores.inserts import Blob, Inserts
from outlay.stores.waking import Outcome, release

#: Seconds that a row without a waiter may stay in memory.
LINGER = 0.005
#: Rows and bytes of one commit; other processes wait for its length.
BATCH_ROWS = 512
BATCH_BYTES = 8 * 2**20
#: What a row weighs in memory beside its body, in bytes.
_ROW_BYTES = 200


@dataclass(frozen=True, slots=True)
class _Waiter:
    future: asyncio.Future[None]
    run: str | None


@dataclass(slots=True)
class _Batch:
    rows: list[Row] = field(default_factory=list[Row])
    blobs: list[Blob] = field(default_factory=list[Blob])
    waiters: list[_Waiter] = field(default_factory=list[_Waiter])
    weight: int = 0


class Writer:
    """The queue of one store and the thread that empties it. All methods but the thread's own return at once."""

    def __init__(self, connection: sqlite3.Connection, path: Path, high_water: int) -> None:
        self._connection = connection
        self._inserts = Inserts(connection)
        self._path = path
        self._high_water = high_water
        # Reentrant: the garbage collector may find the store in this very thread, and stop it.
        self._lock = threading.RLock()
        # A lock as a binary semaphore: held means nothing to do. Half the CPU of a Condition.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._rung = False
        # The thread looks by itself within LINGER: only who waits needs to ring. One wake-up a commit, not three.
        self._dozing = False
        self._queue: deque[Row | Blob | _Waiter] = deque()
        self._weight = 0
        self._waiting = 0
        self._batch: _Batch | None = None
        self._stopping = False
        self._room: list[asyncio.Future[None]] = []
        self._error: BaseException | None = None
        self._fenced: dict[str, int] = {}
        self._name = str(path)
        self._process = os.getpid()
        self._inode = _inode(self._name)
        self._thread = threading.Thread(target=self._work, name="outlay-store", daemon=True)
        self._thread.start()

    def put_rows(self, rows: Sequence[Row]) -> None:
        weight = 0
        for row in rows:
            weight += len(row.body) + _ROW_BYTES
            if row.seq >> SEQ_BITS:
                raise ValueError(f"an event's seq must be from 0 to 2**{SEQ_BITS} - 1, not {row.seq}")
        with self._lock:
            self._check()
            if self._fenced:
                for row in rows:
                    if row.run in self._fenced:
                        raise self._conflict(row.run)
            self._put(rows, weight)

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        kept = list(blobs)
        weight = sum(len(content) for _, content in kept) + _ROW_BYTES * len(kept)
        with self._lock:
            self._check()
            self._put(kept, weight)

    def _put(self, items: Sequence[Row] | Sequence[Blob], weight: int) -> None:
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
                if error := self._fence_of(run):
                    raise error
                return None
            future = loop.create_future()
            self._queue.append(_Waiter(future, run))
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
            future = loop.create_future()
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
        return failed(self._path, self._error) if self._error is not None else None

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            self._bell.release()

    def _check(self) -> None:
        if self._error is not None:
            raise failed(self._path, self._error)
        if self._stopping:
            raise closed(self._path)
        if os.getpid() != self._process:
            # Threads do not survive a fork: without this, a flush would wait for ever.
            raise ConfigError(
                f"the store {self._path} was opened before this process was forked",
                hint="open it in each process; they may share the file",
            )

    def _conflict(self, run: str) -> Conflict:
        return Conflict(
            f"run {run} was continued by somebody else: event {self._fenced[run]} is already in {self._path}",
            hint="let the other process finish it; nothing of this one was written over",
        )

    def _fence_of(self, run: str | None) -> Conflict | None:
        if not self._fenced:
            return None
        if run is None:
            return self._conflict(next(iter(self._fenced)))
        return self._conflict(run) if run in self._fenced else None

    # From here on: the thread.

    def _work(self) -> None:
        try:
            while batch := self._next():
                self._write(batch)
                with self._lock:
                    self._batch = None
                    self._weight -= batch.weight
                    room: list[asyncio.Future[None]] = []
                    if self._room and self._weight * 2 <= self._high_water:
                        room, self._room = self._room, room
                if batch.waiters or room:
                    outcomes: list[Outcome] = [(future, None) for future in room]
                    outcomes += [(waiter.future, self._fence_of(waiter.run)) for waiter in batch.waiters]
                    release(outcomes)
        except BaseException as error:
            self._fail(error)
        finally:
            self._connection.close()

    def _next(self) -> _Batch | None:
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

    def _take(self) -> _Batch:
        batch = _Batch()
        queue = self._queue
        while queue and len(batch.rows) < BATCH_ROWS and batch.weight < BATCH_BYTES:
            item = queue.popleft()
            if isinstance(item, Row):
                batch.rows.append(item)
                batch.weight += len(item.body) + _ROW_BYTES
            elif isinstance(item, _Waiter):
                batch.waiters.append(item)
                self._waiting -= 1
            else:
                batch.blobs.append(item)
                batch.weight += len(item[1]) + _ROW_BYTES
        self._batch = batch
        if queue or self._stopping:
            self._ring()
        return batch

    def _write(self, batch: _Batch) -> None:
        rows = batch.rows
        if self._fenced:
            rows = [row for row in rows if row.run not in self._fenced]
        if not rows and not batch.blobs:
            return
        if _inode(self._name) != self._inode:
            raise FileNotFoundError("the file was removed or replaced while it was in use")
        taken = self._inserts.commit(rows, batch.blobs)
        if taken:
            with self._lock:
                self._fenced.update(taken)

    def _fail(self, error: BaseException) -> None:
        """Nothing is tried again: every waiter, and every later call, gets the error."""
        with self._lock:
            self._error = error
            waiters = self._batch.waiters if self._batch else []
            waiters += [item for item in self._queue if isinstance(item, _Waiter)]
            futures = [waiter.future for waiter in waiters] + self._room
            self._queue.clear()
            self._room = []
        release([(future, failed(self._path, error)) for future in futures])


def _inode(path: str) -> tuple[int, int] | None:
    """Which file the name stands for; SQLite itself would go on writing into a file that was removed."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
