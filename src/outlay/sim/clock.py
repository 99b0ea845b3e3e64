"""Virtual time: a clock that stands still until nothing is left to do, then jumps to the next timer."""

from __future__ import annotations

#: Where virtual time starts unless told otherwise: 2026-01-01T00:00:00Z. Fixed, so that runs can be compared.
START = 1_767_225_600.0


class VirtualClock:
    """The time that one or several loops in turn have spent, in virtual seconds."""

    def __init__(self, start: float = START) -> None:
        self.start = start
        #: Seconds since the clock was made. A plain attribute: a simulated call reads it eight times.
        self.elapsed = 0.0

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.start + self.elapsed

    def advance_to(self, elapsed: float) -> None:
        """Jump forward; never back."""
        self.elapsed = max(self.elapsed, elapsed)
