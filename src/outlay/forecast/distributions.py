"""Distributions of what a call takes: tokens and seconds. Each has its mean, its variance, and draws."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol


class Distribution(Protocol):
    """A quantity that is not negative. `most` cuts off what lies above, as an output cap does."""

    def mean(self, most: float = math.inf) -> float: ...
    def variance(self) -> float: ...
    def draw(self, random: Random) -> float: ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same."""

    value: float

    def __post_init__(self) -> None:
        _not_negative("value", self.value)

    def mean(self, most: float = math.inf) -> float:
        return min(self.value, most)

    def variance(self) -> float:
        return 0.0

    def draw(self, random: Random) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class Lognormal:
    """`exp` of a normal distribution: half are under `median`; `spread` is the standard deviation of the logarithm."""

    median: float
    spread: float

    def __post_init__(self) -> None:
        _not_negative("median", self.median)
        _not_negative("spread", self.spread)

    def mean(self, most: float = math.inf) -> float:
        """`E[min(X, most)]`: the partial expectation below `most`, and `most` for all that lies above."""
        whole = self.median * math.exp(self.spread**2 / 2)
        if math.isinf(most) or not self.median:
            return whole
        if not self.spread:
            return min(self.median, most)
        z = (math.log(most) - math.log(self.median)) / self.spread if most > 0 else -math.inf
        return whole * normal_below(z - self.spread) + most * (1 - normal_below(z))

    def variance(self) -> float:
        return self.median**2 * math.exp(self.spread**2) * math.expm1(self.spread**2)

    def draw(self, random: Random) -> float:
        return self.median * math.exp(random.gauss(0.0, self.spread)) if self.median else 0.0

    def __str__(self) -> str:
        return f"lognormal, median {self.median:g}, spread {self.spread:g}"

    @staticmethod
    def fitted(values: Sequence[float]) -> Lognormal:
        """Maximum likelihood; zeros count as the smallest positive value."""
        positive = [value for value in values if value > 0]
        if not positive:
            return Lognormal(0.0, 0.0)
        logs = [math.log(value if value > 0 else min(positive)) for value in values]
        mu = math.fsum(logs) / len(logs)
        return Lognormal(math.exp(mu), math.sqrt(math.fsum((log - mu) ** 2 for log in logs) / len(logs)))


@dataclass(frozen=True, slots=True)
class Empirical:
    """What was measured, each value as likely as the others."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("an empirical distribution needs at least one value")
        for value in self.values:
            _not_negative("value", value)

    def mean(self, most: float = math.inf) -> float:
        return math.fsum(min(value, most) for value in self.values) / len(self.values)

    def variance(self) -> float:
        mean = self.mean()
        return math.fsum((value - mean) ** 2 for value in self.values) / len(self.values)

    def draw(self, random: Random) -> float:
        return self.values[int(random.random() * len(self.values))]

    def __str__(self) -> str:
        return f"{len(self.values):,} measured values, mean {self.mean():g}"


def as_distribution(value: Distribution | float) -> Distribution:
    """A plain number is always the same. Raises ValueError for one that cannot be."""
    return Fixed(float(value)) if isinstance(value, int | float) else value


def weighted(shares: Sequence[float], draw: float) -> int:
    """The index that `draw`, uniform in [0, 1), falls on under these shares, which need not sum to 1."""
    edges: list[float] = []
    total = 0.0
    for share in shares:
        total += share
        edges.append(total)
    return min(bisect_right(edges, draw * total), len(shares) - 1)


def normal_below(z: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, not {value!r}")
