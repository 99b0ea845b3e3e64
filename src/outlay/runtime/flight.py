"""Calls in flight: shielded from the branch that asked, drained before a run ends, cut off by cancel and deadline.

A branch that is cancelled because its sibling failed does not take its paid call with it: the call goes on, is
settled and recorded (SEMANTICS 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from outlay.runtime.collector import collector
from outlay.runtime.identity import current_scope, unnumbered

A = TypeVar("A")
P = ParamSpec("P")
GRACE_SECONDS = 60.0
#: This is, or stands below, work that nobody waits for (runtime/beside.py).
is_beside: ContextVar[bool] = ContextVar("outlay_beside", default=False)


class _Branch:
    """A class and not a generator: there are several for each call, and a thousand calls at once."""

    __slots__ = ("_task", "_tasks")

    def __init__(self, tasks: dict[asyncio.Task[Any], int]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._tasks = tasks

    def __enter__(self) -> None:
        self._tasks[self._task] = self._tasks.get(self._task, 0) + 1

    def __exit__(self, *_: object) -> None:
        left = self._tasks[self._task] - 1
        if left:
            self._tasks[self._task] = left
        else:
            del self._tasks[self._task]


class Branches:
    """The tasks that nodes and effects of a run stand in, so that none outlives it: a plain `gather` leaves the
    siblings of a branch that raised running.
    """

    __slots__ = ("_beside", "_tasks")

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self._beside: dict[asyncio.Task[Any], int] = {}

    def __len__(self) -> int:
        return len(self._tasks) + len(self._beside)

    def here(self) -> _Branch:
        """The running task is a branch for the length of this block."""
        return _Branch(self._beside if is_beside.get() else self._tasks)

    async def cut_off(self, *, but_beside: bool = False) -> None:
        """Cancel the branches that are still there, and wait for them, at most `GRACE_SECONDS`."""
        me = asyncio.current_task()
        all_of_them = [*self._tasks, *(() if but_beside else self._beside)]
        left = [task for task in all_of_them if task is not me and not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=GRACE_SECONDS)


class Flight:
    __slots__ = ("_beside", "_loop", "_tasks", "on_landed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._beside: set[asyncio.Task[None]] = set()
        self._tasks: dict[asyncio.Task[None], asyncio.Future[Any]] = {}  # a dict, for its order
        self.on_landed: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def shielded(
        self, work: Callable[P, Coroutine[Any, Any, A]], *args: P.args, **options: P.kwargs
    ) -> asyncio.Future[A]:
        """The answer of `work(…)`, done in a task of its own that outlives the branch that awaits it."""
        answer: asyncio.Future[A] = self._loop.create_future()
        task = unnumbered(self._loop, _hand_over(answer, work, *args, **options))
        self._tasks[task] = answer
        collector.begin()
        if is_beside.get():
            self._beside.add(task)
        task.add_done_callback(self._landed)
        return answer

    def cut(self, answer: asyncio.Future[Any], why: str) -> None:
        """Cancel the work whose answer this is, down to the socket, if it is still under way."""
        for task, one in self._tasks.items():
            if one is answer:
                task.cancel(why)
                return

    def _landed(self, task: asyncio.Task[None]) -> None:
        answer = self._tasks.pop(task)
        collector.end()
        self._beside.discard(task)
        if task.cancelled():
            answer.cancel()
        elif (error := task.exception()) is not None and not answer.done():
            answer.set_exception(error)
        if self.on_landed is not None:
            self.on_landed()

    async def drain(self) -> None:
        """Wait for what is in flight, at most `GRACE_SECONDS`, then cut it off."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=GRACE_SECONDS)
        await self.cut_off()

    async def cut_off(self, *, only_beside: bool = False) -> None:
        """Cancel what is in flight, down to the socket."""
        tasks = [task for task in self._tasks if not only_beside or task in self._beside]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _hand_over(
    answer: asyncio.Future[A], work: Callable[P, Coroutine[Any, Any, A]], *args: P.args, **options: P.kwargs
) -> None:
    """Do the work and tell who waits, if anybody still does: two turns of the loop earlier than `asyncio.shield`."""
    current_scope.set(None)  # what it starts in turn is none of the flow's, and must not count among the flow's tasks
    try:
        result = await work(*args, **options)
    except Exception as error:
        if not answer.done():
            answer.set_exception(error)
            answer.exception()  # it is recorded: asyncio need not complain where nobody waits for it any more
    else:
        if not answer.done():
            answer.set_result(result)
