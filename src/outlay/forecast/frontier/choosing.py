"""Which of the measured designs are worth a look: pure decisions over figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlay.forecast.frontier.designs import Design
from outlay.forecast.simulated import Lane


@dataclass(frozen=True, slots=True)
class Measured:
    """What a design takes and manages: `dollars` and `calls` are means of a run, `seconds` the 95th percentile.

    `success`: completed, nothing skipped, and right as far as that was declared; `error` is half of its 95 % interval.
    `runs` that were simulated, 0 where the figures are the closed form's (seconds then of its two moments).
    """

    design: Design
    dollars: float
    seconds: float
    success: float
    error: float
    calls: float
    runs: int

    @property
    def per_dollar(self) -> float:
        """Quality per dollar: successes for one. Infinite where it costs nothing."""
        if not self.success:
            return 0.0
        return self.success / self.dollars if self.dollars else float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a design must keep to; None: anything."""

    usd: float | None = None
    seconds: float | None = None
    success: float | None = None

    def broken_by(self, one: Measured) -> list[str]:
        """Which limits a design does not keep to."""
        found: list[str] = []
        if self.usd is not None and one.dollars > self.usd:
            found.append("dollars")
        if self.seconds is not None and one.seconds > self.seconds:
            found.append("seconds")
        if self.success is not None and one.success < self.success:
            found.append("success")
        return found

    @property
    def any(self) -> bool:
        return (self.usd, self.seconds, self.success) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Swing:
    """What one lever does by itself, from the base: shares of the base's dollars and seconds (0.5: half as much more),
    and points of success.
    """

    lever: str
    choice: str
    dollars: float
    seconds: float
    success: float

    @property
    def gain(self) -> float:
        """How much better it is in what it betters most: 0 where it betters nothing."""
        return max(-self.dollars, -self.seconds, self.success, 0.0)


def beats(one: Measured, other: Measured, slack: float = 0.0) -> bool:
    """At least as good in all three, and better in one by more than `slack` (a share; points of success). Of two that
    are the same, the one with fewer changes.
    """
    if one.dollars > other.dollars or one.seconds > other.seconds or one.success < other.success:
        return False
    if (one.dollars, one.seconds, one.success) == (other.dollars, other.seconds, other.success):
        return _order(one) < _order(other)
    return (
        one.dollars < other.dollars * (1 - slack)
        or one.seconds < other.seconds * (1 - slack)
        or one.success > other.success + slack
    )


def pareto(measured: Sequence[Measured], slack: float = 0.0) -> list[Measured]:
    """Those that no other one beats, the cheapest first."""
    ordered = sorted(measured, key=lambda one: (one.dollars, one.seconds, -one.success, _order(one)))
    kept: list[Measured] = []
    for one in ordered:  # what beats it costs no more, so it stands before it
        if not any(beats(better, one, slack) for better in kept):
            kept.append(one)
    return kept


def cheapest(measured: Sequence[Measured], limits: Limits) -> Measured | None:
    """The cheapest that keeps to all limits; of equally cheap ones the quickest."""
    able = [one for one in measured if not limits.broken_by(one)]
    return min(able, key=lambda one: (one.dollars, one.seconds, -one.success, _order(one)), default=None)


def nearest(measured: Sequence[Measured], limits: Limits) -> Measured:
    """Where none keeps to all limits: the one that is least over, as shares of the limits."""

    def over(one: Measured) -> float:
        dollars = one.dollars / limits.usd - 1 if limits.usd else 0.0
        seconds = one.seconds / limits.seconds - 1 if limits.seconds else 0.0
        success = limits.success - one.success if limits.success is not None else 0.0
        return max(dollars, 0.0) + max(seconds, 0.0) + max(success, 0.0)

    return min(measured, key=lambda one: (over(one), one.dollars))


def swing(lever: str, one: Measured, base: Measured) -> Swing:
    return Swing(
        lever,
        one.design.choices[next(i for i, pick in enumerate(one.design.picks) if pick)].label,
        one.dollars / base.dollars - 1 if base.dollars else 0.0,
        one.seconds / base.seconds - 1 if base.seconds else 0.0,
        one.success - base.success,
    )


def widest(swings: Sequence[Swing], of: str) -> Swing | None:
    """The one that moves `dollars`, `seconds` or `success` most, in whichever direction; None where none moves it."""
    found = max(swings, key=lambda one: abs(getattr(one, of)), default=None)
    return None if found is None or not getattr(found, of) else found


def smallest_better(measured: Sequence[Measured], singles: Mapping[Lane, Measured]) -> Measured | None:
    """The flow of the fewest calls whose quality per dollar is above that of the single call in the same lane (by
    batch, one call costs half, too); None where none is.
    """
    better = [one for one in measured if one.per_dollar > singles[one.design.lane].per_dollar]
    return min(better, key=lambda one: (round(one.calls, 2), one.dollars, _order(one)), default=None)


def _order(one: Measured) -> tuple[int, tuple[int, ...]]:
    return sum(map(bool, one.design.picks)), one.design.picks
