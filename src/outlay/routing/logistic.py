"""Logistic regression over sparse features: exact, deterministic, in plain Python.

Our own and not a library's: the model is forty lines, a library for it brings numpy and more, and what is learned has
to fit into a plain JSON file (ADR 27).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

#: Feature to value; what is not in it is 0.
Features: TypeAlias = Mapping[str, float]
_SWEEPS = 1000
#: The largest change of a probability in the last sweep.
_CLOSE = 1e-5
#: A rate of none or all has no odds.
_NEVER = 1e-6


@dataclass(frozen=True, slots=True)
class Logistic:
    """P(yes) = sigmoid(bias + weights · features)."""

    weights: Mapping[str, float]
    bias: float = 0.0

    def probability(self, features: Features) -> float:
        weights = self.weights
        return sigmoid(self.bias + math.fsum(weights[name] * x for name, x in features.items() if name in weights))


def fit(rows: Sequence[Features], targets: Sequence[float], strength: float = 1.0) -> Logistic:
    """The weights w that minimise ½ |w|² + strength · Σ loss, by coordinate descent in the dual.

    `targets` are 0 or 1, or a score between. The bias is the log-odds of their mean. The method is that of Yu, Huang
    and Lin 2011, "Dual coordinate descent methods for logistic regression and maximum entropy models", for targets that
    may lie between. The same table gives the same model.

    Raises ValueError for no rows, or a target that is not between 0 and 1.
    """
    if not rows or len(rows) != len(targets):
        raise ValueError(f"{len(rows)} rows and {len(targets)} targets")
    if not all(0 <= target <= 1 for target in targets):
        raise ValueError("a target is between 0 and 1")
    rate = min(max(math.fsum(targets) / len(targets), _NEVER), 1 - _NEVER)
    bias = math.log(rate / (1 - rate))
    names = {name: i for i, name in enumerate(dict.fromkeys(name for row in rows for name in row))}
    sparse = [[(names[name], x) for name, x in row.items() if x] for row in rows]
    squares = [strength * math.fsum(x * x for _, x in row) for row in sparse]
    w = [0.0] * len(names)
    duals = [0.0] * len(rows)  # a = target - p at the optimum
    order = list(range(len(rows)))
    shuffle = random.Random(0).shuffle  # noqa: S311 - any order finds the same weights, a mixed one sooner
    for _ in range(_SWEEPS):
        shuffle(order)
        furthest = 0.0
        for i in order:
            row = sparse[i]
            z = bias
            for j, x in row:
                z += w[j] * x
            a = _step(z - duals[i] * squares[i], squares[i], targets[i])
            change = a - duals[i]
            if change > furthest or -change > furthest:
                furthest = abs(change)
            duals[i] = a
            moved = strength * change
            for j, x in row:
                w[j] += moved * x
        if furthest < _CLOSE:
            break
    return Logistic({name: w[j] for name, j in names.items() if w[j]}, bias)


def _step(rest: float, square: float, target: float) -> float:
    """One coordinate: the a with a = target - sigmoid(rest + a · square), which is monotone in a, by Newton's method,
    and by halving where a step leaves the bracket or the last one came back more than half way."""
    low, high = target - 1.0, target
    a = min(max(target - sigmoid(rest), low), high) / (1.0 + square / 4)
    before = high - low
    for _ in range(100):
        p = sigmoid(rest + a * square)
        wrong = a - target + p
        if wrong > 0:
            high = a
        else:
            low = a
        step = wrong / (1.0 + p * (1.0 - p) * square)
        if abs(step) < 1e-9:
            return a - step
        following = a - step
        if not low < following < high or abs(step) > before / 2:
            following = (low + high) / 2
        before, a = abs(following - a), following
    return a


def sigmoid(z: float) -> float:
    if z >= 0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z) if z > -700 else 0.0
    return e / (1.0 + e)
