"""TimeLimit: a bound on how long a block may take, for blocks that all have the same.

`asyncio.timeout` and aiohttp's `total` set a timer each time and take it back: a tenth of the CPU of a call. Equal
limits end in the order in which they began, so one timer, for the oldest block, is enough.
"""

from __future__ import annotations

import asyncio


class TimeLimit:
    """`with limit.here():` raises TimeoutError in the running task once the block has taken `seconds`."""

    __slots__ = ("_loop", "_running", "_seconds", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._running: dict[_Block, float] = {}  # in the order of their ends
        self._timer: asyncio.TimerHandle | None = None

    def here(self) -> _Block:
        return _Block(self)

    def begin(self, block: _Block) -> None:
        until = self._running[block] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._look)

    def end(self, block: _Block) -> None:
        self._running.pop(block, None)  # the timer stays: it goes off once, for whoever is the oldest then

    def _look(self) -> None:
        self._timer = None
        for block, until in list(self._running.items()):
            if until > self._loop.time():
                self._timer = self._loop.call_at(until, self._look)
                return
            del self._running[block]
            block.expire()


class _Block:
    """One block under a limit; cancelled when it is over, as `asyncio.timeout` does it."""

    __slots__ = ("_cancels", "_expired", "_limit", "_task")

    def __init__(self, limit: TimeLimit) -> None:
        task = asyncio.current_task()
        assert task is not None, "a time limit outside a task"
        self._limit = limit
        self._task = task
        self._cancels = task.cancelling()
        self._expired = False

    def expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> None:
        self._limit.begin(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._limit.end(self)
        if self._expired and self._task.uncancel() <= self._cancels and kind is asyncio.CancelledError:
            raise TimeoutError from error
