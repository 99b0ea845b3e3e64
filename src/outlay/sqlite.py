"""A file of SQLite: made for its owner only, opened, put into WAL mode, and what its errors mean to a person."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from outlay.errors import ConfigError

#: Seconds that a writer waits for another process's transaction before it gives up.
BUSY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a file is for, in the words of its errors.

    `what` it is ("the store"); `wanted`, what some other file is not; `example`, a good name; `option`, where another
    file is named; `again`, what to do once the cause is mended; `kept`, what a failed commit leaves; `apart`, what to
    do about a network file system.
    """

    what: str
    wanted: str
    example: str
    option: str
    again: str
    kept: str
    apart: str

    def make(self, path: Path) -> None:
        """See that there is a file, readable by its owner only, in a folder made for it. Raises ConfigError."""
        if path.is_dir():
            raise ConfigError(
                f"{self.what} {path} is a folder, not a file", hint=f"name a file in it, such as {path / self.example}"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite gives its -wal and -shm files the permissions of the database.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
        except OSError as error:
            denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            raise ConfigError(
                f"{self.what} {path} cannot be {'written' if denied else 'opened'}: {error.strerror}",
                hint=f"make the file and its folder writable, or {self.name_another}"
                if denied
                else f"{self.name_another}, in a folder that can be made",
            ) from error

    @contextmanager
    def opening(self, path: Path, connect: Callable[[Path], sqlite3.Connection]) -> Generator[sqlite3.Connection]:
        """A connection to make ready; where that fails it is closed, and SQLite's errors become ConfigErrors."""
        try:
            connection = connect(path)
        except sqlite3.Error as error:
            raise self.unusable(path, error) from error
        try:
            yield connection
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self.unusable(path, error) from error
            raise

    def use_wal(self, connection: sqlite3.Connection, path: Path) -> None:
        """Put the file into WAL mode, however many processes do. Raises ConfigError where it cannot be."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                # SQLite does not wait by itself for this lock.
                busy = error_name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        if mode != "wal":
            raise ConfigError(
                f"{self.what} {path} lies on a file system without shared memory (SQLite's WAL mode needs it)",
                hint=self.apart,
            )

    def explain(self, error: BaseException) -> tuple[str, str]:
        """What an error of SQLite's means, and what to do next."""
        name = error_name(error)
        for prefix, what, hint in (
            ("SQLITE_FULL", "the disk is full", f"free some space and {self.again}; {self.kept}"),
            ("SQLITE_READONLY", "it cannot be written", f"make the file and its folder writable, then {self.again}"),
            ("SQLITE_BUSY", "another process holds it", f"end the process that holds the file, then {self.again}"),
            ("SQLITE_NOTADB", f"it is not {self.wanted}", f"{self.name_another}; this one was left as it was"),
            ("SQLITE_CORRUPT", "it is damaged", self.restore),
            ("SQLITE_CANTOPEN", "it cannot be opened", f"make its folder writable, or {self.name_another}"),
            ("SQLITE_IOERR", "the disk failed", f"check the disk and its quota, then {self.again}"),
        ):
            if name.startswith(prefix):
                return f"{what} ({error}, {name})", hint
        return str(error) or type(error).__name__, f"mend the cause, then {self.again}; {self.kept}"

    def unusable(self, path: Path, error: BaseException) -> ConfigError:
        """Why the file cannot be opened or read."""
        what, hint = self.explain(error)
        return ConfigError(f"cannot open {self.what} {path}: {what}", hint=hint)

    @property
    def restore(self) -> str:
        """What to do about a damaged one."""
        return f"restore it from a copy, or {self.name_another}"

    @property
    def name_another(self) -> str:
        """What to do where this file cannot be it."""
        return f"name another file{self.option and f' with {self.option}'}"


def connect(path: Path) -> sqlite3.Connection:
    """A connection that any one thread at a time may use, and that begins no transactions by itself."""
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


@contextmanager
def alone(connection: sqlite3.Connection) -> Generator[None]:
    """A transaction that writes: no other process writes meanwhile; where it fails, nothing of it is there."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def execute_all(connection: sqlite3.Connection, statements: str) -> None:
    """Statements with semicolons between them, none within: `executescript` would end the transaction first."""
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)


def error_name(error: BaseException) -> str:
    """SQLite's name of an error, such as `SQLITE_FULL`; empty where it has none."""
    return str(getattr(error, "sqlite_errorname", ""))
