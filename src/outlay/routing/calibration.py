"""From a score to a promise: how often an accepted answer is wrong, from a few labelled ones.

Conformal risk control is the default: it bounds P(accepted and wrong) on average over draws of the labels, from 50 to
100 of them on. It does not bound the errors among the accepted: that is Learn-then-Test, with a probability of its
own, which needs several hundred labels before it accepts much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from outlay.errors import ConfigError
from outlay.routing.logistic import sigmoid

Method = Literal["crc", "ltt"]
#: Learn-then-Test walks down from each of these, with an equal share of delta: where to begin is a guess, and a walk
#: that begins where next to nothing is accepted ends at once.
_STARTS = (0.95, 0.9, 0.8, 0.7, 0.5)
_STEP = 0.01


@dataclass(frozen=True, slots=True)
class Calibration:
    """An answer is accepted where its score is above `threshold`.

    `target` bounds P(accepted and wrong) with method `crc`; with `ltt` it bounds P(wrong | accepted), with
    probability 1 - `delta`. `confidence` is Platt's sigmoid of the score, P(right). `accepted` is the share of the
    `labels` that it would have accepted.
    """

    method: Method
    target: float
    threshold: float
    slope: float
    offset: float
    labels: int
    accepted: float
    delta: float | None = None

    def confidence(self, score: float) -> float:
        """P(right), as the labels have it."""
        return sigmoid(self.slope * score + self.offset)

    def accepts(self, score: float) -> bool:
        return score > self.threshold

    def as_dict(self) -> dict[str, Any]:
        """As JSON; `Calibration(**that)` reads it."""
        return asdict(self)


def calibrate(
    scores: Sequence[float],
    correct: Sequence[float],
    *,
    target: float = 0.05,
    method: Method = "crc",
    delta: float = 0.1,
) -> Calibration:
    """Calibrate a score, higher for surer, on answers that are known to be right (1), wrong (0) or in between.

    The labels must be a fair sample of what will come, and none may have been used to make the score. Raises
    ConfigError for labels that cannot carry the target, and for a score outside [0, 1] with `ltt`, whose thresholds
    have to be fixed before the labels are seen.
    """
    _check(scores, correct, target, method, delta)
    slope, offset = platt(scores, correct)
    threshold = (
        crc_threshold(scores, correct, target) if method == "crc" else ltt_threshold(scores, correct, target, delta)
    )
    accepted = sum(score > threshold for score in scores) / len(scores)
    return Calibration(
        method, target, threshold, slope, offset, len(scores), accepted, None if method == "crc" else delta
    )


def least_labels(target: float, method: Method, delta: float = 0.1) -> int:
    """With fewer labels, all of them right, nothing could be accepted."""
    return math.ceil(round(1 / target, 9)) - 1 if method == "crc" else math.ceil(math.log(delta) / math.log1p(-target))


def _check(scores: Sequence[float], correct: Sequence[float], target: float, method: Method, delta: float) -> None:
    if len(scores) != len(correct):
        raise ConfigError(f"{len(scores)} scores and {len(correct)} labels", hint="one label for each score, in order")
    if method not in ("crc", "ltt"):
        raise ConfigError(f"method={method!r} is no calibration", hint='"crc" or "ltt"')
    if not 0 < target < 1 or not 0 < delta < 1:
        raise ConfigError(f"target={target!r} and delta={delta!r} are shares between 0 and 1")
    if not all(0 <= label <= 1 for label in correct) or not all(map(math.isfinite, scores)):
        raise ConfigError("labels are between 0 (wrong) and 1 (right), scores are finite")
    if method == "ltt" and not all(0 <= score <= 1 for score in scores):
        raise ConfigError("Learn-then-Test needs scores between 0 and 1", hint='method="crc" takes any')
    if len(scores) < (least := least_labels(target, method, delta)):
        raise ConfigError(
            f"{len(scores)} labels cannot carry a bound of {target:g}: it takes at least {least}",
            hint="label more answers, or allow more errors",
        )


def platt(scores: Sequence[float], correct: Sequence[float]) -> tuple[float, float]:
    """Slope and offset of P(right) = sigmoid(slope · score + offset), by Newton's method on the likelihood.

    With Platt's smoothed targets (Platt 1999, "Probabilistic outputs for support vector machines"), and never a
    falling one: a score that says the opposite of the labels says nothing.
    """
    right, n = math.fsum(correct), len(scores)
    high, low = (right + 1) / (right + 2), 1 / (n - right + 2)
    targets = [low + label * (high - low) for label in correct]
    middle = math.fsum(scores) / n
    spread = math.sqrt(math.fsum((score - middle) ** 2 for score in scores) / n) or 1.0
    xs = [(score - middle) / spread for score in scores]
    rate = math.fsum(targets) / n
    a, b = 0.0, math.log(rate / (1 - rate))
    for _ in range(100):
        ps = [sigmoid(a * x + b) for x in xs]
        ga = math.fsum((p - t) * x for p, t, x in zip(ps, targets, xs, strict=True)) + 1e-6 * a
        gb = math.fsum(p - t for p, t in zip(ps, targets, strict=True))
        haa = math.fsum(p * (1 - p) * x * x for p, x in zip(ps, xs, strict=True)) + 1e-6
        hab = math.fsum(p * (1 - p) * x for p, x in zip(ps, xs, strict=True))
        hbb = math.fsum(p * (1 - p) for p in ps) + 1e-9
        det = haa * hbb - hab * hab
        da, db = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        step = min(1.0, 2.0 / max(abs(da), abs(db), 1e-12))  # a full step may overshoot where all is on one side
        a, b = a - step * da, b - step * db
        if abs(da) + abs(db) < 1e-9:
            break
    if a < 0:
        a, b = 0.0, math.log(rate / (1 - rate))
    return a / spread, b - a * middle / spread


def crc_threshold(scores: Sequence[float], correct: Sequence[float], target: float) -> float:
    """The lowest threshold with (wrong among the accepted + 1) / (n + 1) at most `target`.

    Conformal risk control for the loss "accepted and wrong", which falls with the threshold and is at most 1
    (Angelopoulos, Bates, Fisch, Lei and Schuster 2022, theorem 1): E[loss] is at most `target`.
    """
    wrong = 0.0
    groups: dict[float, float] = {}
    for score, label in zip(scores, correct, strict=True):
        groups[score] = groups.get(score, 0.0) + 1 - label
    for score in sorted(groups, reverse=True):
        wrong += groups[score]
        if (wrong + 1) / (len(scores) + 1) > target:
            return score  # what scores as this one does is no longer accepted
    return min(groups) - 1.0


def ltt_threshold(scores: Sequence[float], correct: Sequence[float], target: float, delta: float) -> float:
    """The lowest threshold whose errors among the accepted are at most `target`, with probability 1 - `delta`; 1.0,
    which accepts nothing, where none can be shown to be.

    Learn-then-Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021) with exact binomial tests, in fixed sequence
    from several starts (Bauer 1991), each with an equal share of `delta`. A label below one half counts as wrong.
    """
    pairs = [(score, label < 0.5) for score, label in zip(scores, correct, strict=True)]
    best = 1.0
    for start in _STARTS:
        for step in range(round(start / _STEP) + 1):
            threshold = start - step * _STEP
            accepted = [wrong for score, wrong in pairs if score > threshold]
            if binomial_tail(sum(accepted), len(accepted), target) > delta / len(_STARTS):
                break
            best = min(best, threshold)
    return best


def binomial_tail(most: int, n: int, p: float) -> float:
    """P(at most `most` of `n`), each with probability `p`."""
    if most >= n:
        return 1.0
    term = n * math.log1p(-p)
    total = math.exp(term)
    for k in range(most):
        term += math.log((n - k) / (k + 1)) + math.log(p) - math.log1p(-p)
        total += math.exp(term)
    return min(total, 1.0)
