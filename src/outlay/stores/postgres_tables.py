"""A PostgreSQL database as a store of events: its address, its tables, and what its errors mean to a person.

The tables stand in the first schema of the connection's search path. All names begin with `outlay_`, so that they
may share it with others.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outlay.errors import ConfigError, OutlayError, StoreFailed
from outlay.sqlite import BUSY_SECONDS
from outlay.stores.addresses import shown

_EVENTS = """
CREATE TABLE outlay_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE outlay_runs (
    id BIGSERIAL PRIMARY KEY,
    run TEXT COLLATE "C" NOT NULL UNIQUE
);
CREATE TABLE outlay_events (
    run BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    time DOUBLE PRECISION NOT NULL,
    kind TEXT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE TABLE outlay_blobs (digest BYTEA PRIMARY KEY, content BYTEA NOT NULL);
-- Without a body: deleted. Rows are never removed: their version goes on, and writers lock them.
CREATE TABLE outlay_documents (
    collection TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    body BYTEA,
    PRIMARY KEY (collection, key)
);
INSERT INTO outlay_meta VALUES ('schema', '1');
"""
#: When a content was last kept, in seconds since the epoch: retention takes none that somebody is about to name.
_KEPT = """
ALTER TABLE outlay_blobs ADD COLUMN kept BIGINT NOT NULL DEFAULT 0;
UPDATE outlay_meta SET value = '2' WHERE name = 'schema';
"""
#: What makes each version of the schema out of the one before; the first out of nothing.
STEPS = (_EVENTS, _KEPT)
#: Written into the database; a newer one is refused rather than half understood.
SCHEMA = len(STEPS)
#: Taken while tables are made, so that processes that start together do not meet: "outlay" in ASCII.
_LOCK = 0x6F75746C6179

#: libpq's settings where the address has none. A server that went away silently is noticed within a minute.
_SETTINGS: dict[str, Any] = {
    "application_name": "outlay",
    "client_encoding": "utf8",
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


class Address:
    """Where the database is. Its text, for people, has neither the password nor any other setting."""

    def __init__(self, url: str) -> None:
        self.name = shown(url)
        try:
            self._settings = make_conninfo("", **(_SETTINGS | conninfo_to_dict(url)))
        except psycopg.Error:
            # libpq's text repeats the address, password and all: neither shown nor chained.
            refused = ConfigError(
                f"the address {self.name} cannot be read",
                hint="write postgresql://user@host:5432/database; @, : and / in a password as %40, %3A and %2F",
            )
        else:
            return
        raise refused

    def __str__(self) -> str:
        return self.name

    def connect(self) -> psycopg.Connection:
        """A connection without a transaction of its own. Raises psycopg.Error."""
        connection = psycopg.connect(self._settings, autocommit=True)
        try:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{BUSY_SECONDS * 1000:.0f}",))
        except BaseException:
            connection.close()
            raise
        return connection

    def open(self) -> psycopg.Connection:
        """A connection to write by, the tables made where there are none.

        Raises ConfigError, which says what to do, for what is not a store of this version or cannot be written.
        """
        try:
            connection = self.connect()
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            raise self.unusable(error) from error
        return connection

    def _prepare(self, connection: psycopg.Connection) -> None:
        query = "SELECT current_setting('transaction_read_only'), current_setting('server_encoding')"
        read_only, encoding = connection.execute(query).fetchone() or ("", "")
        if read_only == "on":
            raise ConfigError(
                f"the store {self} is read-only", hint="name the primary server, with a user who may write"
            )
        if encoding != "UTF8":
            raise ConfigError(
                f"the store {self} has the encoding {encoding}", hint="create the database with ENCODING 'UTF8'"
            )
        # A commit that returned must survive a power cut; stricter settings of the server's are left as they are.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        if self._version(connection) == SCHEMA:
            return
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            # Another process may have been faster while this one waited for the lock.
            for step in STEPS[self._version(connection) :]:
                for statement in filter(str.strip, step.split(";")):
                    connection.execute(statement.encode())

    def _version(self, connection: psycopg.Connection) -> int:
        """0 where there are no tables yet; raises ConfigError for those of a newer Outlay."""
        # Not to_regclass: it may remember, within a transaction, that there was none.
        query = "SELECT 1 FROM pg_class WHERE relname = 'outlay_meta' AND pg_table_is_visible(oid)"
        if connection.execute(query).fetchone() is None:
            return 0
        found = connection.execute("SELECT value FROM outlay_meta WHERE name = 'schema'").fetchone()
        version = int(found[0]) if found and str(found[0]).isdigit() else 0
        if not 0 < version <= SCHEMA:
            raise ConfigError(
                f"the store {self} has schema {version}, this Outlay reads up to {SCHEMA}",
                hint="update Outlay, or name another database with --store or OUTLAY_STORE"
                if version
                else "its tables are damaged: restore them from a copy, or name another database",
            )
        return version

    def unusable(self, error: BaseException) -> ConfigError:
        """Why the database cannot be opened or read as a store."""
        what, hint = _explain(error)
        return ConfigError(f"cannot open the store {self}: {what}", hint=hint)

    def failed(self, error: BaseException) -> StoreFailed:
        """Why a commit did not happen, or may not have. A new error each time, as waiters share no traceback."""
        what, hint = _explain(error)
        raised = StoreFailed(f"cannot write to the store {self}: {what}", hint=hint)
        raised.__cause__ = error
        return raised


_RESUME = "then resume the run; what was flushed before is kept"
_HINTS: tuple[tuple[type[psycopg.Error] | tuple[type[psycopg.Error], ...], str, str], ...] = (
    (errors.DiskFull, "its disk is full", f"free some space, {_RESUME}"),
    (
        # The second is what a schema without USAGE looks like.
        (errors.InsufficientPrivilege, errors.InvalidSchemaName),
        "its user lacks a right",
        "grant it CREATE and USAGE on the schema, and all rights on the tables outlay_*",
    ),
    (errors.ReadOnlySqlTransaction, "it is read-only", "name the primary server, with a user who may write"),
    (errors.LockNotAvailable, "another process holds it", f"end the transaction that holds its rows, {_RESUME}"),
    (errors.UndefinedTable, "its tables are gone", "restore them from a copy, or name another database"),
)
_NO_CONNECTION = "see that the server runs and takes this user, password and database; what was flushed before is kept"


def _explain(error: BaseException) -> tuple[str, str]:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OutlayError):
        return error.message, error.hint
    for kinds, what, hint in _HINTS:
        if isinstance(error, kinds):
            return f"{what} ({text})", hint
    # Without a code, or with one of "connection exception" or "operator intervention".
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08")[:2] in ("08", "57"):
        return f"there is no connection ({text})", _NO_CONNECTION
    return text, f"mend the cause, {_RESUME}"
