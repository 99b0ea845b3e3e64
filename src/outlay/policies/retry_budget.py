"""How many retries a provider is sent: a share of the requests, so that an outage is not amplified.

Three attempts a call would treble the load of a provider that is down, just when it needs less. So retries are at
most a tenth of the first attempts of the last minute (Google SRE, chapter 22; Finagle's `RetryBudget`), with a floor,
or a small run could never try again. A 429 is not counted: the provider is up and says when to come again.

Where nobody has been answered for a while, neither the minute before nor the floor is credit: of what was begun since
then a tenth is tried again. That is asked when the retry is about to go, because calls that fail together know of
each other only then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from outlay.errors import ModelError, RateLimited
from outlay.policies.recently import Window

#: Retries that an outage may cost, however few calls there are: one call has three attempts.
_LEAST = 2
_MINUTE, _SLOTS = 60.0, 240


@dataclass(slots=True)
class RetryBudget:
    """For one provider. `share` of its first attempts, and at least `floor`, may be tried again, each 60 seconds."""

    share: float = 0.1
    floor: int = 10
    firsts: Window = field(default_factory=lambda: Window(_MINUTE, _SLOTS))
    #: Those that were allowed, and those that went.
    retries: Window = field(default_factory=Window)
    sent: Window = field(default_factory=lambda: Window(_MINUTE, _SLOTS))

    def first(self, now: float) -> None:
        """A call's first attempt begins."""
        self.firsts.add(now)

    def again(self, error: ModelError, now: float) -> bool:
        """May a call that failed with this be tried again? Counted if so."""
        if isinstance(error, RateLimited):
            return True
        if self.retries.count(now) >= max(self.floor, int(self.share * self.firsts.count(now))):
            return False
        self.retries.add(now)
        return True

    def goes(self, error: ModelError, now: float, down_since: float | None) -> bool:
        """A retry that was allowed is about to go: may it still? `down_since` is when the first call was sent of those
        that have failed ever since, None where some are answered."""
        if isinstance(error, RateLimited):
            return True
        if down_since is not None:
            most = max(_LEAST, int(self.share * self.firsts.since(down_since, now)))
            if self.sent.since(down_since, now) >= most:
                return False
        self.sent.add(now)
        return True
