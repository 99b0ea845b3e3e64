"""Train a student, and measure it on examples that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from outlay.errors import ConfigError
from outlay.routing.calibration import Method, calibrate, least_labels
from outlay.routing.distil.examples import Example, settle
from outlay.routing.distil.softmax import fit
from outlay.routing.distil.student import Student
from outlay.routing.distil.task import task_of
from outlay.routing.text import Weighting, grams

#: Of the examples, this share is kept out of the fit, for the calibration.
_HELD = 0.25


def distil(
    examples: Sequence[Example],
    agent: str,
    *,
    teacher: str = "",
    target: float = 0.02,
    method: Method = "crc",
    seed: int = 0,
) -> Student:
    """A student of these examples whose P(accepted and wrong) is at most `target` (see `calibrate` for what that
    promises). A quarter of the texts, chosen by `seed` and by nothing else, is for the calibration and no part of the
    fit, their words included.

    Raises ConfigError for a task that cannot be learned, or too few examples for the target.
    """
    settled = settle(examples).examples
    task = task_of(settled)
    ordered = spread(settled, seed)
    held_back = round(len(ordered) * _HELD)
    if held_back < (least := least_labels(target, method)):
        raise ConfigError(
            f"{len(settled):,} different texts cannot carry a bound of {target:g}: it takes {round(least / _HELD):,}",
            hint="record more runs, or allow more errors with --target",
        )
    held, kept = ordered[:held_back], ordered[held_back:]
    texts = [grams(example.text) for example in kept]
    reader = Weighting.of(texts)
    rows = [reader(text) for text in texts]
    fields = {name: fit(rows, task.classes(name, kept), seed) for name in task.fields}
    unsure = calibrate([0.0] * least, [1.0] * least, target=target, method=method)  # until the scores are known
    student = Student(agent, teacher, task, reader, fields, unsure)
    guesses = [student.guess(example.text) for example in held]
    right = [float(task.matches(guess, example.output)) for (guess, _), example in zip(guesses, held, strict=True)]
    scores = [score for _, score in guesses]
    calibration = calibrate(scores, right, target=target, method=method)
    # a text that it is less sure of than of any label is not like them, however well it did on these
    lowest = math.nextafter(min(scores), 0.0)
    calibration = replace(calibration, threshold=max(calibration.threshold, lowest))
    return Student(agent, teacher, task, reader, fields, calibration, frozenset(example.mark for example in settled))


@dataclass(frozen=True, slots=True)
class Measured:
    """A student on `examples` that it has not seen: the share that is `right` where it answers all, the share that it
    `accepted`, and the share of all that is accepted and `wrong`."""

    examples: int
    right: float
    accepted: float
    wrong: float


def measure(student: Student, examples: Sequence[Example], *, unseen: bool = False) -> Measured:
    """Raises ConfigError for examples that the student was trained on; with `unseen` these are left out instead."""
    new = [example for example in examples if example.mark not in student.trained_on]
    if len(new) < len(examples) and not unseen:
        raise ConfigError(
            f"{len(examples) - len(new):,} of {len(examples):,} texts are among those that the student was trained on",
            hint="measure on others, or leave them out with --unseen",
        )
    if not new:
        raise ConfigError("there is no text that the student has not seen")
    right = accepted = wrong = 0
    for example in new:
        guess, score = student.guess(example.text)
        is_right = student.task.matches(guess, example.output)
        right += is_right
        if student.calibration.accepts(score):
            accepted += 1
            wrong += not is_right
    return Measured(len(new), right / len(new), accepted / len(new), wrong / len(new))


def spread(examples: Sequence[Example], seed: int) -> list[Example]:
    """In an order of their own: by the texts' marks, turned by the seed. That of the table does not matter."""
    return sorted(examples, key=lambda example: _turned(example, seed))


def _turned(example: Example, seed: int) -> str:
    turned = int(example.mark, 16) ^ (seed * 0x9E3779B97F4A7C15 & (2**64 - 1))
    return f"{turned * 0xD1342543DE82EF95 & (2**64 - 1):016x}"
