"""Multinomial logistic regression over sparse features, by stochastic gradient descent in plain Python.

Where there are two classes, `outlay.routing.logistic` finds the optimum. For many it would take one fit a class: here
one pass over the rows moves all of them, and a few passes are as good on held-out rows as the optimum.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlay.routing.logistic import Features

#: Passes over the rows, and how far the first one moves. Later ones move less, as 1 / sqrt(pass) (Zinkevich 2003).
_PASSES = 5
_STEP = 2.0
_BIAS_STEP = 0.01
#: Behind the point of a weight.
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Softmax:
    """P(class) = softmax(bias + weights · features). `weights` by feature, one for each of `classes`, of so few digits
    that a file which keeps them is not large and says the same."""

    classes: Sequence[str]
    bias: Sequence[float]
    weights: Mapping[str, Sequence[float]]

    def __call__(self, features: Features) -> list[float]:
        """The probabilities, in the order of `classes`."""
        z = list(self.bias)
        for name, x in features.items():
            if (row := self.weights.get(name)) is not None:
                z = [sum_ + x * weight for sum_, weight in zip(z, row, strict=True)]
        return _normal(z)


def fit(rows: Sequence[Features], classes: Sequence[str], seed: int = 0) -> Softmax:
    """The same rows, in the same order, with the same seed give the same model.

    Raises ValueError for no rows, or other than one class for each.
    """
    if not rows or len(rows) != len(classes):
        raise ValueError(f"{len(rows)} rows and {len(classes)} classes")
    names = sorted(set(classes))
    place = {name: i for i, name in enumerate(names)}
    weights: dict[str, list[float]] = {name: [0.0] * len(names) for name in sorted({n for row in rows for n in row})}
    bias = [0.0] * len(names)
    order = list(range(len(rows)))
    shuffle = random.Random(seed).shuffle  # noqa: S311 - a mixed order, not a secret
    for turn in range(_PASSES):
        step = _STEP / math.sqrt(1 + turn)
        shuffle(order)
        for i in order:
            row = rows[i]
            z = bias
            for name, x in row.items():
                z = [sum_ + x * weight for sum_, weight in zip(z, weights[name], strict=True)]
            wrong = [-p for p in _normal(z)]
            wrong[place[classes[i]]] += 1
            for name, x in row.items():
                moved = step * x
                weights[name] = [weight + moved * w for weight, w in zip(weights[name], wrong, strict=True)]
            bias = [b + _BIAS_STEP * w for b, w in zip(bias, wrong, strict=True)]
    return Softmax(names, _short(bias), {name: _short(row) for name, row in weights.items()})


def _short(row: Sequence[float]) -> list[float]:
    return [round(x, _DIGITS) + 0.0 for x in row]  # + 0.0 makes a -0.0 a 0.0


def _normal(z: Sequence[float]) -> list[float]:
    highest = max(z)
    powers = [math.exp(one - highest) for one in z]
    total = math.fsum(powers)
    return [power / total for power in powers]
