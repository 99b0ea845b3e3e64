"""Time as the runtime sees it: the loop's own clock, or a virtual one that jumps to the next timer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

#: What `run_sync` makes its loop with; virtual time sets it for the length of a `with` block.
loop_factory: ContextVar[Callable[[], asyncio.AbstractEventLoop]] = ContextVar(
    "loop_factory", default=asyncio.new_event_loop
)


def wall_clock(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """What tells the seconds since the epoch: the loop itself where it does (virtual time), else the machine."""
    wall: Callable[[], float] | None = getattr(loop, "wall", None)
    return wall if wall is not None else time.time


def wall_now() -> float:
    """Seconds since the epoch, by the running loop."""
    return wall_clock(asyncio.get_running_loop())()


def future_of_thread(loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """A future that another thread will resolve: virtual time stands still until it has."""
    make: Callable[[], asyncio.Future[Any]] = getattr(loop, "create_thread_future", loop.create_future)
    return make()
