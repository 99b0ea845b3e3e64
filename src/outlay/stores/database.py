"""One SQLite file as a store of events: opening it, its schema, and what its errors mean to a person."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from outlay import sqlite
from outlay.errors import ConfigError, StoreFailed

#: The words of a store's errors.
STORE = sqlite.Purpose(
    "the store",
    wanted="an Outlay store",
    example="outlay.db",
    option="--store or OUTLAY_STORE",
    again="resume the run",
    kept="what was flushed before is kept",
    apart="keep the store on a local disk",
)

# One integer keys an event, `run number << 32 | seq`: a commit then touches one b-tree at its end, where SQLite is
# cheapest, and long bodies need no overflow pages (15 % less CPU a commit than a composite key). The columns `run`
# and `seq` are computed from it for people who look inside. Contents stand in the order of arrival, for the same
# reasons (keyed by digest, messages of 2 KB take twice the space).
_EVENTS = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (id INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    run INTEGER GENERATED ALWAYS AS (id >> 32) VIRTUAL,
    seq INTEGER GENERATED ALWAYS AS (id & 4294967295) VIRTUAL
);
CREATE TABLE blobs (digest BLOB NOT NULL UNIQUE, content BLOB NOT NULL);
INSERT INTO meta VALUES ('schema', '1');
"""
# Without a body: deleted. The version stays, so that it never comes twice and an old fence never holds again.
_DOCUMENTS = """
CREATE TABLE documents (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    body BLOB,
    PRIMARY KEY (collection, key)
) WITHOUT ROWID;
UPDATE meta SET value = '2' WHERE name = 'schema';
"""
# Rows of older versions have none and are read as they are.
_CHECKSUMS = """
ALTER TABLE events ADD COLUMN crc INTEGER;
ALTER TABLE blobs ADD COLUMN crc INTEGER;
ALTER TABLE documents ADD COLUMN crc INTEGER;
UPDATE meta SET value = '3' WHERE name = 'schema';
"""
#: When a content was last kept, in seconds since the epoch: retention takes none that somebody is about to name.
_KEPT = """
ALTER TABLE blobs ADD COLUMN kept INTEGER;
UPDATE meta SET value = '4' WHERE name = 'schema';
"""
#: What makes each version of the schema out of the one before; the first out of an empty file.
STEPS = (_EVENTS, _DOCUMENTS, _CHECKSUMS, _KEPT)
#: Written into the file; a newer one is refused rather than half understood.
SCHEMA = len(STEPS)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that any one thread at a time may use, with durable commits."""
    connection = sqlite.connect(path)
    try:
        # FULL: a commit that returned survives a power cut, not only a killed process.
        connection.execute("PRAGMA synchronous = FULL")
        # A short log is overwritten in place, which costs the file system less than growing it (default: 1,000).
        connection.execute("PRAGMA wal_autocheckpoint = 500")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_database(path: Path) -> sqlite3.Connection:
    """The file at `path` as a store, made (with its folder, readable by its owner only) where there is none.

    Raises ConfigError, which says what to do, for what is not a store of this version or cannot be written.
    """
    STORE.make(path)
    _check_length(path)
    with STORE.opening(path, connect) as connection:
        if _version(connection, path) < SCHEMA:
            _upgrade(connection, path)
        STORE.use_wal(connection, path)
        return connection


def _check_length(path: Path) -> None:
    """Raises ConfigError for a file whose end is missing: SQLite would read zeros there."""
    if _is_short(path):
        # Unless another process was just writing it.
        time.sleep(0.05)
        if _is_short(path):
            raise ConfigError(f"the store {path} is damaged: its end is missing", hint=STORE.restore)


def _is_short(path: Path) -> bool:
    for log in (f"{path}-wal", f"{path}-journal"):
        # It may hold the end, where a checkpoint was cut short.
        with contextlib.suppress(FileNotFoundError):
            if os.stat(log).st_size:
                return False
    with path.open("rb") as file:
        header = file.read(100)
        length = os.fstat(file.fileno()).st_size
    # Offsets of the file format, https://www.sqlite.org/fileformat2.html#the_database_header
    page = int.from_bytes(header[16:18])
    pages = int.from_bytes(header[28:32])
    return header.startswith(b"SQLite format 3\0") and length < pages * (65536 if page == 1 else page)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """0 for an empty file; raises ConfigError for somebody else's database or a newer store."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if not {"meta", "events", "blobs"} <= tables:
        raise ConfigError(
            f"{path} is a SQLite database, but not an Outlay store",
            hint="name another file with --store or OUTLAY_STORE; this one was left as it was",
        )
    found = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    version = int(found[0]) if found and str(found[0]).isdigit() else 0
    if not 0 < version <= SCHEMA:
        raise ConfigError(
            f"the store {path} has schema {version}, this Outlay reads up to {SCHEMA}",
            hint="update Outlay, or name another file with --store or OUTLAY_STORE"
            if version
            else "the file is damaged: restore it from a copy, or name another file",
        )
    return version


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables that are not there yet: all of them, or those that came after the file was made."""
    with sqlite.alone(connection):
        # Another process may have been faster while this one waited for the lock.
        for step in STEPS[_version(connection, path) :]:
            sqlite.execute_all(connection, step)
    # SQLite does not make the new name itself durable. Some systems cannot open a folder for this.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def failed(path: Path, error: BaseException) -> StoreFailed:
    """Why a commit did not happen. A new error each time, so that waiters do not share a traceback."""
    what, hint = STORE.explain(error)
    raised = StoreFailed(f"cannot write to the store {path}: {what}", hint=hint)
    raised.__cause__ = error
    return raised


def damaged(path: Path, what: str) -> ConfigError:
    """Why a part of the file is not given out."""
    return ConfigError(f"the store {path} is damaged: {what} is not what was written", hint=STORE.restore)
