"""Training a router or a gate from a table, and measuring it on another."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from outlay.errors import ConfigError
from outlay.routing.calibration import Method, calibrate, least_labels
from outlay.routing.curve import Curve
from outlay.routing.learned import Learned, Reader
from outlay.routing.logistic import Features, Logistic, fit
from outlay.routing.outcomes import Question, both
from outlay.routing.topics import Topics

Decides = Literal["before", "after", "auto"]
#: Of the loss against the squared weights. Chosen on the same MMLU and GSM8K tables that ADR 27 reports on, where 0.25
#: to 1 made no difference that could be told from chance; so it is no option.
_STRENGTH = 0.5
_FOLDS = 4
_LEAST = 20
A = TypeVar("A")


def train(
    questions: Sequence[Question],
    cheap: str,
    strong: str,
    *,
    labels: int | None = None,
    seed: int = 0,
    decides: Decides = "auto",
    quality: float = 0.95,
    target: float = 0.05,
    method: Method = "crc",
    versions: Mapping[str, str] | None = None,
) -> Learned:
    """Learn from `labels` questions of a table, drawn by `seed` (None: all). Of the others only the texts are read.

    `decides="after"` learns from the cheap model's answers too, and is what `auto` means where the table has them all.
    The threshold keeps `quality` of the strong model's, as far as questions show that were left out of the fit that
    scored them. The calibration keeps P(accepted and wrong) under `target`: a quarter of the labels is kept out of the
    fit that it is for, and out of all that this fit reads with, because its bound holds for no other.

    Raises ConfigError for a model that is not in the table, too few labels, or labels that are all the same.
    """
    known = both(questions, cheap, strong)
    after = _after(decides, known, cheap)
    drawn = _drawn(known, labels, seed)
    _refuse_one_class(drawn, cheap, strong)
    folds = _folds(drawn)
    reader = _reader(known, folds[0], cheap, after)
    rows = [[reader(q.query, q.outcomes[cheap].response if after else "") for q in fold] for fold in folds]
    rights = [[[q.outcomes[model].correct for q in fold] for fold in folds] for model in (cheap, strong)]
    topics = _topics(known, folds[0], reader, after)
    wide = [[topics.beside(row) for row in fold] for fold in rows]
    sure, scored = _left_out(rows, wide, rights, topics)
    gains = [strong_right - cheap_right for fold in scored for cheap_right, strong_right in fold]
    calibration = None
    if len(folds[0]) >= least_labels(target, method):
        calibration = calibrate([p for p, _ in scored[0]], rights[0][0], target=target, method=method)
    return Learned(
        cheap,
        strong,
        "after" if after else "before",
        reader,
        # as much loss against the weights as in the fits that left a fold out: so their thresholds fit its scores
        topics.folded(fit(_joined(wide), _joined(rights[0]), _STRENGTH * (_FOLDS - 1) / _FOLDS)),
        topics.folded(fit(_joined(wide), _joined(rights[1]), _STRENGTH * (_FOLDS - 1) / _FOLDS)),
        sure,
        _threshold(gains, _joined(rights[0]), _joined(rights[1]), quality),
        quality,
        tuple(sorted(gains)),
        calibration,
        frozenset(question.mark for question in drawn),
        len(drawn),
        seed,
        dict(versions or {}),
    )


def _after(decides: Decides, questions: Sequence[Question], cheap: str) -> bool:
    missing = sum(not question.outcomes[cheap].response.strip() for question in questions)
    if decides == "after" and missing:
        raise ConfigError(
            f"{missing:,} of {len(questions):,} questions have no response of {cheap}",
            hint="a gate reads the answer: fill the column `response`, or train a router (--decides before)",
        )
    return decides == "after" or (decides == "auto" and not missing)


def _drawn(questions: Sequence[Question], labels: int | None, seed: int) -> list[Question]:
    wanted = len(questions) if labels is None else labels
    if wanted > len(questions):
        raise ConfigError(f"{wanted:,} labels asked for, the table has {len(questions):,} questions of both models")
    if wanted < _LEAST:
        raise ConfigError(f"{wanted} labelled questions are too few to learn from", hint=f"give at least {_LEAST}")
    ordered = sorted(questions, key=lambda question: question.id)
    return random.Random(seed).sample(ordered, wanted)  # noqa: S311 - a draw that can be repeated


def _refuse_one_class(questions: Sequence[Question], cheap: str, strong: str) -> None:
    for model in (cheap, strong):
        seen = {question.outcomes[model].correct for question in questions}
        if len(seen) == 1:
            raise ConfigError(
                f"{model} is marked {seen.pop():g} on each of the {len(questions):,} questions: nothing to learn",
                hint="label questions that it gets right and questions that it gets wrong; if there are none of the "
                "one kind, use one model for all",
            )
    if all(q.outcomes[cheap].correct == q.outcomes[strong].correct for q in questions):
        raise ConfigError(
            f"{cheap} and {strong} are right on the same questions: no call of the strong one would gain anything",
            hint=f"use {cheap} for all",
        )


def _folds(questions: Sequence[Question]) -> list[list[Question]]:
    """In turn, but a question that stands there twice has both in one: what calibrates must be new to the fit."""
    places: dict[str, int] = {}
    folds: list[list[Question]] = [[] for _ in range(_FOLDS)]
    for question in questions:
        folds[places.setdefault(question.mark, len(places)) % _FOLDS].append(question)
    return folds


def _reader(known: Sequence[Question], held: Sequence[Question], cheap: str, after: bool) -> Reader:
    """From all texts but those that the calibration is made on: to the reader they must be as new as any other."""
    seen = _without(known, held)
    return Reader.of(
        [question.query for question in seen],
        [question.outcomes[cheap].response for question in seen] if after else None,
    )


def _without(known: Sequence[Question], held: Sequence[Question]) -> list[Question]:
    marks = {question.mark for question in held}
    return [question for question in known if question.mark not in marks]


def _topics(known: Sequence[Question], held: Sequence[Question], reader: Reader, after: bool) -> Topics:
    """From all texts but those that the calibration is made on. None after a call, where the answer says more than what
    the question is about.
    """
    return Topics.of([] if after else [reader(question.query) for question in _without(known, held)])


def _left_out(
    rows: Sequence[Sequence[Features]],
    wide: Sequence[Sequence[Features]],
    rights: Sequence[Sequence[Sequence[float]]],
    topics: Topics,
) -> tuple[Logistic, list[list[tuple[float, float]]]]:
    """By fold, P(cheap right) and P(strong right) of each row from a fit that did not see the fold; and the first
    fold's fit of P(cheap right). `wide` are the rows with their topics.
    """
    sure: Logistic | None = None
    scored: list[list[tuple[float, float]]] = []
    for k, fold in enumerate(rows):
        kept = _joined([one for i, one in enumerate(wide) if i != k])
        cheap_right, strong_right = (
            topics.folded(fit(kept, _joined([one for i, one in enumerate(right) if i != k]), _STRENGTH))
            for right in rights
        )
        sure = sure or cheap_right
        scored.append([(cheap_right.probability(row), strong_right.probability(row)) for row in fold])
    assert sure is not None
    return sure, scored


def _threshold(gains: Sequence[float], cheap: Sequence[float], strong: Sequence[float], quality: float) -> float:
    """Of the gain: what is above it goes to the strong model, and `quality` of the strong model's is kept."""
    curve = Curve.of(gains, cheap, strong)
    share = curve.calls_for(quality * curve.strong)
    kept = len(gains) - math.ceil((1.0 if share is None else share) * len(gains))
    ordered = sorted(gains)
    return ordered[kept - 1] if kept else min(ordered) - 1.0


def _joined(parts: Sequence[Sequence[A]]) -> list[A]:
    return [one for part in parts for one in part]
