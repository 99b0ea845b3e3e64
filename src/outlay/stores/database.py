"""One SQLite file as a store of events: opening it, its schema, and what its errors mean to a person."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from pathlib import Path

from outlay.errors import ConfigError, StoreFailed

#: Seconds that a writer waits for another process's transaction before it gives up.
BUSY_SECONDS = 30.0

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
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
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
    _make_writable(path)
    _check_length(path)
    try:
        connection = connect(path)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        if _version(connection, path) < SCHEMA:
            _upgrade(connection, path)
        _use_wal(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    except ConfigError:
        connection.close()
        raise
    return connection


def _make_writable(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(
            f"the store {path} is a folder, not a file", hint=f"name a file in it, such as {path / 'outlay.db'}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the permissions of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ConfigError(
                f"the store {path} cannot be written: {error.strerror}",
                hint="make the file and its folder writable, or name another with --store or OUTLAY_STORE",
            ) from error
        raise ConfigError(
            f"the store {path} cannot be opened: {error.strerror}",
            hint="name a file in a folder that can be made, with --store or OUTLAY_STORE",
        ) from error


def _check_length(path: Path) -> None:
    """Raises ConfigError for a file whose end is missing: SQLite would read zeros there."""
    if _is_short(path):
        # Unless another process was just writing it.
        time.sleep(0.05)
        if _is_short(path):
            raise ConfigError(f"the store {path} is damaged: its end is missing", hint=_RESTORE)


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
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster while this one waited for the lock.
        for step in STEPS[_version(connection, path) :]:
            for statement in filter(str.strip, step.split(";")):
                connection.execute(statement)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    # SQLite does not make the new name itself durable. Some systems cannot open a folder for this.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself for this lock.
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
    if mode != "wal":
        raise ConfigError(
            f"the store {path} lies on a file system without shared memory (SQLite's WAL mode needs it)",
            hint="keep the store on a local disk",
        )


def _is_busy(error: sqlite3.Error) -> bool:
    return error_name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def error_name(error: BaseException) -> str:
    """SQLite's name of an error, such as `SQLITE_FULL`; empty where it has none."""
    return str(getattr(error, "sqlite_errorname", ""))


_RESTORE = "restore it from a copy, or name another file with --store or OUTLAY_STORE"
_HINTS = (
    ("SQLITE_FULL", "the disk is full", "free some space and resume the run; what was flushed before is kept"),
    ("SQLITE_READONLY", "it cannot be written", "make the file and its folder writable, then resume the run"),
    ("SQLITE_BUSY", "another process holds it", "end the process that holds the file, then resume the run"),
    ("SQLITE_NOTADB", "it is not an Outlay store", "name another file with --store or OUTLAY_STORE"),
    ("SQLITE_CORRUPT", "it is damaged", _RESTORE),
    ("SQLITE_CANTOPEN", "it cannot be opened", "make its folder writable, or name another file with --store"),
    ("SQLITE_IOERR", "the disk failed", "check the disk and its quota, then resume the run"),
)


def _explain(error: BaseException) -> tuple[str, str]:
    name = error_name(error)
    for prefix, what, hint in _HINTS:
        if name.startswith(prefix):
            return f"{what} ({error}, {name})", hint
    return str(error) or type(error).__name__, "mend the cause, then resume the run; what was flushed before is kept"


def unusable(path: Path, error: BaseException) -> ConfigError:
    """Why the file cannot be opened as a store."""
    what, hint = _explain(error)
    return ConfigError(f"cannot open the store {path}: {what}", hint=hint)


def failed(path: Path, error: BaseException) -> StoreFailed:
    """Why a commit did not happen. A new error each time, so that waiters do not share a traceback."""
    what, hint = _explain(error)
    raised = StoreFailed(f"cannot write to the store {path}: {what}", hint=hint)
    raised.__cause__ = error
    return raised


def damaged(path: Path, what: str) -> ConfigError:
    """Why a part of the file is not given out."""
    return ConfigError(f"the store {path} is damaged: {what} is not what was written", hint=_RESTORE)
