"""The one thread that touches the file: what is asked for at the same time shares a transaction."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from outlay.bus.sqlite_file import failed
from outlay.errors import ConfigError
from outlay.protocols.clock import future_of_thread

T = TypeVar("T")
#: Jobs of one transaction; other processes wait for its length.
_BATCH = 256
_Outcome: TypeAlias = tuple[asyncio.Future[Any], Any, BaseException | None]


@dataclass(frozen=True, slots=True)
class _Job:
    """`when` is asked outside the transaction, so that looking in vain takes no lock; false makes the result None."""

    work: Callable[[sqlite3.Connection], Any]
    when: Callable[[sqlite3.Connection], bool] | None
    durable: bool
    future: asyncio.Future[Any]


class SqliteThread:
    """Runs jobs in order, as few transactions as may be. The event loop never waits for the disk."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._synchronous = ""
        self._process = os.getpid()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="outlay-bus", daemon=True)
        self._thread.start()

    async def do(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        when: Callable[[sqlite3.Connection], bool] | None = None,
        durable: bool = False,
    ) -> T | None:
        """What `work` gives. With `durable` it survives a power cut on return, without it a killed process only.

        Raises BusFailed where the transaction failed; then nothing of it is there.
        """
        if self._stopped:
            raise ConfigError(f"the bus {self._path} is closed")
        if os.getpid() != self._process:
            # Threads do not survive a fork: this would wait for ever.
            raise ConfigError(
                f"the bus {self._path} was opened before this process was forked",
                hint="open it in each process; they may share the file",
            )
        future = future_of_thread(asyncio.get_running_loop())
        self._queue.put(_Job(work, when, durable, future))
        return await future

    async def stop(self) -> None:
        """Finish what is queued and let go of the file."""
        self._stopped = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # From here on: the thread.

    def _run(self) -> None:
        while jobs := self._next():
            _release(self._transact(jobs))
        self._connection.close()

    def _next(self) -> list[_Job]:
        """What is queued, at least one; nothing at the end."""
        job = self._queue.get()
        jobs: list[_Job] = []
        with contextlib.suppress(Empty):
            while job is not None:
                jobs.append(job)
                if len(jobs) == _BATCH:
                    return jobs
                job = self._queue.get_nowait()
            if jobs:
                self._queue.put(None)
        return jobs

    def _transact(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        connection = self._connection
        try:
            wanted = [job for job in jobs if job.when is None or job.when(connection)]
            results: dict[_Job, Any] = {}
            if wanted:
                self._be("FULL" if any(job.durable for job in wanted) else "NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                for job in wanted:
                    results[job] = job.work(connection)
                connection.execute("COMMIT")
            return [(job.future, results.get(job), None) for job in jobs]
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return [(job.future, None, failed(self._path, error)) for job in jobs]

    def _be(self, synchronous: str) -> None:
        # In WAL mode NORMAL leaves out the wait for the disk at a commit. A claim or an acknowledgement that a power
        # cut takes back is one delivery more, which at-least-once allows; a published message must not vanish.
        if self._synchronous != synchronous:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous


def _release(outcomes: Sequence[_Outcome]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].get_loop(), []).append(outcome)
    for loop, mine in by_loop.items():
        # A loop that was closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, mine)


def _settle(outcomes: Sequence[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
