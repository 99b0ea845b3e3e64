"""What agents need to share, and the smallest thing that does it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from outlay.advice.answer import Answer

TOPIC = "shared state"


@dataclass(frozen=True, slots=True)
class Need:
    """Something that must be shared, as a question."""

    id: str
    asks: str


@dataclass(frozen=True, slots=True)
class Rung:
    """A way to share, what it covers, and in code."""

    id: str
    what: str
    covers: frozenset[str]
    line: str


NEEDS: tuple[Need, ...] = (
    Need("next-step", "Does the next step need what this one made?"),
    Need("same-input", "Do several need the same input, unchanged?"),
    Need("large", "Is something shared too long for a prompt?"),
    Need("facts", "Do several add to what is known, each its own part?"),
    Need("same-entry", "Do several change the same entry?"),
    Need("order", "Does it matter what happened before what?"),
    Need("across-runs", "Must it outlive the run?"),
    Need("wakes-others", "Must somebody outside the run act on it?"),
)
_STEP = {"next-step"}
_INPUT = _STEP | {"same-input"}
_ARTIFACT = _INPUT | {"large"}
_BOARD = _INPUT | {"facts", "same-entry", "order"}
_STATE = _ARTIFACT | {"facts", "same-entry", "order"}
_SPACE = _STATE | {"across-runs"}

#: From the smallest on. Each costs more to understand than the one before.
LADDER: tuple[Rung, ...] = (
    Rung("nothing", "nothing: each does its own", frozenset(), "FanOut([a, b])"),
    Rung(
        "handoff",
        "a typed output that the next one takes",
        frozenset(_STEP),
        "Pipeline(a, b), a with output_type=Draft",
    ),
    Rung("input", "the pattern's input, which every step can see", frozenset(_INPUT), "ctx.origin, or deps="),
    Rung(
        "artifact", "a file with a preview: prompts carry its name", frozenset(_ARTIFACT), "ctx.state.artifacts.put(…)"
    ),
    Rung(
        "board",
        "typed entries that specialists read and write",
        frozenset(_BOARD),
        "Blackboard([Specialist(…)], board, until)",
    ),
    Rung(
        "state",
        "entries with versions: a stale write is a Conflict",
        frozenset(_STATE),
        "ctx.state.update(…), ctx.state.log(…)",
    ),
    Rung("space", "the same for all runs and processes on a store", frozenset(_SPACE), "ctx.state.space('team')"),
    Rung(
        "bus",
        "messages, at least once, with an outbox in the same commit",
        frozenset(_SPACE | {"wakes-others"}),
        "Outbox(store).publish(bus)",
    ),
)


def smallest(needs: Collection[str]) -> Answer:
    """The first rung that covers all needs. Raises KeyError for a need that there is not."""
    wanted = dict.fromkeys(needs)
    for need in wanted:
        if need not in {one.id for one in NEEDS}:
            raise KeyError(need)
    found = _first(wanted)
    below = LADDER[: LADDER.index(found)][-1:]
    because = [f"{need} is needed, and nothing smaller covers it all" for need in wanted if not _covered(need, below)]
    unless: list[str] = []
    if because:
        rest = [need for need in wanted if _covered(need, below)]
        spare = " and ".join(need for need in wanted if need not in rest)
        unless.append(f"without {spare} less is enough: {_first(rest).what}")
    for need in NEEDS:
        if need.id not in found.covers:
            unless.append(f"{need.id}: {_first([*wanted, need.id]).what}")
    return Answer(
        TOPIC, found.id, found.what, tuple(because) or ("nothing has to be shared",), tuple(unless[:4]), (found.line,)
    )


def _first(needs: Collection[str]) -> Rung:
    return next(rung for rung in LADDER if rung.covers.issuperset(needs))


def _covered(need: str, rungs: Sequence[Rung]) -> bool:
    return any(need in rung.covers for rung in rungs)
