"""Calls in flight: shielded from the branch that asked, drained before a run ends, cut off by cancel and deadline.

A branch that is cancelled because its sibling failed does not take its paid call with it: the call goes on, is
settled and recorded (SEMANTICS 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

A = TypeVar("A")
GRACE_SECONDS = 60.0


class Branches:
    """The tasks that nodes and effects of a run stand in, so that none outlives it: a plain `gather` leaves the
    siblings of a branch that raised running."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], int] = {}

    @contextmanager
    def here(self) -> Generator[None]:
        """The running task is a branch for the length of this block."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = self._tasks.get(task, 0) + 1
        try:
            yield
        finally:
            self._tasks[task] -= 1
            if not self._tasks[task]:
                del self._tasks[task]

    async def cut_off(self, grace: float = GRACE_SECONDS) -> None:
        """Cancel the branches that are still there, and wait for them, at most `grace` seconds."""
        me = asyncio.current_task()
        left = [task for task in self._tasks if task is not me and not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=grace)


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
