"""Mean and variance of a time, and how they go together: one after the other, or all at once.

Sums are exact. The maximum of several takes each for lognormal with its own mean and variance, which calls are about
(long to the right, never negative), and integrates; for equal exponential times the exact answer is the harmonic
number (`exponential_maximum`), which a test holds the approximation against.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from outlay.forecast.distributions import normal_below

_STEPS = 256
#: Beyond so many standard deviations there is nothing left to integrate.
_FAR = 8.0


@dataclass(frozen=True, slots=True)
class Moments:
    """Seconds: the mean, and the variance in seconds squared."""

    mean: float = 0.0
    variance: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        """One after the other, independent."""
        return Moments(self.mean + other.mean, self.variance + other.variance)

    def happening(self, share: float) -> Moments:
        """With this probability it takes place, else it takes no time."""
        second = self.variance + self.mean**2
        mean = share * self.mean
        return Moments(mean, max(share * second - mean**2, 0.0))


NOTHING = Moments()


def maximum(times: Sequence[Moments]) -> Moments:
    """All at once: over when the last one is. Independent."""
    some = [time for time in times if time.mean > 0]
    if len(some) <= 1:
        return some[0] if some else NOTHING
    if not any(time.variance for time in some):
        return Moments(max(time.mean for time in some))
    shapes = [_lognormal(time) for time in some]
    top = max(time.mean + _FAR * math.sqrt(time.variance) for time in some) * 1.5
    width = top / _STEPS
    mean = second = 0.0
    for i in range(_STEPS):
        x = (i + 0.5) * width
        above = 1.0 - math.prod(_below(x, mu, sigma) for mu, sigma in shapes)
        mean += above * width
        second += 2 * x * above * width
    return Moments(mean, max(second - mean**2, 0.0))


def exponential_maximum(n: int) -> float:
    """The mean of the longest of n equal exponential times, in units of one: the harmonic number H(n)."""
    return math.fsum(1 / k for k in range(1, n + 1))


def _lognormal(time: Moments) -> tuple[float, float]:
    sigma2 = math.log1p(time.variance / time.mean**2)
    return math.log(time.mean) - sigma2 / 2, math.sqrt(sigma2)


def _below(x: float, mu: float, sigma: float) -> float:
    if not sigma:
        return 1.0 if math.log(x) >= mu else 0.0
    return normal_below((math.log(x) - mu) / sigma)
