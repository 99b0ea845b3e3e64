"""The reliability cliff: how likely a step must be right if chains of N of them end well as often as was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outlay.evals.intervals import Interval

#: Twice the fall of the log-likelihood that bounds 95 % (chi-squared with one degree of freedom).
_FALL = 3.841458820694124
_HALVINGS = 200


@dataclass(frozen=True, slots=True)
class Chain:
    """Of `runs` chains of `steps` equal steps, so many ended well."""

    steps: int
    successes: int
    runs: int

    def __post_init__(self) -> None:
        if self.steps < 1 or self.runs < 1 or not 0 <= self.successes <= self.runs:
            raise ValueError(f"no such measurement: {self}")


def fit_chain(measured: Sequence[Chain]) -> Interval:
    """p such that p^N fits best (maximum likelihood), with its profile likelihood interval of 95 %.

    Chains must have been run apart: where one run counts for several N, the interval comes out too narrow. With all
    successes p is 1 and with none 0, and the interval is open to one side only.
    """
    if not measured:
        raise ValueError("nothing was measured")

    def likelihood(p: float) -> float:
        return math.fsum(_log_likelihood(chain, p) for chain in measured)

    best = _best(measured)
    floor = likelihood(best) - _FALL / 2
    low = 0.0 if best == 0.0 else _edge(likelihood, floor, best, 0.0)
    high = 1.0 if best == 1.0 else _edge(likelihood, floor, best, 1.0)
    return Interval(best, low, high)


def _log_likelihood(chain: Chain, p: float) -> float:
    failures = chain.runs - chain.successes
    whole = p**chain.steps
    if (chain.successes and p == 0.0) or (failures and whole == 1.0):
        return -math.inf
    kept = chain.successes * chain.steps * math.log(p) if chain.successes else 0.0
    return kept + (failures * math.log1p(-whole) if failures else 0.0)


def _best(measured: Sequence[Chain]) -> float:
    """Where the slope, which falls throughout, is zero: N·s/p - N·p^(N-1)·(n-s)/(1-p^N), times p."""
    if all(chain.successes == chain.runs for chain in measured):
        return 1.0
    if all(chain.successes == 0 for chain in measured):
        return 0.0

    def slope(p: float) -> float:
        return math.fsum(c.steps * (c.successes - (c.runs - c.successes) / (p**-c.steps - 1)) for c in measured)

    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        # A chance so small that its power overflows leaves the successes alone, so the slope is up.
        try:
            rising = slope(middle) > 0
        except (OverflowError, ZeroDivisionError):
            rising = middle < 0.5
        low, high = (middle, high) if rising else (low, middle)
    return (low + high) / 2


def _edge(likelihood: Callable[[float], float], floor: float, inside: float, outside: float) -> float:
    """Where the likelihood falls through the floor between the best p and 0 or 1."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            break
        inside, outside = (middle, outside) if likelihood(middle) >= floor else (inside, middle)
    return inside
