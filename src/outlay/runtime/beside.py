"""Work beside the flow that nobody waits for: analysis, logging. What it costs is the run's, its failure is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from outlay.runtime.flight import GRACE_SECONDS, is_beside


@dataclass(slots=True)
class _Beside:
    grace: float
    late: Callable[[], None]


class Beside:
    """The detached work of one run."""

    __slots__ = ("_loop", "_tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: dict[asyncio.Task[None], _Beside] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None], grace: float, late: Callable[[], None]) -> None:
        """Do the work, which raises nothing. `late` is told where it is cut off `grace` seconds after the answer."""
        variables = copy_context()
        variables.run(is_beside.set, True)
        task = variables.run(self._loop.create_task, work)  # so that the task factory sees them too
        self._tasks[task] = _Beside(grace, late)
        task.add_done_callback(lambda task: self._tasks.pop(task, None))

    async def drain(self) -> None:
        """The answer is there: give each its grace, then cut off what is not done."""
        answered = self._loop.time()
        while self._tasks:
            task, work = min(self._tasks.items(), key=lambda item: item[1].grace)
            await asyncio.wait([task], timeout=max(0.0, answered + work.grace - self._loop.time()))
            if not task.done():
                work.late()
                task.cancel()
                await asyncio.wait([task], timeout=GRACE_SECONDS)
            self._tasks.pop(task, None)
