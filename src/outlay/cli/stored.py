"""Runs in a store, found by what people type: an id, the beginning of one, or `last`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import click

from outlay.cli.options import existing_store, store_path
from outlay.cli.problems import Problem
from outlay.events import Event, decode
from outlay.protocols.store import Store
from outlay.stores.opening import open_store

T = TypeVar("T")


def reading(store: str | None, read: Callable[[Store], Awaitable[T]], *, make: bool = False) -> T:
    """What `read` finds in the store that is meant. Raises Problem where there is none and `make` is not given."""
    path = store_path(store) if make else existing_store(store)

    async def opened() -> T:
        async with open_store(path) as found:
            return await read(found)

    return asyncio.run(opened())


def named_store(context: click.Context, store: str | None) -> str | None:
    """The store of a command below another: its own option, or the one before its name."""
    return store or (context.parent.params.get("store") if context.parent is not None else None)


async def find(store: Store, name: str) -> str:
    """The id of the run that `name` means. Raises Problem."""
    rows = await store.events(None, ("run_started",))
    started = {row.run: row.time for row in rows}
    if not started:
        raise Problem("the store holds no runs yet", next="outlay demo, or outlay run FLOW --input TEXT")
    if name == "last":
        return max(started, key=lambda run: started[run])
    if name in started:
        return name
    found = [run for run in started if run.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Problem(
            f"{len(found):,} runs begin with {name!r}: {', '.join(sorted(found)[:8])}", next="type more of it"
        )
    raise Problem(f"there is no run {name!r} in the store", next="outlay runs lists them; `last` is the newest")


async def events_of(store: Store, run: str, kinds: Sequence[str] = ()) -> list[Event]:
    """A run's events, in order."""
    return [decode(row.body) for row in await store.events(run, kinds)]
