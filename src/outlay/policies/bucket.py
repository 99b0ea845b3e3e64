"""A token bucket: how much of something may be used, and how soon again.

It holds what a provider allows at once and refills at a steady rate, as the providers' own do. What they say of theirs
in the headers of an answer corrects it, between two bounds: there cannot be more than they said plus what came back
since, and there is at least what they said less what was sent meanwhile and they may not have counted.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Of the rate that is allowed, the part that is used: their clock and ours, and the way in between, are not the same.
_CAUTION = 0.98
#: Rounding: what is missing by this much is there.
_DUST = 1e-6


@dataclass(slots=True)
class Bucket:
    """`capacity` and `level` in requests or tokens, `rate` of them a second, `at` when the level was right."""

    capacity: float
    rate: float
    level: float
    at: float

    @classmethod
    def per_minute(cls, limit: float, now: float, level: float | None = None) -> Bucket:
        return cls(limit, limit / 60, limit if level is None else level, now)

    def wait(self, amount: float, now: float) -> float:
        """Seconds until there is enough; more than fits into it waits for a full bucket."""
        missing = min(amount, self.capacity) - self._level(now)
        return 0.0 if missing <= _DUST else missing / (self.rate * _CAUTION)

    def take(self, amount: float, now: float) -> None:
        """Use it, or with a negative amount give it back."""
        self.level, self.at = min(self._level(now) - amount, self.capacity), now

    def correct(self, left: float, since: float, uncounted: float, now: float) -> None:
        """`left` was said by an answer whose request went out at `since`; `uncounted` may be missing in it."""
        most = min(left + (now - since) * self.rate, self.capacity)
        self.level, self.at = min(max(self._level(now), left - uncounted), most), now

    def _level(self, now: float) -> float:
        return min(self.level + (now - self.at) * self.rate * _CAUTION, self.capacity)


def rate_of(limit: float, left: float | None, reset: float | None) -> float:
    """A second, from what the headers say. Limits are by the minute; some are by the day, which shows in how long it
    takes until they are whole. Any other length is a clock that is wrong, and no reason to wait for it."""
    by_minute, by_day = limit / 60, limit / 86_400
    if left is None or not reset or left >= limit:
        return by_minute
    return by_day if by_day / 1.5 <= (limit - left) / reset <= by_day * 1.5 else by_minute
