"""One batch as one transaction of PostgreSQL.

Several processes write at once, so everything is locked in one order: documents, runs, events, contents, each
sorted. Two writers may wait for each other's rows, but never in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from outlay.errors import Conflict
from outlay.protocols.store import Row
from outlay.protocols.upkeep import TOUCH_SECONDS
from outlay.stores.batch import Batch, Forget, Sweep
from outlay.stores.changes import Held, Place, decide, holds, places
from outlay.stores.refusals import Lost
from outlay.stores.writer import Written

#: A row to lock for each document that is to be changed; version 0 is one that is not there.
_PLACES: LiteralString = """
INSERT INTO outlay_documents (collection, key, version)
SELECT collection, key, 0 FROM unnest(%b::text[], %b::text[]) AS wanted (collection, key)
ON CONFLICT DO NOTHING
"""
_HELD: LiteralString = """
SELECT collection, key, version, body
FROM outlay_documents AS held JOIN unnest(%b::text[], %b::text[]) AS wanted (collection, key) USING (collection, key)
ORDER BY collection, key
"""
_HELD_TO_CHANGE: LiteralString = f"{_HELD} FOR UPDATE OF held"
# A new owner waits until those who still write under the old fence are done.
_HELD_TO_STAY: LiteralString = f"{_HELD} FOR SHARE OF held"
_SET: LiteralString = """
UPDATE outlay_documents AS held SET version = new.version, body = new.body
FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bytea[]) AS new (collection, key, version, body)
WHERE held.collection = new.collection AND held.key = new.key
"""
#: What is still version 0 was not there before either.
_TIDY: LiteralString = """
DELETE FROM outlay_documents AS held USING unnest(%b::text[], %b::text[]) AS wanted (collection, key)
WHERE held.collection = wanted.collection AND held.key = wanted.key AND held.version = 0
"""
#: Numbered in the order of their start, locked in that of their names.
_RUNS: LiteralString = """
WITH started AS MATERIALIZED (SELECT nextval('outlay_runs_id_seq') AS id, run FROM unnest(%b::text[]) AS run)
INSERT INTO outlay_runs (id, run) SELECT id, run FROM started ORDER BY run ON CONFLICT DO NOTHING
"""
_NUMBERS: LiteralString = "SELECT run, id FROM outlay_runs WHERE run = ANY(%b::text[])"
_EVENTS: LiteralString = """
INSERT INTO outlay_events (run, seq, time, kind, body)
SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::float8[], %b::text[], %b::bytea[])
"""
_TAKEN: LiteralString = "SELECT min(seq) FROM outlay_events WHERE run = %b AND seq = ANY(%b::bigint[])"
_BLOBS: LiteralString = """
INSERT INTO outlay_blobs AS held (digest, content, kept)
SELECT digest, content, %b::bigint FROM unnest(%b::bytea[], %b::bytea[]) AS new (digest, content)
ON CONFLICT (digest) DO UPDATE SET kept = excluded.kept WHERE held.kept < excluded.kept - %b::bigint
"""
# Inserts of rows wait meanwhile: nobody goes on with a run between the look at its last place and its end.
_ALONE: LiteralString = "LOCK TABLE outlay_events IN SHARE ROW EXCLUSIVE MODE"
_LAST: LiteralString = """
SELECT r.id, max(e.seq) FROM outlay_runs r JOIN outlay_events e ON e.run = r.id WHERE r.run = %b GROUP BY r.id
"""
_FORGET: LiteralString = "DELETE FROM outlay_events WHERE run = %b"
_SWEEP: LiteralString = """
DELETE FROM outlay_blobs WHERE digest IN (
    SELECT digest FROM outlay_blobs WHERE digest = ANY(%b::bytea[]) AND kept < %b::float8 ORDER BY digest FOR UPDATE
) RETURNING 1
"""
#: Runs whose numbers are remembered.
_KNOWN_RUNS = 10_000


class Inserts:
    """What the writer's thread does with its connection."""

    def __init__(self, connection: psycopg.Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._numbers: dict[str, int] = {}

    def write(self, batch: Batch) -> Written:
        """All durable on return, but the rows of runs that were lost to somebody else, and refused changes.

        Raises psycopg.Error where the transaction failed; then the connection is done. If it was lost during the
        commit, nobody here knows whether the batch is there.
        """
        # In a pipeline only what must be read before the next statement waits for the server: one exchange for
        # rows of known runs, one more each for fences or changes, and for new runs.
        try:
            with self._connection.pipeline(), suppress(errors.UniqueViolation):
                # Suppressed inside: the end of the pipeline would log what it meets after the error.
                return self._transaction(batch, apart=False)
        except (errors.UniqueViolation, errors.PipelineAborted):
            pass
        if self._connection.info.transaction_status != TransactionStatus.IDLE:
            self._connection.rollback()
        self._numbers.clear()
        return self._transaction(batch, apart=True)

    def _transaction(self, batch: Batch, *, apart: bool) -> Written:
        # Whatever the server's default: who waited for a lock must see what its holder wrote.
        self._connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        held = self._lock(batch)
        lost: dict[str, Lost] = {}
        for fence, runs in batch.fenced_runs().items():
            if not holds(fence, held):
                lost.update(dict.fromkeys(runs, fence))
        rows = batch.rows_but(lost)
        self._know(rows)
        if apart:
            lost |= self._insert_apart(rows)
        else:
            self._insert(rows)
        if batch.blobs:
            contents = dict(reversed(batch.blobs))  # the first of a digest counts
            ordered = sorted(contents)
            values = [int(self._clock()), ordered, [contents[digest] for digest in ordered], TOUCH_SECONDS]
            self._connection.execute(_BLOBS, values)
        results = self._change(batch, held)
        chores = [self._clear(chore.work) for chore in batch.chores]
        self._connection.execute("COMMIT")
        return Written(lost, results, chores)

    def _clear(self, work: Forget | Sweep) -> list[str] | int:
        if isinstance(work, Sweep):
            return len(self._connection.execute(_SWEEP, [list(work.digests), work.before]).fetchall())
        self._connection.execute(_ALONE)
        return [run for run, last in sorted(work.runs.items()) if self._forget(run, last)]

    def _forget(self, run: str, last: int) -> bool:
        # The run keeps its number, which other processes remember.
        found = self._connection.execute(_LAST, [run]).fetchone()
        if found is None or found[1] != last:
            return False
        self._connection.execute(_FORGET, [found[0]])
        return True

    def _lock(self, batch: Batch) -> dict[Place, Held]:
        """The documents that fences and changes name, as they stay until the end of the transaction."""
        changed = places(change for commit in batch.commits for change in commit.changes)
        wanted = sorted({*changed, *((fence.collection, fence.key) for fence in batch.fenced_runs())})
        if not wanted:
            return {}
        if changed:
            self._connection.execute(_PLACES, _columns(changed, 2))
        found = self._connection.execute(_HELD_TO_CHANGE if changed else _HELD_TO_STAY, _columns(wanted, 2))
        return {(collection, key): Held(version, body) for collection, key, version, body in found}

    def _change(self, batch: Batch, held: dict[Place, Held]) -> list[tuple[int, ...] | Conflict]:
        results: list[tuple[int, ...] | Conflict] = []
        new: dict[Place, Held] = {}
        for commit in batch.commits:
            try:
                changed, versions = decide(commit.changes, held)
            except Conflict as conflict:
                results.append(conflict)
            else:
                held |= changed
                new |= changed
                results.append(versions)
        if new:
            documents = [(*place, new[place].version, new[place].body) for place in sorted(new)]
            self._connection.execute(_SET, _columns(documents, 4))
        if unused := sorted(place for place, now in held.items() if not now.version):
            self._connection.execute(_TIDY, _columns(unused, 2))
        return results

    def _know(self, rows: Sequence[Row]) -> None:
        """Numbers for the runs that have none here."""
        if len(self._numbers) >= _KNOWN_RUNS:
            self._numbers.clear()
        unknown = [run for run in dict.fromkeys(row.run for row in rows) if run not in self._numbers]
        if not unknown:
            return
        self._connection.execute(_RUNS, [unknown])
        self._numbers.update(self._connection.execute(_NUMBERS, [unknown]).fetchall())

    def _insert(self, rows: Sequence[Row]) -> None:
        if rows:
            values = [(self._numbers[row.run], row.seq, row.time, row.kind, row.body) for row in rows]
            values.sort(key=lambda value: value[:2])
            self._connection.execute(_EVENTS, _columns(values, 5))

    def _insert_apart(self, rows: Sequence[Row]) -> dict[str, Lost]:
        """Run by run, so that one whose place is taken does not fail its neighbours."""
        taken: dict[str, Lost] = {}
        for run in sorted({row.run for row in rows}, key=self._numbers.__getitem__):
            mine = [row for row in rows if row.run == run]
            try:
                with self._connection.transaction():
                    self._insert(mine)
            except errors.UniqueViolation:
                seqs = [row.seq for row in mine]
                found = self._connection.execute(_TAKEN, [self._numbers[run], seqs]).fetchone()
                # None: the rows themselves name one place twice.
                taken[run] = found[0] if found and found[0] is not None else seqs[-1]
        return taken


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows as the arrays that `unnest` makes rows of again: one statement, however many there are."""
    return [[row[i] for row in rows] for i in range(width)]
