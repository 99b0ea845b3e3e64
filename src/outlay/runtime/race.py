"""Race: branches read in the order in which they finish; what is still running when the block is left is stopped."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Generic, Self, TypeVar

from outlay.errors import ConfigError
from outlay.values.outcome import Outcome

A = TypeVar("A")

#: How many branches start in one turn of the loop: the requests of the first are on their way while the next are
#: prepared. With all 1,000 of a fan-out in one turn no request left before the last was ready.
STARTED_TOGETHER = 32


class Race(Generic[A]):
    """The race of `ctx.race` (protocols/race.py says what it gives).

    Branches become tasks in the order given, all of them before the block begins, so that their lineage does not
    depend on who finishes first (SEMANTICS 1). Leaving the block cancels the others and waits for them: a model
    call that was sent goes on by itself, to be drained and billed with the run.
    """

    __slots__ = ("_branches", "_finished", "_open", "_read", "_waiting")

    def __init__(self, awaitables: Iterable[Awaitable[A]]) -> None:
        self._waiting: Iterable[Awaitable[A]] = awaitables
        self._branches: list[asyncio.Future[A]] = []
        self._finished: asyncio.Queue[tuple[int, asyncio.Future[A]]] = asyncio.Queue()
        self._read = 0
        self._open = False

    async def __aenter__(self) -> Self:
        waiting: deque[Awaitable[A]] = deque()
        try:
            waiting.extend(self._waiting)
            while waiting:
                branch = asyncio.ensure_future(waiting[0])
                waiting.popleft()
                branch.add_done_callback(partial(self._finish, len(self._branches)))
                self._branches.append(branch)
                if len(self._branches) % STARTED_TOGETHER == 0:
                    await asyncio.sleep(0)
        except BaseException:
            for one in waiting:
                if inspect.iscoroutine(one):
                    one.close()  # it never began
            await self._stop()
            raise
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        await self._stop()

    def _finish(self, index: int, branch: asyncio.Future[A]) -> None:
        self._finished.put_nowait((index, branch))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> A:
        _, branch = await self.next()
        return branch.result()

    def outcomes(self) -> _Outcomes[A]:
        return _Outcomes(self)

    async def next(self) -> tuple[int, asyncio.Future[A]]:
        """The branch that finished next, and its index. Raises StopAsyncIteration after the last."""
        if not self._open:
            raise ConfigError("a race is read inside its block", hint="async with ctx.race(…) as answers: …")
        if self._read == len(self._branches):
            raise StopAsyncIteration
        finished = await self._finished.get()
        self._read += 1
        return finished

    async def _stop(self) -> None:
        """Cancel what still runs and wait until it is gone, however often the one who waits is cancelled meanwhile."""
        cancelled: asyncio.CancelledError | None = None
        while running := [branch for branch in self._branches if not branch.done()]:
            for branch in running:
                branch.cancel()
            try:
                await asyncio.wait(running)
            except asyncio.CancelledError as error:
                cancelled = error
        for branch in self._branches:
            if not branch.cancelled():
                branch.exception()  # nobody asked for it: asyncio need not report it
        if cancelled is not None:
            raise cancelled


class _Outcomes(Generic[A]):
    """A class and not a generator: one that is left early would be closed by a task of its own."""

    __slots__ = ("_race",)

    def __init__(self, race: Race[A]) -> None:
        self._race = race

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[A]:
        index, branch = await self._race.next()
        try:
            return Outcome(index, branch.result())
        except Exception as error:
            return Outcome(index, error=error)
