"""Branches that wait for somebody outside the run: a human, or a budget to be raised (SEMANTICS 4).

Waiting does not raise: the branch parks on a future. When nothing is in flight and every branch is parked, the run
suspends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from outlay.runtime.result import Pending

#: Turns of the loop without a sign of life before a run counts as idle; a wake-up takes two or three to travel.
_QUIET_TURNS = 12


class Parking:
    __slots__ = ("_activity", "_flying", "_loop", "effects", "parked", "suspended")

    def __init__(self, loop: asyncio.AbstractEventLoop, busy: Callable[[], bool], activity: Callable[[], int]) -> None:
        self._loop = loop
        self._flying = busy
        #: Tools, sleeps and questions under way: the run is not idle while one of them is.
        self.effects = 0
        self._activity = activity
        self.parked: list[Pending] = []
        self.suspended: asyncio.Future[None] = loop.create_future()

    def _busy(self) -> bool:
        return self.effects > 0 or self._flying()

    async def wait(self, item: Pending) -> Any:
        """Park until the run suspends, which cancels this branch."""
        self.parked.append(item)
        self.look()
        return await self._loop.create_future()

    def look(self) -> None:
        """Something landed or parked: is the run idle now?"""
        if self.parked and not self._busy():
            self._loop.call_soon(self._settle, _QUIET_TURNS, self._activity())

    def _settle(self, turns: int, activity: int) -> None:
        if self._busy() or self._activity() != activity or self.suspended.done():
            return  # whoever is busy will look again when it lands
        if turns:
            self._loop.call_soon(self._settle, turns - 1, activity)
        else:
            self.suspended.set_result(None)
