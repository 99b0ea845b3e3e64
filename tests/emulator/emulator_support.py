"""What several tests of the emulator do: read a stream to its end, wait for a state of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any


async def drained(stream: AsyncIterator[Any], into: list[Any] | None = None) -> list[Any]:
    """All events of a stream; those before an error are in `into`."""
    events: list[Any] = [] if into is None else into
    async for event in stream:
        events.append(event)
    return events


async def until(condition: Callable[[], object]) -> None:
    """Let the server run until it has come to this."""
    while not condition():  # noqa: ASYNC110 - the condition is the server's state, which has no event
        await asyncio.sleep(0)
