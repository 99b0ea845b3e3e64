"""All events of a store, a page at a time: memory does not grow with the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from outlay.events import Event, decode
from outlay.protocols.store import Store
from outlay.protocols.upkeep import PAGE_EVENTS


async def scan(
    store: Store, kinds: Sequence[str] = (), *, since: float = 0.0, most: int = PAGE_EVENTS
) -> AsyncIterator[Sequence[Event]]:
    """Events of these kinds, written at `since` (seconds since the epoch) or later; those of one run stand together.

    At most `most` at once, and not one by one: waiting for each would take longer than reading it.
    """
    after: int | None = 0
    while after is not None:
        page = await store.page(after, kinds, since=since, most=most)
        yield [decode(row.body) for row in page.rows]
        after = page.next
