"""What simulated models draw from: how long, how much, how often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeAlias


class Distribution(Protocol):
    """A law that numbers are drawn by; the unit is that of whoever asks (seconds, tokens)."""

    def draw(self, random: Random) -> float: ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same."""

    value: float

    def draw(self, random: Random) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything from `low` to `high`, alike."""

    low: float
    high: float

    def draw(self, random: Random) -> float:
        return random.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Half of the draws are below `median`; `sigma` is the spread of the logarithm (latencies: 0.3 to 1)."""

    median: float
    sigma: float

    def draw(self, random: Random) -> float:
        return self.median * math.exp(random.gauss(0.0, self.sigma))


@dataclass(frozen=True, slots=True)
class Observed:
    """One of the values that were measured, each as likely as it was frequent."""

    values: Sequence[float]

    def draw(self, random: Random) -> float:
        return random.choice(self.values)


Drawn: TypeAlias = Distribution | float | tuple[float, float]
"""A distribution, a number that is always the same, or the ends of a uniform one."""


def distribution(given: Drawn) -> Distribution:
    """The distribution that is meant. Raises ValueError for numbers that are negative or not finite."""
    if isinstance(given, int | float):
        given = Fixed(given)
    elif isinstance(given, tuple):
        given = Uniform(*given)
    ends = [value for name in ("value", "low", "high") if (value := getattr(given, name, None)) is not None]
    if any(not 0 <= end < math.inf for end in ends):
        raise ValueError(f"latencies and lengths are finite and not negative: {given!r}")
    return given
