"""Measuring a router on questions that it has not seen, beside all that it must beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from outlay.errors import ConfigError
from outlay.routing.curve import Curve, oracle
from outlay.routing.learned import Learned
from outlay.routing.outcomes import Question, both

_PARTS = (0.5, 0.8)
_QUALITY = 0.95


def evaluate(learned: Learned, questions: Sequence[Question], *, unseen: bool = False) -> dict[str, Any]:
    """The figures of `outlay router eval`.

    `apgr`, `cpt50`, `cpt80` and `calls_for_95` (the last three in per cent of strong calls, None where nothing
    reaches them), `random_apgr`, `oracle_apgr`; `cheap` and `strong` are the qualities of always the one; then what
    each way costs a question, in the table's unit, with the price of every call that it makes.

    Raises ConfigError where a question was trained on (`unseen=True` leaves those out), or an answer that a gate reads
    is missing.
    """
    known = both(questions, learned.cheap, learned.strong)
    seen = learned.questions_seen(known)
    if seen and not unseen:
        raise ConfigError(
            f"{len(seen):,} of {len(known):,} questions were trained on, such as {seen[0].id[:60]!r}: "
            "figures on them would say nothing",
            hint="give a table of other questions, or --unseen to leave these out",
        )
    marks = {question.mark for question in seen}
    known = [question for question in known if question.mark not in marks]
    if not known:
        raise ConfigError("no question is left that was not trained on")
    after = learned.decides == "after"
    cheap = [question.outcomes[learned.cheap] for question in known]
    strong = [question.outcomes[learned.strong] for question in known]
    if after and (missing := sum(not one.response.strip() for one in cheap)):
        raise ConfigError(f"{missing:,} questions have no response of {learned.cheap}, which this gate reads")
    gains = [
        learned.gain(question.query, one.response if after else "") for question, one in zip(known, cheap, strict=True)
    ]
    curve = Curve.of(gains, [one.correct for one in cheap], [one.correct for one in strong])
    best = oracle([one.correct for one in cheap], [one.correct for one in strong])
    price = _price([one.cost for one in cheap], [one.cost for one in strong], gains, after)
    wanted = _QUALITY * curve.strong
    calls = curve.calls_for(wanted)
    chosen = sum(gain > learned.threshold for gain in gains) / len(gains)
    return {
        "apgr": _shown(curve.apgr),
        **{f"cpt{part * 100:.0f}": _percent(curve.cpt(part)) for part in _PARTS},
        "calls_for_95": _percent(calls),
        "random_apgr": 0.5 if curve.apgr is not None else None,
        "oracle_apgr": _shown(best.apgr),
        "cheap": _shown(curve.cheap),
        "strong": _shown(curve.strong),
        "questions": len(known),
        "left_out": len(seen),
        "decides": learned.decides,
        "models": {"cheap": learned.cheap, "strong": learned.strong},
        "labels": learned.labels,
        "seed": learned.seed,
        "random": {
            **{f"cpt{part * 100:.0f}": part * 100 if curve.apgr is not None else None for part in _PARTS},
            "calls_for_95": _percent(_line(curve).calls_for(wanted)),
        },
        "oracle": {
            **{f"cpt{part * 100:.0f}": _percent(best.cpt(part)) for part in _PARTS},
            "calls_for_95": _percent(best.calls_for(wanted)),
        },
        "at_threshold": {
            "strong_calls": _percent(chosen),
            "quality": _shown(curve.quality_at(chosen)),
            "quality_of_random": _shown(_line(curve).quality_at(chosen)),
            "cost": price(chosen),
        },
        "cost": {
            "always_cheap": _mean([one.cost for one in cheap]),
            "always_strong": _mean([one.cost for one in strong]),
            "at_calls_for_95": None if calls is None else price(calls),
            "router": 0.0,
        },
        "accepted": _accepted(learned, known, after),
    }


def _line(curve: Curve) -> Curve:
    """Random calls of the strong model: a straight line, at any rate."""
    return Curve((curve.points[0], curve.points[-1]))


def _price(
    cheap: Sequence[float | None], strong: Sequence[float | None], gains: Sequence[float], after: bool
) -> Callable[[float], float | None]:
    """The mean cost of a question at a share of strong calls. A gate pays for the cheap answer each time."""
    order = sorted(range(len(gains)), key=lambda i: -gains[i])

    def at(share: float) -> float | None:
        above = round(share * len(order))
        costs = [strong[i] for i in order[:above]] + [cheap[i] for i in (order if after else order[above:])]
        return None if None in costs else math.fsum(cost for cost in costs if cost is not None) / len(order)

    return at


def _accepted(learned: Learned, questions: Sequence[Question], after: bool) -> dict[str, Any] | None:
    """What the calibration promised, and what it did here."""
    calibration = learned.calibration
    if calibration is None:
        return None
    asked = [(question.query, question.outcomes[learned.cheap]) for question in questions]
    taken = [
        outcome.correct
        for query, outcome in asked
        if calibration.accepts(learned.confidence(query, outcome.response if after else ""))
    ]
    wrong = math.fsum(1 - correct for correct in taken)
    return {
        "method": calibration.method,
        "target": calibration.target,
        "share": _shown(len(taken) / len(questions)),
        "accepted_and_wrong": _shown(wrong / len(questions)),
        "wrong_of_accepted": _shown(wrong / len(taken)) if taken else None,
    }


def _mean(costs: Sequence[float | None]) -> float | None:
    return None if None in costs else math.fsum(cost for cost in costs if cost is not None) / len(costs)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def _shown(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
