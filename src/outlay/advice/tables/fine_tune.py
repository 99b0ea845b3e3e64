"""Seven signals for a model of one's own: all of them, for certain, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from outlay.advice.answer import Answer
from outlay.routing.distil.worth import LEAST_EXAMPLES

TOPIC = "fine-tuning"


@dataclass(frozen=True, slots=True)
class Signal:
    """A question, and what to do first where the answer is no or not known."""

    id: str
    asks: str
    first: str


SIGNALS: tuple[Signal, ...] = (
    Signal(
        "examples",
        f"Are there {LEAST_EXAMPLES:,} examples or more, with answers?",
        "record runs: outlay distill reads them",
    ),
    Signal(
        "narrow",
        "Is the answer one of a closed set, or a few closed fields?",
        "output_type=Literal[…], or split the task",
    ),
    Signal("stable", "Have task and answers stayed the same for months?", "wait: a prompt is changed in a minute"),
    Signal(
        "prompted",
        "Is the best prompted cheap model measured, and not good enough?",
        "outlay compare cheap.py:a dear.py:a",
    ),
    Signal("checked", "Can a program say of a held-out case whether it is right?", "write the checker first"),
    Signal("pays", "Do the sums pay: calls a month, labels, work, new base models?", "outlay distill does them"),
    Signal(
        "owned",
        "Does somebody watch it drift, and make it again?",
        "name who; outlay distill --check retires it",
    ),
)


def fine_tune(holds: Mapping[str, bool | None]) -> Answer:
    """Yes only where every signal holds; None is not known, and is no."""
    missing = [one for one in SIGNALS if not holds.get(one.id)]
    if not missing:
        return Answer(
            TOPIC,
            "yes",
            "a student is worth a try, as tier 0 of a cascade",
            tuple(one.id for one in SIGNALS),
            tuple(f"no longer: {one.asks}" for one in SIGNALS if one.id in ("stable", "pays", "owned")),
            ("outlay distill AGENT --out student.json",),
        )
    no = [one for one in missing if holds.get(one.id) is False]
    said = f"{len(SIGNALS) - len(missing)} of {len(SIGNALS)} signals hold, all are needed"
    first = (no or missing)[0]
    because = [f"no: {one.asks}" for one in no] + [f"not known: {one.asks}" for one in missing if one not in no]
    return Answer(TOPIC, "no", "not yet", (said, *because), (f"all {len(SIGNALS)} hold",), (first.first,))
