"""The file of an embedded bus: opening it, its tables, and what SQLite's errors mean to a person."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from pathlib import Path

from outlay.errors import BusFailed, ConfigError

#: Written into the file; a newer one is refused rather than half understood.
SCHEMA = 1
#: "OLbs" in the file's header tells a bus from every other SQLite file.
_APPLICATION = 0x4F4C6273
#: Seconds that a writer waits for another process's transaction before it gives up.
BUSY_SECONDS = 30.0

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
    _make(path)
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    try:
        _use_wal(connection, path)
        if not _is_bus(connection, path):
            _create(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    except ConfigError:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"the bus {path} is a folder, not a file", hint=f"name a file in it, as {path / 'bus.db'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        raise ConfigError(
            f"the bus {path} cannot be {'written' if denied else 'opened'}: {error.strerror}",
            hint="make the file and its folder writable" if denied else "name a file in a folder that can be made",
        ) from error


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself for this lock.
            if not _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
    if mode != "wal":
        raise ConfigError(
            f"the bus {path} lies on a file system without shared memory (SQLite's WAL mode needs it)",
            hint="keep it on a local disk; for several machines use nats://",
        )


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
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster while this one waited for the lock.
        if not _is_bus(connection, path):
            for statement in filter(str.strip, TABLES.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _name(error: BaseException) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


_WHY = (
    ("SQLITE_FULL", "the disk is full", "free some space and try again; what was published before is kept"),
    ("SQLITE_READONLY", "it cannot be written", "make the file and its folder writable"),
    ("SQLITE_BUSY", "another process holds it", "end the process that holds the file and try again"),
    ("SQLITE_NOTADB", "it is not a SQLite file", "name another file; this one was left as it was"),
    ("SQLITE_CORRUPT", "it is damaged", "restore it from a copy, or name another file"),
    ("SQLITE_CANTOPEN", "it cannot be opened", "make its folder writable, or name another file"),
    ("SQLITE_IOERR", "the disk failed", "check the disk and its quota and try again"),
)


def _explain(error: BaseException) -> tuple[str, str]:
    for prefix, what, hint in _WHY:
        if _name(error).startswith(prefix):
            return f"{what} ({error}, {_name(error)})", hint
    return str(error) or type(error).__name__, "mend the cause and try again"


def _unusable(path: Path, error: BaseException) -> ConfigError:
    what, hint = _explain(error)
    return ConfigError(f"cannot open the bus {path}: {what}", hint=hint)


def failed(path: Path, error: BaseException) -> BusFailed:
    """Why a transaction did not happen: nothing of it is there."""
    what, hint = _explain(error)
    raised = BusFailed(f"the bus {path} failed: {what}", hint=hint)
    raised.__cause__ = error
    return raised
