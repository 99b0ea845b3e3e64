"""From what people write after `store=` or `--store` to a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from outlay.errors import ConfigError
from outlay.protocols.store import Store
from outlay.stores.addresses import shown
from outlay.stores.memory import MemoryStore


def store_at(url: str | Path | None = None) -> Store:
    """The store that `url` names; the caller closes it.

    None and `:memory:` are kept in memory; a path, or `sqlite:///relative.db` and `sqlite:////absolute.db` (the
    usual reading of such addresses), in a SQLite file; `postgresql://user@host/database` in PostgreSQL, which is
    connected to at once (`connected` does not hold up the loop). Raises ConfigError for anything else.
    """
    if url is None:
        return MemoryStore()
    name = str(url)
    scheme, mark, rest = name.partition("://")
    if mark and not isinstance(url, Path):
        if _is_remote(url):
            return _postgres(name)
        if scheme != "sqlite" or (rest and not rest.startswith("/")):
            raise ConfigError(
                f"not a store: {shown(name)!r}",
                hint="write a path, sqlite:///path.db, postgresql://user@host/database, or :memory: for none",
            )
        name = rest[1:]
    if name in ("", ":memory:"):
        if mark or name:
            return MemoryStore()
        raise ConfigError("the store's path is empty", hint="write a path, or :memory: to keep nothing")
    from outlay.stores.sqlite import SqliteStore

    return SqliteStore(name)


async def connected(url: str | Path | None = None) -> Store:
    """`store_at(url)`, with the wait for a server in a thread."""
    return await asyncio.to_thread(store_at, url) if _is_remote(url) else store_at(url)


def _is_remote(url: str | Path | None) -> bool:
    return isinstance(url, str) and url.startswith(("postgresql://", "postgres://"))


@asynccontextmanager
async def open_store(url: str | Path | None = None) -> AsyncGenerator[Store]:
    """The store that `url` names for the length of an `async with` block; what was enqueued is durable after it."""
    store = await connected(url)
    try:
        yield store
    finally:
        await store.close()


def _postgres(url: str) -> Store:
    try:
        from outlay.stores.postgres import PostgresStore
    except ImportError as error:
        raise ConfigError(
            f"the store {shown(url)} needs psycopg, which is not installed: {error}",
            hint="pip install 'outlay[postgres]'",
        ) from error
    return PostgresStore(url)
