"""The figures of a forecast: ranges of what was simulated, and how often something came true."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from outlay.analysis.percentiles import mean, percentile

BINS = 10
#: Percentiles of success are those of so many runs.
HUNDRED = 100
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Range:
    """Percentiles and the mean of what was simulated; `bins` counts runs in equal steps from `least` to `most`."""

    p5: float
    p50: float
    p95: float
    mean: float
    least: float
    most: float
    bins: tuple[int, ...]

    @staticmethod
    def of(values: Sequence[float]) -> Range:
        low, half, high = (percentile(values, p) or 0.0 for p in (5, 50, 95))
        least, most = min(values), percentile(values, 99.5) or 0.0
        width = (most - least) / BINS or 1.0
        bins = Counter(min(BINS - 1, int((value - least) / width)) for value in values)
        return Range(low, half, high, mean(values) or 0.0, least, most, tuple(bins[i] for i in range(BINS)))


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of runs, with its 95 % interval (Wilson 1927)."""

    share: float
    low: float
    high: float

    @staticmethod
    def of(hits: float, n: int) -> Rate:
        p, z2 = hits / n, _Z**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return Rate(p, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Success(Rate):
    """How often runs succeed. One of them does or does not, so the percentiles are of a hundred: so large a share of
    those succeeds in the worst twentieth of hundreds (`p5`), in the middle one, and in the best twentieth (binomial).
    """

    p5: float
    p50: float
    p95: float

    @staticmethod
    def among(hits: float, n: int) -> Success:
        """`hits` is a sum of chances where that is what is known."""
        rate = Rate.of(hits, n)
        p = min(rate.share, 1.0)
        chances = [math.comb(HUNDRED, k) * p**k * (1 - p) ** (HUNDRED - k) for k in range(HUNDRED + 1)]
        below = [*accumulate(chances)]
        p5, p50, p95 = (
            next((k for k, share in enumerate(below) if share >= part - 1e-12), HUNDRED) for part in (0.05, 0.5, 0.95)
        )
        return Success(rate.share, rate.low, rate.high, p5 / HUNDRED, p50 / HUNDRED, p95 / HUNDRED)


__all__ = ["HUNDRED", "Range", "Rate", "Success"]
