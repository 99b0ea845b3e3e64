"""Rows, changes and databases for the tests of stores."""

import sqlite3
from pathlib import Path

import psycopg

from outlay.protocols.documents import Change
from outlay.protocols.store import Row


def row(run: str, seq: int, *, kind: str = "fact", body: bytes = b"{}", time: float = 1.5) -> Row:
    return Row(run, seq, time, kind, body)


def put(key: str, body: bytes | None, expect: int | None = None, collection: str = "c") -> Change:
    return Change(collection, key, body, expect)


def stored(path: Path) -> dict[str, list[int]]:
    """What an independent reader finds: the places taken in each run, in order."""
    with_integrity = sqlite3.connect(path)
    try:
        assert with_integrity.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found: dict[str, list[int]] = {}
        query = "SELECT r.run, e.seq FROM events e JOIN runs r ON r.id = e.run ORDER BY e.id"
        for run, seq in with_integrity.execute(query):
            found.setdefault(run, []).append(seq)
        return found
    finally:
        with_integrity.close()


def stored_at(address: str) -> dict[str, list[int]]:
    """The same for an address of either kind."""
    if address.startswith("sqlite:///"):
        return stored(Path(address.removeprefix("sqlite:///")))
    found: dict[str, list[int]] = {}
    query = "SELECT r.run, e.seq FROM outlay_events e JOIN outlay_runs r ON r.id = e.run ORDER BY e.run, e.seq"
    with psycopg.connect(address) as connection:
        for run, seq in connection.execute(query):
            found.setdefault(run, []).append(seq)
    return found
