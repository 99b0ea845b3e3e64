"""Are several agents justified? Two of four properties of the work, or one of two reasons that suffice alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from outlay.advice.answer import Answer

TOPIC = "several agents"
ENOUGH = 2
Boundary = Literal["none", "soft", "hard"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A reason for several agents, as a question, and what it buys. `alone`: it suffices by itself."""

    id: str
    asks: str
    buys: str
    alone: bool = False


CRITERIA: tuple[Criterion, ...] = (
    Criterion("parallelisable", "Can parts run at the same time, and does somebody wait?", "seconds"),
    Criterion("independent", "Can each part be done without the others' results?", "no coordination to pay for"),
    Criterion("specialised", "Do parts need other tools, instructions or models?", "smaller prompts, smaller models"),
    Criterion(
        "security-boundary",
        "May parts see or do what others must not?",
        "less that one hijacked agent can do",
    ),
    Criterion(
        "hard-boundary", "Must a part not even be able to reach what another one holds?", "containment", alone=True
    ),
    Criterion(
        "separate-ownership", "Is a part built and run by somebody else?", "a contract instead of a prompt", alone=True
    ),
)


def criteria(
    *,
    parallelisable: bool | None,
    independent: bool | None,
    specialised: bool | None,
    boundary: Boundary | None,
    ownership: bool | None,
) -> dict[str, bool | None]:
    """Each criterion and whether it holds; None is not known. A hard boundary is a boundary too."""
    return {
        "parallelisable": parallelisable,
        "independent": independent,
        "specialised": specialised,
        "security-boundary": None if boundary is None else boundary != "none",
        "hard-boundary": None if boundary is None else boundary == "hard",
        "separate-ownership": ownership,
    }


def green_light(holds: Mapping[str, bool | None]) -> Answer:
    """Go where `ENOUGH` of the first four hold, or one that suffices alone; stop where that can no longer be."""
    alone = [one for one in CRITERIA if one.alone]
    counted = [one for one in CRITERIA if not one.alone]
    yes = [one for one in counted if holds[one.id] is True]
    open_ones = [one for one in counted if holds[one.id] is None]
    suffices = [one for one in alone if holds[one.id] is True]
    if suffices:
        why = tuple(f"{one.id}: that alone is enough; it buys {one.buys}" for one in suffices)
        return Answer(TOPIC, "go", "justified", why, (f"{_or(suffices)} goes away",))
    said = f"{len(yes)} of four hold ({_and(yes)}), {ENOUGH} are enough"
    if len(yes) >= ENOUGH:
        buys = tuple(f"{one.id} buys {one.buys}" for one in yes)
        lost = f"fewer than {ENOUGH} of {_and(yes)} hold on a closer look; outlay compare says what they came to"
        return Answer(TOPIC, "go", "justified", (said, *buys), (lost,))
    possible = [*open_ones, *(one for one in alone if holds[one.id] is None)]
    if len(yes) + len(open_ones) >= ENOUGH or any(holds[one.id] is None for one in alone):
        questions = tuple(f"{one.id}: {one.asks}" for one in possible)
        return Answer(TOPIC, "not known", "not known yet", (said,), questions)
    missing = [one for one in counted if holds[one.id] is False]
    return Answer(
        TOPIC,
        "stop",
        "not justified",
        (said,),
        (f"{ENOUGH - len(yes)} more of {_or(missing)}", f"{_or(alone)}, alone"),
    )


def _and(some: Iterable[Criterion]) -> str:
    return ", ".join(one.id for one in some) or "none"


def _or(some: Iterable[Criterion]) -> str:
    return " or ".join(one.id for one in some)
