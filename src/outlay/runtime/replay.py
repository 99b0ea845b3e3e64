"""Replay: effects of an earlier leg of the run get their recorded outcome again, in the recorded order (SEMANTICS 2).

Who asks for an effect waits for its turn. Recorded outcomes are released one at a time in the order in which they
came about, the next when the flow has done all it does after the last. What was never recorded begins only when no
recorded outcome is waiting: first the past, then the present. What the flow itself cancelled waits to be cancelled
again; should everything else have come to rest without that, it is released too.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Generator
from contextlib import contextmanager

from outlay.analysis.journal import Journal, Record

#: Turns of the loop without a sign of life before the flow counts as at rest; a wake-up takes two or three.
_QUIET_TURNS = 12
_PAST, _PRESENT, _CANCELLED = range(3)


class Replay:
    """The outcomes that are still to be given again.

    `activity` grows whenever the flow does something; `working` says whether effects are under way that do not wait
    for a turn themselves.
    """

    __slots__ = (
        "_activity",
        "_adopting",
        "_asked",
        "_by_site",
        "_by_what",
        "_computing",
        "_loop",
        "_scheduled",
        "_waiting",
        "_working",
        "journal",
        "sealed",
        "strict",
        "unclaimed",
    )

    def __init__(
        self,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        activity: Callable[[], int],
        working: Callable[[], bool],
        *,
        changed: bool = False,
        strict: bool = False,
        sealed: bool = False,
    ) -> None:
        self.journal = journal
        self.strict = strict
        #: Nothing may happen anew: the run is over, and only its outcome is wanted.
        self.sealed = sealed
        self.unclaimed = dict(journal.records)
        self._loop = loop
        self._activity = activity
        self._working = working
        #: The code has changed: a record may be taken over from another place.
        self._adopting = changed
        self._by_site: dict[str, list[str]] = {}
        self._by_what: dict[str, list[str]] = {}
        for key, record in journal.records.items():
            self._by_site.setdefault(record.site, []).append(key)
            self._by_what.setdefault(record.what, []).append(key)
        self._asked = itertools.count()
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._computing = 0
        self._scheduled = False

    def __len__(self) -> int:
        """How many wait for their turn."""
        return sum(not future.done() for *_, future in self._waiting)

    def drawn(self, key: str) -> tuple[bool, object]:
        """Whether a value was drawn under this key, and which."""
        drawn = self.journal.drawn
        return (True, drawn[key][1]) if key in drawn else (False, None)

    def claim(self, key: str) -> Record | None:
        """The record of this effect, which nobody else will get."""
        record = self.unclaimed.pop(key, None)
        if record is None and self._adopting and key not in self.journal.records:
            same = [other for other in self._by_what.get(key.split("-")[1], ()) if other in self.unclaimed]
            if len(same) == 1:  # of several nobody knows which
                return self.unclaimed.pop(same[0])
        return record

    def instead(self, key: str) -> Record | None:
        """What was recorded in the place of an effect that has no record: the code or its input has changed."""
        site = key.partition("-")[0]
        left = [other for other in self._by_site.get(site, ()) if other in self.unclaimed]
        return self.unclaimed[left[0]] if left else None

    async def turn(self, record: Record | None) -> None:
        """Wait until it is the turn of this record, or of an effect without one."""
        if not self.unclaimed and not self._waiting and (record is None or not record.cancelled):
            return  # the last of the past: nobody to wait for
        if record is None or (record.outcome == "open" and not record.cancelled):
            rank, place = _PRESENT, 0
        else:
            rank, place = _CANCELLED if record.cancelled else _PAST, record.place
        future: asyncio.Future[None] = self._loop.create_future()
        heapq.heappush(self._waiting, (rank, place, next(self._asked), future))
        self.look()
        await future

    @contextmanager
    def computing(self) -> Generator[None]:
        """Work in a thread that is no effect: what the flow does next is not known before it ends."""
        self._computing += 1
        try:
            yield
        finally:
            self._computing -= 1
            self.look()

    def look(self) -> None:
        """Something happened: is it somebody's turn?"""
        if self._waiting and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._settle, _QUIET_TURNS, self._sign_of_life())

    def _sign_of_life(self) -> tuple[int, int]:
        return self._activity(), len(self._waiting)

    def _settle(self, turns: int, before: tuple[int, int]) -> None:
        now = self._sign_of_life()
        if now != before:
            self._loop.call_soon(self._settle, _QUIET_TURNS, now)
        elif turns:
            self._loop.call_soon(self._settle, turns - 1, now)
        else:
            self._scheduled = False
            if not self._computing:
                self._release()

    def _release(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0][3].done():  # whoever waited was cancelled
            heapq.heappop(waiting)
        if not waiting:
            return
        rank = waiting[0][0]
        if rank == _CANCELLED and self._working():
            return  # it may still be cancelled; `look` is called when that work ends
        while waiting and waiting[0][0] == rank:
            future = heapq.heappop(waiting)[3]
            if not future.done():
                future.set_result(None)
                if rank != _PRESENT:
                    break
        self.look()
