"""How many retries a provider is sent: a share of the requests, so that an outage is not amplified.

Three attempts a call would treble the load of a provider that is down, just when it needs less. So retries are at
most a tenth of the first attempts of the last minute (Google SRE, chapter 22; Finagle's `RetryBudget`), with a floor,
or a small run could never try again. A 429 is not counted: the provider is up and says when to come again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from outlay.errors import ModelError, RateLimited
from outlay.policies.recently import Window


@dataclass(slots=True)
class RetryBudget:
    """For one provider. `share` of its first attempts, and at least `floor`, may be tried again, each 60 seconds."""

    share: float = 0.1
    floor: int = 10
    firsts: Window = field(default_factory=Window)
    retries: Window = field(default_factory=Window)

    def first(self, now: float) -> None:
        """A call's first attempt begins."""
        self.firsts.add(now)

    def again(self, error: ModelError, now: float) -> bool:
        """May a call that failed with this be tried again? Counted if so."""
        return isinstance(error, RateLimited) or self.one_more(now)

    def one_more(self, now: float) -> bool:
        """May one more request be sent than there are calls? Counted if so."""
        if self.retries.count(now) >= max(self.floor, int(self.share * self.firsts.count(now))):
            return False
        self.retries.add(now)
        return True
