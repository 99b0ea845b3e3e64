"""Words that stand together in many texts weigh alike: what unlabelled texts say to a fit on few labelled ones.

Latent semantic analysis (Deerwester et al. 1990): the leading right singular vectors of the texts' word weights, found
by block power iteration (Halko, Martinsson and Tropp 2011). A fit sees each text's place along them beside its words,
and because that place is linear in the words, what it learned of topics is added to the words' weights afterwards: a
trained router holds words only.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul

from outlay.routing.logistic import Features, Logistic

_TOPICS = 32
#: Texts read; more did not change what the first topics are.
_MOST = 1500
_ROUNDS = 3
#: A word in fewer of them stands together with too little.
_LEAST = 5
#: How much a topic weighs beside a word: 1 to 4 made no difference that could be told from chance (ADR 27).
_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Topics:
    """`axes`: for each word, its part in each topic."""

    axes: Mapping[str, Sequence[float]]

    @classmethod
    def of(cls, texts: Sequence[Features], *, topics: int = _TOPICS) -> Topics:
        """From the word weights of texts; of many, from a sample that is always the same."""
        draw = random.Random(0)  # noqa: S311 - a draw that can be repeated
        rows = [row for row in texts if row]
        if len(rows) > _MOST:
            rows = draw.sample(rows, _MOST)
        stand_in = Counter(word for row in rows for word in row)
        words = [word for word, n in stand_in.items() if n >= _LEAST]
        rows = [{word: x for word, x in row.items() if stand_in[word] >= _LEAST} for row in rows]
        if not (topics := min(topics, len(words), len(rows))):
            return cls({})
        axes = {word: [draw.gauss(0.0, 1.0) for _ in range(topics)] for word in words}
        for _ in range(_ROUNDS):
            places = _orthonormal([_along(row, axes, topics) for row in rows])
            turned: dict[str, list[float]] = {word: [0.0] * topics for word in words}
            for row, place in zip(rows, places, strict=True):
                for word, x in row.items():
                    turned[word] = [a + x * b for a, b in zip(turned[word], place, strict=True)]
            axes = turned
        return cls(dict(zip(words, _orthonormal([axes[word] for word in words]), strict=True)))

    def beside(self, words: Features) -> dict[str, float]:
        """A text's words, and where it stands along each topic."""
        topics = len(next(iter(self.axes.values()), ()))
        return {**words, **{f"={t}": _WEIGHT * z for t, z in enumerate(_along(words, self.axes, topics))}}

    def folded(self, fitted: Logistic) -> Logistic:
        """The same probabilities from words alone, of a fit on what `beside` gives."""
        topics = [fitted.weights.get(f"={t}", 0.0) for t in range(len(next(iter(self.axes.values()), ())))]
        weights = {word: w for word, w in fitted.weights.items() if not word.startswith("=")}
        for word, axis in self.axes.items():
            weights[word] = weights.get(word, 0.0) + _WEIGHT * math.fsum(map(mul, topics, axis))
        return Logistic(weights, fitted.bias)


def _along(row: Features, axes: Mapping[str, Sequence[float]], topics: int) -> list[float]:
    found = [0.0] * topics
    for word, x in row.items():
        if (axis := axes.get(word)) is not None:
            found = [a + x * b for a, b in zip(found, axis, strict=True)]
    return found


def _orthonormal(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """Columns made orthogonal and of length 1 (modified Gram-Schmidt); one that depends on those before it is 0."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    for i, column in enumerate(columns):
        before = math.sqrt(math.fsum(map(mul, column, column)))
        for other in columns[:i]:
            part = math.fsum(map(mul, column, other))
            column[:] = [a - part * b for a, b in zip(column, other, strict=True)]
        length = math.sqrt(math.fsum(map(mul, column, column)))
        column[:] = [a / length for a in column] if length > 1e-9 * before else [0.0] * len(column)
    return list(zip(*columns, strict=True))
