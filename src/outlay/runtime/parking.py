"""Branches that wait for somebody outside the run: a human, or a budget to be raised (SEMANTICS 4).

Waiting does not raise: the branch parks on a future. When nothing is in flight and every branch is parked, the run
suspends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar

from outlay.errors import OutlayError
from outlay.runtime.pending import Decided, Pending

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
    __slots__ = (
        "_activity",
        "_branches",
        "_busy",
        "_flying",
        "_loop",
        "_reading",
        "decisions",
        "on_look",
        "on_suspended",
        "suspended",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, busy: Callable[[], bool], activity: Callable[[], int]) -> None:
        self._loop = loop
        self._flying = busy
        #: Calls, tools, sleeps and questions under way and not waiting for a parked branch of their own.
        self._busy = 0
        self._activity = activity
        self._branches: list[tuple[Pending, asyncio.Future[Decided]]] = []
        self._reading: asyncio.Task[None] | None = None
        self.suspended = False
        #: What was decided of these items meanwhile, by id: asked once more before the run suspends.
        self.decisions: Callable[[Sequence[Pending]], Awaitable[Mapping[str, Decided]]] | None = None
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

    @property
    def effects(self) -> int:
        """How many effects are under way."""
        return self._busy

    def begin(self) -> None:
        self._busy += 1

    def end(self, parked: int) -> None:
        if not parked:
            self._busy -= 1
        self.look()

    def _idle(self) -> bool:
        return self._busy == 0 and not self._flying()

    @property
    def parked(self) -> tuple[Pending, ...]:
        """What the branches wait for; after the run was suspended, what it waits for."""
        return tuple(item for item, _ in self._branches)

    async def wait(self, item: Pending) -> Decided:
        """Park until it is decided, or the run suspends, which cancels this branch."""
        branch = (item, self._loop.create_future())
        self._branches.append(branch)
        self._count(1)
        self.look()
        try:
            return await branch[1]
        finally:
            self._count(-1)
            if not self.suspended:
                # by identity: equal items may be waited for by several
                self._branches = [one for one in self._branches if one is not branch]
                self.look()  # it may go on to its end without another sign: the others still wait

    def let_go(self) -> None:
        """The run is over: hold nothing of it."""
        self.on_look = self.on_suspended = self.decisions = None
        if self._reading is not None:
            self._reading.cancel()

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
        if self._branches and self._idle():
            self._loop.call_soon(self._settle, _QUIET_TURNS, self._activity())

    def _settle(self, turns: int, activity: int) -> None:
        if not self._branches or not self._idle() or self.suspended or self._reading is not None:
            return  # whoever is busy will look again when it lands
        if self._activity() != activity:
            self._loop.call_soon(self._settle, _QUIET_TURNS, self._activity())
        elif turns:
            self._loop.call_soon(self._settle, turns - 1, activity)
        elif self.decisions is None:
            self._suspend()
        else:
            # in a context of its own: this is no branch of the run
            self._reading = asyncio.Task(self._read_again(), loop=self._loop, context=Context())

    async def _read_again(self) -> None:
        """Whoever has been answered goes on; if nobody has, the run suspends."""
        assert self.decisions is not None
        found: Mapping[str, Decided] = {}
        with suppress(OutlayError):  # the run ends, and says what its store failed with
            found = await self.decisions(self.parked)
        self._reading = None
        answered = [branch for branch in self._branches if branch[0].id in found]
        for item, future in answered:
            if not future.done():
                future.set_result(found[item.id])
        if not answered and self._branches and self._idle():
            self._suspend()

    def _suspend(self) -> None:
        self.suspended = True
        if self.on_suspended is not None:
            self.on_suspended()
