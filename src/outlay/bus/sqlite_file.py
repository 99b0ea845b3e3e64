"""The file of an embedded bus: opening it, its tables, and what SQLite's errors mean to a person."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from outlay import sqlite
from outlay.errors import BusFailed, ConfigError

#: Written into the file; a newer one is refused rather than half understood.
SCHEMA = 1
#: "OLbs" in the file's header tells a bus from every other SQLite file.
_APPLICATION = 0x4F4C6273
_BUS = sqlite.Purpose(
    "the bus",
    wanted="a SQLite file",
    example="bus.db",
    option="",
    again="try again",
    kept="what was published before is kept",
    apart="keep it on a local disk; for several machines use nats://",
)

# A delivery is what one group still has to do. `head` marks those that may be given out as far as order goes: the
# first of its key, and everything without a key. `due` is when, in seconds since the epoch: at once, at the end of its
# lease, or after the delay of a refusal. So a claim is one step in an index, and a lease is nothing but a later `due`.
# The attempt number is the fencing token of a lease: whoever holds an older one has lost it.
TABLES = """
CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kept INTEGER NOT NULL DEFAULT 0);
CREATE TABLE groups (
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (topic, name)
);
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL, key TEXT, payload BLOB NOT NULL,
    waiting INTEGER NOT NULL
);
CREATE INDEX messages_by_topic ON messages (topic, seq);
CREATE TABLE ids (
    topic INTEGER NOT NULL, id TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (topic, id)
) WITHOUT ROWID;
CREATE INDEX ids_by_end ON ids (until);
CREATE TABLE deliveries (
    "group" INTEGER NOT NULL, seq INTEGER NOT NULL, key TEXT, head INTEGER NOT NULL,
    due REAL NOT NULL, attempt INTEGER NOT NULL DEFAULT 0, PRIMARY KEY ("group", seq)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_due ON deliveries ("group", due, seq) WHERE head = 1;
CREATE INDEX deliveries_by_key ON deliveries ("group", key, seq) WHERE key IS NOT NULL;
CREATE TABLE dead (
    place INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, "group" TEXT NOT NULL, payload BLOB NOT NULL,
    attempts INTEGER NOT NULL, reason TEXT NOT NULL, time REAL NOT NULL
);
CREATE INDEX dead_by_topic ON dead (topic, place);
"""


def open_file(path: Path) -> sqlite3.Connection:
    """A connection that any one thread at a time may use; the file is made, readable by its owner only.

    Raises ConfigError, which says what to do, for what is not a bus of this version or cannot be written.
    """
    _BUS.make(path)
    with _BUS.opening(path, sqlite.connect) as connection:
        _BUS.use_wal(connection, path)
        if not _is_bus(connection, path):
            _create(connection, path)
        return connection


def _is_bus(connection: sqlite3.Connection, path: Path) -> bool:
    """False for an empty file; raises ConfigError for somebody else's database or another version."""
    # The tables first: another process makes them and the rest in one commit, which may come between these lines.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0:
        return False
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        raise ConfigError(
            f"{path} is a SQLite database, but not a bus", hint="name another file; this one was left as it was"
        )
    if version != SCHEMA:
        raise ConfigError(
            f"the bus {path} has schema {version}, this Outlay reads {SCHEMA}",
            hint="update Outlay, or name another file",
        )
    return True


def _create(connection: sqlite3.Connection, path: Path) -> None:
    with sqlite.alone(connection):
        # Another process may have been faster while this one waited for the lock.
        if not _is_bus(connection, path):
            sqlite.execute_all(connection, TABLES)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")


def failed(path: Path, error: BaseException) -> BusFailed:
    """Why a transaction did not happen: nothing of it is there."""
    what, hint = _BUS.explain(error)
    raised = BusFailed(f"the bus {path} failed: {what}", hint=hint)
    raised.__cause__ = error
    return raised
