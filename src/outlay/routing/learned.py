"""What `outlay router train` learns: two probabilities of a question, that the cheap model is right and that the strong
one is. Their difference says where the strong one is worth its price.

Trained on the question alone it decides before the call (`LearnedRouter`); trained on the cheap model's answer too it
decides after it (`LearnedGate`, the gate of a cascade).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from outlay.errors import ConfigError
from outlay.routing.answers import answer_shape
from outlay.routing.calibration import Calibration
from outlay.routing.learned_file import LearnedFile
from outlay.routing.logistic import Logistic
from outlay.routing.outcomes import Question
from outlay.routing.text import Weighting, grams, shape

FILE = LearnedFile(
    "outlay.router/1", "router", "make one: outlay router train TABLE --cheap MODEL --strong MODEL --out FILE"
)
#: How much the shape of a text weighs beside its words, which have length 1 together.
_SHAPE = 0.3
#: In standard deviations: an odd text must not decide by its length alone.
_FARTHEST = 3.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Features of a question, and of the cheap model's answer to it where one is given.

    `words` and `answer_words` weigh n-grams; `scales` are mean and standard deviation of the shapes.
    """

    words: Weighting
    answer_words: Weighting | None = None
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, "tuple[float, float]"])

    @classmethod
    def of(cls, queries: Sequence[str], answers: Sequence[str] | None) -> Reader:
        """From the texts of a table. No label is looked at: texts without one count, too."""
        words = Weighting.of([grams(query) for query in queries])
        if answers is None:  # what a question is about says more than its length
            return cls(words)
        shapes = [_shapes(query, answer) for query, answer in zip(queries, answers, strict=True)]
        scales = {
            name: (statistics.fmean(values), statistics.pstdev(values))
            for name in shapes[0]
            if (values := [one[name] for one in shapes])
        }
        return cls(words, Weighting.of([grams(answer, "> ") for answer in answers]), scales)

    def __call__(self, query: str, answer: str = "") -> dict[str, float]:
        features = self.words(grams(query))
        if self.answer_words is not None:
            features.update(self.answer_words(grams(answer, "> ")))
            for name, value in _shapes(query, answer).items():
                mean, deviation = self.scales[name]
                if deviation > 0:
                    apart = max(-_FARTHEST, min(_FARTHEST, (value - mean) / deviation))
                    features[f"~{name}"] = _SHAPE * apart
        return features


def _shapes(query: str, answer: str) -> dict[str, float]:
    return {**shape(query), **answer_shape(query, answer)}


@dataclass(frozen=True, slots=True)
class Learned:
    """A trained router or gate, as it stands in its file.

    `gains` are the expected gains (strong minus cheap) of questions left out of the training, sorted: a share of
    strong calls is a threshold among them. `threshold` is the one at which these kept `quality` of the strong
    model's. `sure` is P(cheap right) again, from a fit without the questions that `calibration` is made on.
    `trained_on` marks the questions whose labels were used. `versions` says of a model which version of it was
    measured, where the user said so.
    """

    cheap: str
    strong: str
    decides: Literal["before", "after"]
    reader: Reader
    cheap_right: Logistic
    strong_right: Logistic
    sure: Logistic
    threshold: float
    quality: float
    gains: Sequence[float]
    calibration: Calibration | None
    trained_on: frozenset[str]
    labels: int
    seed: int
    versions: Mapping[str, str] = field(default_factory=dict[str, str])

    def gain(self, query: str, answer: str = "") -> float:
        """P(strong right) - P(cheap right): the higher, the more a strong call is worth."""
        features = self.reader(query, answer)
        return self.strong_right.probability(features) - self.cheap_right.probability(features)

    def confidence(self, query: str, answer: str = "") -> float:
        """P(cheap right) as `calibration` takes it."""
        return self.sure.probability(self.reader(query, answer))

    def threshold_for(self, share: float) -> float:
        """The threshold above which this share of questions goes to the strong model."""
        if not 0 <= share <= 1:
            raise ConfigError(f"a share of strong calls is between 0 and 1, not {share!r}")
        n = len(self.gains)
        kept = n - round(share * n)
        if kept in (0, n):
            return -math.inf if kept == 0 else math.inf
        return self.gains[kept - 1]

    def questions_seen(self, questions: Sequence[Question]) -> list[Question]:
        """Those whose labels this was trained on."""
        return [question for question in questions if question.mark in self.trained_on]

    # ── the file ──────────────────────────────────────────────────────────────────────────────────────────

    def save(self, path: Path) -> None:
        """Write it as JSON: all of the new file or none of it. Nothing of the table's texts is in it."""
        FILE.write(path, self._document())

    @property
    def _fits(self) -> tuple[Logistic, ...]:
        return self.cheap_right, self.strong_right, self.sure

    def _document(self) -> dict[str, Any]:
        return {
            "decides": self.decides,
            "cheap": self.cheap,
            "strong": self.strong,
            "labels": self.labels,
            "seed": self.seed,
            "quality": self.quality,
            "threshold": self.threshold,
            "versions": dict(self.versions),
            "calibration": None if self.calibration is None else self.calibration.as_dict(),
            "gains": [_short(gain) for gain in self.gains],
            "biases": [fitted.bias for fitted in self._fits],
            "words": {g: _short(x) for g, x in self.reader.words.idf.items()},
            "answer_words": None
            if self.reader.answer_words is None
            else {g: _short(x) for g, x in self.reader.answer_words.idf.items()},
            "scales": {name: list(scale) for name, scale in self.reader.scales.items()},
            "weights": {
                name: [_short(fitted.weights.get(name, 0.0)) for fitted in self._fits]
                for name in dict.fromkeys(name for fitted in self._fits for name in fitted.weights)
            },
            "trained_on": sorted(self.trained_on),
        }

    @classmethod
    def load(cls, path: str | Path) -> Learned:
        """Read one. Raises ConfigError for a file that is none."""
        path = Path(path)
        found, _ = FILE.read(path)
        try:
            return cls._of(found)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise FILE.damaged(path, error) from None

    @classmethod
    def _of(cls, found: Mapping[str, Any]) -> Learned:
        weights: Mapping[str, Sequence[float]] = found["weights"]
        fits = [
            Logistic({name: float(row[i]) for name, row in weights.items() if row[i]}, float(bias))
            for i, bias in enumerate(found["biases"])
        ]
        scales = {name: (float(mean), float(deviation)) for name, (mean, deviation) in found["scales"].items()}
        answer_words = found["answer_words"]
        calibration = found["calibration"]
        decides = found["decides"]
        if decides not in ("before", "after"):
            raise ValueError(f"decides {decides!r}")
        return cls(
            str(found["cheap"]),
            str(found["strong"]),
            decides,
            Reader(Weighting(dict(found["words"])), None if answer_words is None else Weighting(answer_words), scales),
            fits[0],
            fits[1],
            fits[2],
            float(found["threshold"]),
            float(found["quality"]),
            tuple(map(float, found["gains"])),
            None if calibration is None else Calibration(**calibration),
            frozenset(found["trained_on"]),
            int(found["labels"]),
            int(found["seed"]),
            dict(found["versions"]),
        )


def _short(x: float) -> float:
    return float(f"{x:.6g}")
