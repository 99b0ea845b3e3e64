"""Calls in flight: shielded from the branch that asked, drained before a run ends, cut off by cancel and deadline.

A branch that is cancelled because its sibling failed does not take its paid call with it: the call goes on, is
settled and recorded (SEMANTICS 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

A = TypeVar("A")
P = ParamSpec("P")
GRACE_SECONDS = 60.0


class Flight:
    __slots__ = ("_loop", "_tasks", "on_landed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: dict[asyncio.Task[None], asyncio.Future[Any]] = {}  # a dict, for its order
        self.on_landed: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    async def shielded(self, work: Callable[P, Coroutine[Any, Any, A]], *args: P.args, **options: P.kwargs) -> A:
        """Await `work(…)` in a task of its own that outlives the awaiting branch."""
        answer: asyncio.Future[A] = self._loop.create_future()
        task = self._loop.create_task(_hand_over(answer, work, *args, **options))
        self._tasks[task] = answer
        task.add_done_callback(self._landed)
        return await answer

    def _landed(self, task: asyncio.Task[None]) -> None:
        answer = self._tasks.pop(task)
        if task.cancelled():
            answer.cancel()
        elif (error := task.exception()) is not None and not answer.done():
            answer.set_exception(error)
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


async def _hand_over(
    answer: asyncio.Future[A], work: Callable[P, Coroutine[Any, Any, A]], *args: P.args, **options: P.kwargs
) -> None:
    """Do the work and tell who waits, if anybody still does: two turns of the loop earlier than `asyncio.shield`."""
    try:
        result = await work(*args, **options)
    except Exception as error:
        if not answer.done():
            answer.set_exception(error)
    else:
        if not answer.done():
            answer.set_result(result)
