"""The output is a query that the database understands."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from outlay.checkers.checker import Checker, code_of, named, shown
from outlay.errors import ConfigError

#: A longer query is no query. In characters.
LONGEST_QUERY = 100_000
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def sql(database: str | Path | None = None, *, schema: str | None = None) -> Checker:
    """Passes one SELECT that SQLite can plan over `database`, a file, or over `schema`, the statements that make it.

    The query is explained and not run. The file is opened read-only, and anything but reading (PRAGMA and ATTACH
    too) is refused. The query is that of the output's code fence, or the whole output.
    """
    if (database is None) == (schema is None):
        raise ConfigError("sql() needs either database= or schema=")
    path = None if database is None else Path(database).resolve()
    if path is not None and not path.is_file():
        raise ConfigError(f"sql({str(database)!r}): there is no such file")
    try:
        with closing(_open(path, schema)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.Error as error:
        raise ConfigError(f"sql(): the database cannot be read: {error}") from error

    def check(output: Any) -> str | None:
        query = code_of(output).strip()
        if not query:
            return "there is no query; answer with one SELECT"
        if len(query) > LONGEST_QUERY:
            return f"the query has {len(query):,} characters, at most {LONGEST_QUERY:,}"
        with closing(_open(path, schema)) as connection:
            connection.set_authorizer(_authorize)
            try:
                connection.execute(f"EXPLAIN {query}")
            except sqlite3.DatabaseError as error:
                return _problem(error)
            except (sqlite3.Warning, ValueError) as error:  # two statements; a NUL
                return f"{error}; answer with one SELECT"
        return None

    return named("sql", check, blocking=path is not None)


def _open(path: Path | None, schema: str | None) -> sqlite3.Connection:
    if path is not None:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(schema or "")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    allowed = action in _ALLOWED and "load_extension" not in (first, second)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _problem(error: sqlite3.DatabaseError) -> str:
    if "not authorized" in str(error) or "prohibited" in str(error):
        return "the query does more than read; answer with one SELECT"
    return f"SQLite says: {shown(str(error), 200)}"
