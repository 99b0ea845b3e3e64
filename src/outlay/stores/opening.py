"""From what people write after `store=` or `--store` to a store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from outlay.errors import ConfigError
from outlay.protocols.store import Store
from outlay.stores.memory import MemoryStore


def store_at(url: str | Path | None = None) -> Store:
    """The store that `url` names; the caller closes it.

    None and `:memory:` are kept in memory; a path, or `sqlite:///relative.db` and `sqlite:////absolute.db` (the
    usual reading of such addresses), in a SQLite file. Raises ConfigError for anything else.
    """
    if url is None:
        return MemoryStore()
    name = str(url)
    scheme, mark, rest = name.partition("://")
    if mark and not isinstance(url, Path):
        if scheme in ("postgresql", "postgres"):
            raise ConfigError(
                "a PostgreSQL store comes later, with the fleet",
                hint="use a SQLite file, such as .outlay/outlay.db: several processes may share it",
            )
        if scheme != "sqlite" or (rest and not rest.startswith("/")):
            raise ConfigError(f"not a store: {name!r}", hint="write a path, sqlite:///path.db, or :memory: for none")
        name = rest[1:]
    if name in ("", ":memory:"):
        if mark or name:
            return MemoryStore()
        raise ConfigError("the store's path is empty", hint="write a path, or :memory: to keep nothing")
    from outlay.stores.sqlite import SqliteStore

    return SqliteStore(name)


@asynccontextmanager
async def open_store(url: str | Path | None = None) -> AsyncGenerator[Store]:
    """`store_at(url)` for the length of an `async with` block; what was enqueued is durable after it."""
    store = store_at(url)
    try:
        yield store
    finally:
        await store.close()
