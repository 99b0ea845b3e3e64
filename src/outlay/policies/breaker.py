"""When to leave a provider alone that does not answer: a circuit breaker (Nygard, *Release It!*, 2007).

Closed, calls pass. After `failures` in a row that last at least `seconds`, it opens: calls are told so at once, and
may go elsewhere, instead of waiting for a provider that is down. Every `probe` seconds one call is let through (half
open); the first that succeeds closes it. Both a number and a time, because forty calls at once may fail in one blink.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from outlay.errors import ModelError, RateLimited

State: TypeAlias = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`failures` in a row over at least `seconds`; then one attempt every `probe` seconds."""

    failures: int = 10
    seconds: float = 5.0
    probe: float = 15.0
    #: Failures in a row that look like an outage before they have lasted: retries are held back (retry_budget.py).
    suspicious: int = 20


def is_outage(error: ModelError) -> bool:
    """Does it say that the provider is down? A 429 or a 400 is an answer of one that is up."""
    return error.retryable and not isinstance(error, RateLimited)


@dataclass(slots=True)
class Circuit:
    """The breaker of one model, or of whatever else may be down. Times in seconds of one clock."""

    policy: BreakerPolicy = field(default_factory=BreakerPolicy)
    state: State = "closed"
    failures: int = 0
    #: When the first failure in a row was noticed, when the circuit opened, and when it may be probed next.
    since: float = 0.0
    #: When the first of the attempts was sent that have failed in a row.
    first_sent: float = 0.0
    opened: float = 0.0
    next_probe: float = 0.0
    reason: str = ""

    def admits(self, now: float) -> bool:
        """May a call pass? While it is open, one does every `probe` seconds, whether or not the last has ended."""
        if self.state == "closed":
            return True
        if now < self.next_probe:
            return False
        self.state = "half_open"
        self.next_probe = now + self.policy.probe
        return True

    def succeeded(self, sent: float) -> bool:
        """An attempt that began at `sent` was answered; True if that closes the circuit.

        One that began before it opened tells nothing of now.
        """
        if self.state != "closed" and sent < self.opened:
            return False
        closes, self.state, self.failures = self.state != "closed", "closed", 0
        return closes

    @property
    def down_since(self) -> float | None:
        """When the first attempt was sent of so many in a row that all have failed, None where they are too few."""
        return self.first_sent if self.failures >= self.policy.suspicious else None

    def failed(self, reason: str, now: float, sent: float | None = None) -> bool:
        """An attempt that was sent at `sent` found the provider down; True if that opens a circuit that was closed."""
        self.reason = reason
        if self.state != "closed":
            self.state = "open"
            return False
        sent = now if sent is None else sent
        if not self.failures:
            self.since, self.first_sent = now, sent
        self.first_sent = min(self.first_sent, sent)
        self.failures += 1
        if self.failures < self.policy.failures or now - self.since < self.policy.seconds:
            return False
        self.state, self.opened, self.next_probe = "open", now, now + self.policy.probe
        return True
