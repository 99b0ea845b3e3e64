"""Python's garbage collector while many calls are in flight.

Each of them is some hundred objects, and all of them live. Looking through them after every 700 new ones, as Python
does by itself, took a third of the CPU of a thousand calls at once. So from `MANY` calls on it looks less often, and
as before when they have landed. Who has set a threshold of his own is left alone.
"""

from __future__ import annotations

import gc
import threading
from typing import Final

MANY: Final = 100
#: New objects between two looks, meanwhile: garbage in cycles may grow to a few megabytes.
OBJECTS: Final = 50_000


class Collector:
    """One for the process, whatever threads its event loops run in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._before: tuple[int, int, int] | None = None

    def begin(self) -> None:
        """One more call is in flight."""
        with self._lock:
            self._calls += 1
            if self._calls == MANY:
                self._relax()

    def end(self) -> None:
        """One has landed."""
        with self._lock:
            self._calls -= 1
            if not self._calls and self._before is not None:
                self._restore(self._before)

    def _relax(self) -> None:
        before = gc.get_threshold()
        if self._before is None and 0 < before[0] < OBJECTS:  # 0 is switched off
            self._before = before
            gc.set_threshold(OBJECTS, *before[1:])

    def _restore(self, before: tuple[int, int, int]) -> None:
        self._before = None
        if gc.get_threshold() == (OBJECTS, *before[1:]):  # else somebody has set it meanwhile
            gc.set_threshold(*before)


collector: Final = Collector()
