"""When to try a model again: one layer, few attempts, full jitter (SEMANTICS 3).

Full jitter and three attempts follow common practice (AWS, "Exponential Backoff and Jitter"; Google SRE, chapter 22).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from outlay.errors import ModelError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` in all; delays in seconds. A provider that asks for more than `longest_wait` is not waited for, but
    where a deadline has room for that and nobody else could answer."""

    attempts: int = 3
    base: float = 0.5
    cap: float = 20.0
    longest_wait: float = 120.0

    def delay(
        self, error: ModelError, attempt: int, draw: float, left: float | None = None, *, alone: bool = False
    ) -> float | None:
        """Seconds to wait after failed attempt number `attempt` (from 1), or None to give up.

        `draw` is uniform in [0, 1); `left` is the time until the deadline in seconds, None without one. `alone`: no
        other model and no older answer could stand in.
        """
        if attempt >= self.attempts or not error.retryable:
            return None
        asked = error.retry_after
        if asked is not None and math.isfinite(asked) and asked >= 0:
            if asked > self.longest_wait and (left is None or not alone):
                return None
            delay = asked + draw * self.base  # a little apart, or all who were told the same second collide again
        else:
            delay = draw * min(self.cap, self.base * 2 ** min(attempt - 1, 60))  # 2**1024 is no float
        if left is not None and delay >= left:
            return None
        return delay

    def gave_up(self, error: ModelError, attempt: int) -> str:
        """Why there is no other attempt after number `attempt`, for people; empty where that goes without saying."""
        asked = error.retry_after
        if error.retryable and asked is not None and self.longest_wait < asked < math.inf:
            return (
                f"the provider asks for {asked:,.0f} s of rest, and without a deadline that has room a call waits "
                f"{self.longest_wait:g} s at most: run it again then, or give the agent a fallback=[…] model"
            )
        return f"gave up after {attempt} attempts" if attempt > 1 else ""
