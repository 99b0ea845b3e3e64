"""Calls in flight: shielded from the branch that asked, drained before a run ends, cut off by cancel and deadline.

A branch that is cancelled because its sibling failed does not take its paid call with it: the call goes on, is
settled and recorded (SEMANTICS 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

A = TypeVar("A")
GRACE_SECONDS = 60.0


class Flight:
    __slots__ = ("_loop", "_tasks", "on_landed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: dict[asyncio.Task[Any], None] = {}  # a dict, for its order
        self.on_landed: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    async def shielded(self, work: Coroutine[Any, Any, A]) -> A:
        """Await `work` in a task of its own that outlives the awaiting branch."""
        task = self._loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    def _landed(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            task.exception()  # seen: whoever still waits gets it, nobody else is owed a warning
        if self.on_landed is not None:
            self.on_landed()

    async def drain(self, grace: float = GRACE_SECONDS) -> None:
        """Wait for what is in flight, at most `grace` seconds, then cut it off."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=grace)
        await self.cut_off()

    async def cut_off(self) -> None:
        """Cancel what is in flight, down to the socket."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
