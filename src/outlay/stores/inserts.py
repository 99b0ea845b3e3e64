"""One batch of rows and contents as one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

from outlay.protocols.store import Row
from outlay.stores.database import SEQ_BITS, error_name

#: A content behind its digest.
Blob: TypeAlias = tuple[bytes, bytes]
_EVENT = "INSERT INTO events (id, time, kind, body) VALUES (?, ?, ?, ?)"
_BLOB = "INSERT OR IGNORE INTO blobs (digest, content) VALUES (?, ?)"
_TAKEN = "SELECT 1 FROM events e JOIN runs r ON r.id = e.run WHERE r.run = ? AND e.id = r.id << ? | ?"
#: Runs whose numbers are remembered.
_KNOWN_RUNS = 10_000


class Inserts:
    """What the writer's thread does with its connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}

    def commit(self, rows: Sequence[Row], blobs: Sequence[Blob]) -> dict[str, int]:
        """All durable on return, but the rows of runs of which a place was taken: those runs, with that place.

        Raises sqlite3.Error where the transaction failed; then nothing of it is there, and the connection is done.
        """
        execute = self._connection.execute
        taken: dict[str, int] = {}
        execute("BEGIN IMMEDIATE")
        try:
            self._insert(rows)
        except sqlite3.IntegrityError as error:
            if not _is_taken(error):
                raise
            execute("ROLLBACK")
            self._numbers.clear()
            execute("BEGIN IMMEDIATE")
            taken = self._insert_apart(rows)
        if blobs:
            self._connection.executemany(_BLOB, blobs)
        execute("COMMIT")
        return taken

    def _insert(self, rows: Sequence[Row]) -> None:
        numbers = self._numbers
        values: list[tuple[int, float, str, bytes]] = []
        for row in rows:
            number = numbers.get(row.run)
            if number is None:
                number = self._number(row.run)
            values.append((number << SEQ_BITS | row.seq, row.time, row.kind, row.body))
        if len(values) == 1:
            self._connection.execute(_EVENT, values[0])
        elif values:
            self._connection.executemany(_EVENT, values)

    def _insert_apart(self, rows: Sequence[Row]) -> dict[str, int]:
        """Run by run, so that one whose place is taken does not fail its neighbours."""
        taken: dict[str, int] = {}
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
