"""Branches that wait for somebody outside the run: a human, or a budget to be raised (SEMANTICS 4).

Waiting does not raise: the branch parks on a future. When nothing is in flight and every branch is parked, the run
suspends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from outlay.runtime.result import Pending

#: Turns of the loop without a sign of life before a run counts as idle; a wake-up takes two or three to travel.
_QUIET_TURNS = 12


class _Work:
    """An effect under way; not busy while something below it is parked."""

    __slots__ = ("_parking", "_token", "above", "ended", "parked")

    def __init__(self, parking: Parking) -> None:
        self._parking = parking
        self.above: _Work | None = None
        self.parked = 0
        self.ended = False

    def __enter__(self) -> None:
        self.above = _work.get()
        self._token = _work.set(self)
        self._parking.begin()

    def __exit__(self, *_: object) -> None:
        _work.reset(self._token)
        self.ended = True
        self._parking.end(self.parked)


_work: ContextVar[_Work | None] = ContextVar("outlay_work", default=None)


class Parking:
    __slots__ = ("_activity", "_busy", "_flying", "_loop", "on_look", "on_suspended", "parked", "suspended")

    def __init__(self, loop: asyncio.AbstractEventLoop, busy: Callable[[], bool], activity: Callable[[], int]) -> None:
        self._loop = loop
        self._flying = busy
        #: Calls, tools, sleeps and questions under way and not waiting for a parked branch of their own.
        self._busy = 0
        self._activity = activity
        self.parked: list[Pending] = []
        self.suspended = False
        self.on_suspended: Callable[[], object] | None = None
        #: Told when something landed or parked: a replay waits for that too.
        self.on_look: Callable[[], None] | None = None

    def working(self) -> _Work:
        """The run is not idle while this block runs, unless a branch below it is parked."""
        return _Work(self)

    @contextmanager
    def aside(self) -> Generator[None]:
        """The effect that this block stands in is not under way: it waits for its turn in a replay."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    @property
    def busy(self) -> bool:
        """Is an effect under way?"""
        return self._busy > 0

    def begin(self) -> None:
        self._busy += 1

    def end(self, parked: int) -> None:
        if not parked:
            self._busy -= 1
        self.look()

    def _idle(self) -> bool:
        return self._busy == 0 and not self._flying()

    async def wait(self, item: Pending) -> Any:
        """Park until the run suspends, which cancels this branch."""
        self.parked.append(item)
        self._count(1)
        self.look()
        try:
            return await self._loop.create_future()
        finally:
            self._count(-1)
            if not self.suspended:
                self.parked.remove(item)  # it gave up waiting: nobody needs to answer any more

    def _count(self, change: int) -> None:
        """One parked branch more or less below each effect that this branch stands in."""
        work = _work.get()
        while work is not None:
            before, work.parked = work.parked, work.parked + change
            if not work.ended and (before == 0 or work.parked == 0):
                self._busy -= change
            work = work.above

    def look(self) -> None:
        """Something landed or parked: is the run idle now?"""
        if self.on_look is not None:
            self.on_look()
        if self.parked and self._idle():
            self._loop.call_soon(self._settle, _QUIET_TURNS, self._activity())

    def _settle(self, turns: int, activity: int) -> None:
        if not self.parked or not self._idle() or self.suspended:
            return  # whoever is busy will look again when it lands
        if self._activity() != activity:
            self._loop.call_soon(self._settle, _QUIET_TURNS, self._activity())
        elif turns:
            self._loop.call_soon(self._settle, turns - 1, activity)
        else:
            self.suspended = True
            if self.on_suspended is not None:
                self.on_suspended()
