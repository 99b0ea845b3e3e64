"""One batch as one transaction of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from outlay.errors import Conflict
from outlay.protocols.store import Row
from outlay.protocols.upkeep import TOUCH_SECONDS
from outlay.sqlite import error_name
from outlay.stores.batch import Batch, Commit, Forget, Sweep
from outlay.stores.changes import Held, Place, decide, places
from outlay.stores.checksums import of_blob, of_document, of_row
from outlay.stores.refusals import Lost
from outlay.stores.writer import SEQ_BITS, Written

_EVENT = "INSERT INTO events (id, time, kind, body, crc) VALUES (?, ?, ?, ?, ?)"
_BLOB = """
INSERT INTO blobs (digest, content, crc, kept) VALUES (?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET kept = excluded.kept WHERE coalesce(kept, 0) < excluded.kept - ?
"""
_TAKEN = "SELECT 1 FROM events e JOIN runs r ON r.id = e.run WHERE r.run = ? AND e.id = r.id << ? | ?"
_HELD = "SELECT version, body FROM documents WHERE collection = ? AND key = ?"
_HOLDS = "SELECT 1 FROM documents WHERE collection = ? AND key = ? AND version = ? AND body IS NOT NULL"
_SET = "INSERT OR REPLACE INTO documents (collection, key, version, body, crc) VALUES (?, ?, ?, ?, ?)"
_LAST = "SELECT r.id, max(e.id) FROM runs r JOIN events e ON e.id BETWEEN r.id << ? AND (r.id << ?) + ? WHERE r.run = ?"
_FORGET = "DELETE FROM events WHERE id BETWEEN ? AND ?"
_SWEEP = "DELETE FROM blobs WHERE digest = ? AND coalesce(kept, 0) < ?"
_LARGEST = (1 << SEQ_BITS) - 1
#: Runs whose numbers are remembered.
_KNOWN_RUNS = 10_000


class Inserts:
    """What the writer's thread does with its connection."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._numbers: dict[str, int] = {}

    def write(self, batch: Batch) -> Written:
        """All durable on return, but the rows of runs that were lost to somebody else, and refused changes.

        Raises sqlite3.Error where the transaction failed; then nothing of it is there, and the connection is done.
        """
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        lost = self._lost_fences(batch)
        try:
            self._insert(batch.rows_but(lost))
        except sqlite3.IntegrityError as error:
            if not _is_taken(error):
                raise
            execute("ROLLBACK")
            self._numbers.clear()
            execute("BEGIN IMMEDIATE")
            lost = self._lost_fences(batch)
            lost |= self._insert_apart(batch.rows_but(lost))
        if batch.blobs:
            now = int(self._clock())
            self._connection.executemany(_BLOB, [(*blob, of_blob(*blob), now, TOUCH_SECONDS) for blob in batch.blobs])
        results = [self._change(commit) for commit in batch.commits]
        chores = [self._clear(chore.work) for chore in batch.chores]
        execute("COMMIT")
        return Written(lost, results, chores)

    def _lost_fences(self, batch: Batch) -> dict[str, Lost]:
        lost: dict[str, Lost] = {}
        for fence, runs in batch.fenced_runs().items():
            if self._connection.execute(_HOLDS, (fence.collection, fence.key, fence.version)).fetchone() is None:
                lost.update(dict.fromkeys(runs, fence))
        return lost

    def _held(self, wanted: Iterable[Place]) -> dict[Place, Held]:
        found: dict[Place, Held] = {}
        for place in wanted:
            if row := self._connection.execute(_HELD, place).fetchone():
                found[place] = Held(*row)
        return found

    def _change(self, commit: Commit) -> tuple[int, ...] | Conflict:
        """Nothing is written before all is decided: a refused commit leaves nothing to take back."""
        try:
            new, versions = decide(commit.changes, self._held(places(commit.changes)))
        except Conflict as conflict:
            return conflict
        for place, held in new.items():
            document = held.document(place)
            crc = None if document is None else of_document(document)
            self._connection.execute(_SET, (*place, held.version, held.body, crc))
        return versions

    def _clear(self, work: Forget | Sweep) -> list[str] | int:
        if isinstance(work, Sweep):
            return self._connection.executemany(_SWEEP, [(digest, work.before) for digest in work.digests]).rowcount
        return [run for run, last in work.runs.items() if self._forget(run, last)]

    def _forget(self, run: str, last: int) -> bool:
        # The run keeps its number, which other processes remember.
        number, newest = self._connection.execute(_LAST, (SEQ_BITS, SEQ_BITS, _LARGEST, run)).fetchone()
        if newest is None or newest & _LARGEST != last:
            return False
        self._connection.execute(_FORGET, (number << SEQ_BITS, newest))
        return True

    def _insert(self, rows: Sequence[Row]) -> None:
        numbers = self._numbers
        values: list[tuple[int, float, str, bytes, int]] = []
        for row in rows:
            number = numbers.get(row.run)
            if number is None:
                number = self._number(row.run)
            values.append((number << SEQ_BITS | row.seq, row.time, row.kind, row.body, of_row(row)))
        if len(values) == 1:
            self._connection.execute(_EVENT, values[0])
        elif values:
            self._connection.executemany(_EVENT, values)

    def _insert_apart(self, rows: Sequence[Row]) -> dict[str, Lost]:
        """Run by run, so that one whose place is taken does not fail its neighbours."""
        taken: dict[str, Lost] = {}
        for run in dict.fromkeys(row.run for row in rows):
            mine = [row for row in rows if row.run == run]
            self._connection.execute("SAVEPOINT apart")
            try:
                self._insert(mine)
            except sqlite3.IntegrityError as error:
                if not _is_taken(error):
                    raise
                self._connection.execute("ROLLBACK TO apart")
                self._numbers.pop(run, None)
                taken[run] = self._first_taken(run, mine)
            self._connection.execute("RELEASE apart")
        return taken

    def _first_taken(self, run: str, rows: Sequence[Row]) -> int:
        for row in rows:
            if self._connection.execute(_TAKEN, (run, SEQ_BITS, row.seq)).fetchone():
                return row.seq
        # The rows themselves name one place twice.
        return rows[-1].seq

    def _number(self, run: str) -> int:
        if len(self._numbers) >= _KNOWN_RUNS:
            self._numbers.clear()
        self._connection.execute("INSERT OR IGNORE INTO runs (run) VALUES (?)", (run,))
        (number,) = self._connection.execute("SELECT id FROM runs WHERE run = ?", (run,)).fetchone()
        self._numbers[run] = number
        return number


def _is_taken(error: sqlite3.Error) -> bool:
    return error_name(error) == "SQLITE_CONSTRAINT_PRIMARYKEY"
