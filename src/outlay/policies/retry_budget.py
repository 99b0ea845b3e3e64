"""How many retries a provider is sent: a share of the requests, so that an outage is not amplified.

Three attempts a call would treble the load of a provider that is down, just when it needs less. So retries are at
most a tenth of the first attempts of the last minute (Google SRE, chapter 22; Finagle's `RetryBudget`), with a floor,
or a small run could never try again. A 429 is not counted: the provider is up and says when to come again.

A call's own share is what began with it: of twenty thousand that began at once, those that time out ten minutes later
are tried again by the credit of all of them.

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
_MINUTE = 60.0
#: Seconds that calls are remembered for, longer than any of them takes, and the parts in which they are forgotten.
_SPAN, _SLOTS = 900.0, 3600


def _remembered() -> Window:
    return Window(_SPAN, _SLOTS)


@dataclass(slots=True)
class RetryBudget:
    """For one provider. `share` of its first attempts, and at least `floor`, may be tried again, each 60 seconds."""

    share: float = 0.1
    floor: int = 10
    firsts: Window = field(default_factory=_remembered)
    #: Those that were allowed, and those that went.
    retries: Window = field(default_factory=_remembered)
    sent: Window = field(default_factory=_remembered)

    def first(self, now: float) -> None:
        """A call's first attempt begins."""
        self.firsts.add(now)

    def again(self, error: ModelError, now: float, began: float) -> bool:
        """May a call that began at `began`, and has failed with this now, be tried again? Counted if so."""
        if isinstance(error, RateLimited):
            return True
        if self._minute_is_used(now):
            since = min(began, now - _MINUTE)
            if self.retries.since(since, now) >= int(self.share * self.firsts.since(since, now)):
                return False
        self.retries.add(now)
        return True

    def one_more(self, now: float) -> bool:
        """May a request be sent beside that of a call which has not failed? Counted if so."""
        if self._minute_is_used(now):
            return False
        self.retries.add(now)
        self.sent.add(now)
        return True

    def _minute_is_used(self, now: float) -> bool:
        minute = max(self.floor, int(self.share * self.firsts.since(now - _MINUTE, now)))
        return self.retries.since(now - _MINUTE, now) >= minute

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
