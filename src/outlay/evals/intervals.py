"""How sure one can be of a share, and of the mean of differences between pairs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

#: A bootstrap draws about so many rows: half a second, for as many cases as people have.
_MOST_DRAWS = 2_000_000
_RESAMPLES = (2_000, 10_000)
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and how far it may be off, in the unit of what was measured."""

    value: float
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """A share of n with its score interval (Wilson 1927), which is sound for few cases and near 0 and 1."""
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} of {n} is no share")
    z = _NORMAL.inv_cdf(0.5 + confidence / 2)
    share, shrink = successes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / shrink
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink
    # At 0 and at n the ends are exact; in floating point they are off by a rounding.
    low, high = max(0.0, middle - half) if successes else 0.0, min(1.0, middle + half) if successes < n else 1.0
    return Interval(share, low, high)


def mean_of(values: Sequence[float]) -> float:
    """The arithmetic mean, rounded once."""
    return math.fsum(values) / len(values)


def bootstrap(
    rows: Sequence[tuple[float, ...]],
    statistic: Callable[[Sequence[float]], float],
    *,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval | None:
    """The interval of a statistic of column means, by drawing whole rows again: what belongs to one case stays
    together, so a column of each side makes it a paired bootstrap (Efron and Tibshirani 1993).

    The percentiles are widened for few rows as in Hesterberg 2015 (*What Teachers Should Know About the Bootstrap*,
    "expanded percentile interval"): unwidened, ten rows would cover 90 % where 95 % is said. None of fewer than two
    rows, and where the statistic is not finite in a draw.
    """
    n = len(rows)
    if n < 2:
        return None
    value = statistic([mean_of(column) for column in zip(*rows, strict=True)])
    draws = min(max(_MOST_DRAWS // n, _RESAMPLES[0]), _RESAMPLES[1])
    chance = random.Random(seed)  # noqa: S311 - a draw that can be repeated
    found: list[float] = []
    for _ in range(draws):
        drawn = chance.choices(rows, k=n)
        found.append(statistic([sum(column) / n for column in zip(*drawn, strict=True)]))
    if not all(map(math.isfinite, [value, *found])):
        return None
    found.sort()
    tail = widened_tail(n, confidence)
    low, high = found[math.floor(tail * (draws - 1))], found[math.ceil((1 - tail) * (draws - 1))]
    return Interval(value, min(low, value), max(high, value))


def widened_tail(n: int, confidence: float = 0.95) -> float:
    """The share to cut off at each end of a bootstrap of the mean of n: Φ(-√(n/(n-1)) · t)."""
    t = t_quantile(0.5 + confidence / 2, n - 1)
    return _NORMAL.cdf(-math.sqrt(n / (n - 1)) * t)


def t_quantile(p: float, df: int) -> float:
    """The value that Student's t with `df` degrees of freedom does not exceed with probability p, 0.5 <= p < 1."""
    if not (0.5 <= p < 1 and df >= 1):
        raise ValueError(f"no such quantile: p={p}, df={df}")
    low, high = 0.0, 1.0
    while t_cdf(high, df) < p:
        high *= 2
    for _ in range(80):  # halves the error each time, down to rounding
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return (low + high) / 2


def t_cdf(t: float, df: int) -> float:
    """Student's distribution by its finite series (Abramowitz and Stegun 26.7.3 and 26.7.4), t >= 0."""
    angle = math.atan(t / math.sqrt(df))
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = (cosine, cosine) if df % 2 else (1.0, 1.0)
    for k in range(3 if df % 2 else 2, df - 1, 2):
        term *= (k - 1) / k * cosine * cosine
        total += term
    if df % 2:
        return 0.5 + (angle + (sine * total if df > 1 else 0.0)) / math.pi
    return (1 + sine * total) / 2
