"""A threshold for similar answers from labelled questions, and what it gives on others.

A label is what the right answer is: two questions of one label have one answer. A hit is false where they differ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from outlay.errors import ConfigError
from outlay.routing.calibration import Calibration, calibrate, least_labels
from outlay.routing.distil.examples import Example, settle
from outlay.routing.distil.training import spread
from outlay.routing.similar.answers import SimilarAnswers
from outlay.routing.similar.embedding import Embedder, local_embedder
from outlay.routing.similar.index import Guard, Index

#: Of the questions, this share is asked of the others.
_ASKED = 0.25
#: A question with another answer has to be so much further off than the nearest one. Chosen on questions of
#: Banking77's train.csv: without it, twice as many hits were false.
MARGIN = 0.1


def calibrate_similar(
    examples: Sequence[Example],
    *,
    target: float = 0.01,
    margin: float = MARGIN,
    seed: int = 0,
    embedder: Embedder | None = None,
    guards: Sequence[Guard] = (),
) -> SimilarAnswers:
    """Ask a quarter of the questions, drawn by `seed`, of the others as if these were stored, and take the lowest
    threshold that keeps false hits under `target` of all that is asked, on average over draws (conformal risk control,
    see `calibrate`). What the facts, a guard or a rival refuse is no hit. The same is done with a quarter of the others
    stored, a sixteenth and so on, and the highest threshold is taken: it holds from an empty cache to one that is as
    full.

    Raises ConfigError for too few questions, or a target or margin that cannot be.
    """
    if not 0 <= margin <= 1:
        raise ConfigError(f"margin={margin!r} is a difference of two cosines, between 0 and 1")
    embedder = embedder or local_embedder()
    settled = spread(settle(examples).examples, seed)
    asked = settled[: round(len(settled) * _ASKED)]
    if len(asked) < (least := least_labels(target, "crc")):
        raise ConfigError(
            f"{len(settled):,} different questions cannot carry a bound of {target:g}: it takes "
            f"{math.ceil(least / _ASKED):,}",
            hint="label more questions, or allow more false hits with --target",
        )
    if len({_said(example) for example in settled}) == 1:
        raise ConfigError(
            "every question has the same label: no hit could be false, and nothing is learned of how near is near",
            hint="label questions that have different answers, near ones above all",
        )
    found: list[tuple[list[float], Calibration]] = []
    for stored in _ever_fewer(settled[len(asked) :]):
        index = Index(embedder, 0.0, margin, guards)
        index.add(_entries(stored))
        scores, right = _asked_of(index, asked)
        found.append((scores, calibrate(scores, right, target=target)))
    threshold = max(0.0, *(calibration.threshold for _, calibration in found))
    scores, full = found[0]
    accepted = sum(score > threshold for score in scores) / len(scores)
    return SimilarAnswers(
        replace(full, threshold=threshold, accepted=accepted),
        embedder,
        margin,
        len(settled) - len(asked),
        tuple(guards),
        frozenset(example.mark for example in asked),
    )


def _ever_fewer(stored: Sequence[Example]) -> Iterator[Sequence[Example]]:
    """All, a quarter, a sixteenth, … A cache begins empty: the nearest of a few is far, and no rival is near."""
    while stored:
        yield stored
        stored = stored[: len(stored) // 4]


def _asked_of(index: Index, asked: Sequence[Example]) -> tuple[list[float], list[float]]:
    """By question the similarity of its nearest, and whether that one's answer is right."""
    scores: list[float] = []
    right: list[float] = []
    for example in asked:
        looked = index.look(example.text)
        # without a hit there is no false one, wherever the threshold is
        scores.append(0.0 if looked.near is None else looked.near.similarity)
        right.append(1.0 if looked.near is None else float(looked.said == _said(example)))
    return scores, right


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Questions that the calibration has not seen, asked of `stored` ones. `hits` of them got an answer, `false` of
    these a wrong one. `refused` says by reason how many nearest neighbours above the threshold were no hit, and how
    many of them would have been false."""

    questions: int
    stored: int
    hits: int
    false: int
    refused: dict[str, tuple[int, int]]

    @property
    def hit_rate(self) -> float:
        """Of the questions."""
        return self.hits / self.questions

    @property
    def false_of_hits(self) -> float | None:
        """None where there was no hit."""
        return self.false / self.hits if self.hits else None

    @property
    def false_of_questions(self) -> float:
        return self.false / self.questions


def measure_similar(
    similar: SimilarAnswers, asked: Sequence[Example], stored: Sequence[Example] = (), *, unseen: bool = False
) -> HeldOut:
    """Ask these questions one after another, of the `stored` ones and of those among themselves that came before and
    were no hit, which is what a cache holds. With labels for answers, a hit is false where the labels differ.

    Raises ConfigError for questions that the threshold was calibrated on, or that are stored word for word; with
    `unseen` these are left out instead.
    """
    known = similar.asked | {example.mark for example in stored}
    new = [example for example in asked if example.mark not in known]
    if len(new) < len(asked) and not unseen:
        raise ConfigError(
            f"{len(asked) - len(new):,} of {len(asked):,} questions are stored word for word, or the threshold was "
            "calibrated on them",
            hint="measure on others, or leave them out with --unseen",
        )
    if not new:
        raise ConfigError("there is no question that it has not seen")
    index = similar.neighbours()
    index.add(_entries(spread(stored, 0)))  # of more than it may hold, which are forgotten is no matter of the table
    hits = false = 0
    refused: Counter[str] = Counter()
    saved: Counter[str] = Counter()
    labels = {example.text: _said(example) for example in (*stored, *new)}
    for example in new:
        looked = index.look(example.text)
        if looked.near is None:
            if looked.refused:
                why, near = looked.refused[0]
                refused[why] += 1
                saved[why] += labels[near.question] != _said(example)
            index.add(_entries([example]))
            continue
        hits += 1
        false += looked.said != _said(example)
    reasons = {why: (n, saved[why]) for why, n in refused.most_common()}
    return HeldOut(len(new), len(stored), hits, false, reasons)


def _entries(examples: Sequence[Example]) -> list[tuple[str, str, str]]:
    return [(example.text, example.mark, _said(example)) for example in examples]


def _said(example: Example) -> str:
    return repr(sorted(example.output.items(), key=lambda field: field[0]))
