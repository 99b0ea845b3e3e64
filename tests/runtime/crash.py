"""Runs that are cut off after any event and go on: what a crash leaves is a prefix of the journal."""

from __future__ import annotations

import asyncio
from typing import Any

from outlay import Result, run
from outlay.events import decode
from outlay.protocols.store import Row
from outlay.sim import VirtualLoop
from outlay.stores.memory import MemoryStore

RUN = "r"


async def rows(store: MemoryStore, run_id: str = RUN) -> list[Row]:
    return await store.events(run_id)


async def cut(store: MemoryStore, length: int, run_id: str = RUN) -> MemoryStore:
    """A store as a crash after the first `length` events left it: contents are written before what names them."""
    left = MemoryStore()
    events = await store.events(run_id)
    left.append(events[:length])
    left.keep(list((await store.blobs(list(store._blobs))).items()))  # pyright: ignore[reportPrivateUsage]
    await left.flush()
    return left


def go(flow: Any, input: Any, store: MemoryStore, **options: Any) -> Result[Any]:
    """Run or resume on virtual time."""

    async def main() -> Result[Any]:
        return await run(flow, input, store=store, run_id=options.pop("run_id", RUN), **options)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def crashed(store: MemoryStore, length: int) -> MemoryStore:
    with asyncio.Runner() as runner:
        return runner.run(cut(store, length))


def journal(store: MemoryStore) -> list[Any]:
    with asyncio.Runner() as runner:
        return [decode(row.body) for row in runner.run(rows(store))]
