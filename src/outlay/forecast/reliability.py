"""How often a chain of steps ends well. More than p to the N: a flawed input, a check that may miss, and retries that
fail for the same reason as the first attempt.

Special cases, by test: N steps without any of that give `p ** N`; a perfect check and independent retries give
`1 - (1 - p) ** (retries + 1)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step's probabilities. `sound`: its output is right, given a right input; `flawed`: given a wrong one.

    `detection`: a wrong output is noticed, and tried again while `retries` are left. `correlation` between attempts:
    0 is independent, 1 fails again for sure; in between a retry is right with `(1 - correlation)` times the first
    attempt's probability.
    """

    sound: float
    flawed: float = 0.0
    detection: float = 1.0
    correlation: float = 0.0
    retries: int = 0

    def __post_init__(self) -> None:
        for name in ("sound", "flawed", "detection", "correlation"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability, between 0 and 1, not {value!r}")
        if not isinstance(self.retries, int) or self.retries < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"retries is a whole number and not negative, not {self.retries!r}")

    def right(self, sound_input: float = 1.0) -> float:
        """The output is right, where the input is with this probability."""
        return sound_input * self._with_retries(self.sound) + (1 - sound_input) * self._with_retries(self.flawed)

    def attempts(self, sound_input: float = 1.0) -> float:
        """How often the step is run, in the mean: what the retries cost."""
        return sound_input * self._attempts(self.sound) + (1 - sound_input) * self._attempts(self.flawed)

    def _with_retries(self, p: float) -> float:
        again = p * (1 - self.correlation)
        return p + again * math.fsum(self._reached(p, again))

    def _attempts(self, p: float) -> float:
        return 1 + math.fsum(self._reached(p, p * (1 - self.correlation)))

    def _reached(self, p: float, again: float) -> list[float]:
        """The probability that each retry takes place."""
        first, next = (1 - p) * self.detection, (1 - again) * self.detection
        return [first * next**k for k in range(self.retries)]


def chain(steps: Iterable[Step], sound_input: float = 1.0) -> float:
    """The last output is right: each step's is the next one's input."""
    right = sound_input
    for step in steps:
        right = step.right(right)
    return right


def repeated(p: float, n: int) -> float:
    """N equal steps in a row, nothing caught and nothing mended: `p ** n`."""
    return chain([Step(sound=p)] * n)


def routed(
    shares: Mapping[str, float],
    confusion: Mapping[str, Mapping[str, float]],
    specialists: Mapping[str, Mapping[str, float]],
) -> Routing:
    """A router's success: over the true labels (`shares`) and where they are sent (`confusion`, each row sums to 1),
    what the specialist there makes of them (`specialists[sent to][true label]`).

    Its ceiling is the routing accuracy, where a specialist can only answer its own label.
    """
    pairs = [(true, sent, share * p) for true, share in shares.items() for sent, p in confusion[true].items()]
    success = math.fsum(weight * specialists[sent].get(true, 0.0) for true, sent, weight in pairs)
    return Routing(success, math.fsum(weight for true, sent, weight in pairs if true == sent))


@dataclass(frozen=True, slots=True)
class Routing:
    """`accuracy` of the routing is the ceiling of `success` where a wrong route cannot answer."""

    success: float
    accuracy: float


def majority(p: float, n: int) -> float:
    """Most of n independent voters of equal p are right (Condorcet); of an even split, half are."""
    most = math.fsum(_binomial(n, k, p) for k in range(n // 2 + 1, n + 1))
    return most + (_binomial(n, n // 2, p) / 2 if n % 2 == 0 else 0.0)


def at_least(needed: int, chances: Sequence[float]) -> float:
    """At least so many of independent events come true (Poisson binomial, by adding one at a time)."""
    counts = [1.0]
    for p in chances:
        counts = [a * (1 - p) + b * p for a, b in zip([*counts, 0.0], [0.0, *counts], strict=True)]
    return math.fsum(counts[max(needed, 0) :])


def _binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)
