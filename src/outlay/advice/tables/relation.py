"""Sub-agents or peers? Who owns, scales, guards and ships the other one, and what is left when caller and called change
places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from outlay.advice.answer import Answer

TOPIC = "sub-agents or peers"
Inversion = Literal["one-way", "either-way", "asks-back", "neither"]


@dataclass(frozen=True, slots=True)
class Facet:
    """One thing in which two agents are of a kind, or each its own. `parts`: it sets them apart by itself."""

    id: str
    asks: str
    apart: str
    parts: bool


FACETS: tuple[Facet, ...] = (
    Facet(
        "ownership",
        "Does another team answer for it?",
        "who answers for it must be able to change it alone",
        True,
    ),
    Facet("scaling", "Does its load grow by another measure?", "its load is not the caller's", False),
    Facet(
        "security", "Does it hold keys or data that the caller must not reach?", "in one process there is no wall", True
    ),
    Facet("third-party", "Does somebody outside run it?", "you can neither see its prompt nor cap its turns", True),
    Facet("release", "Is it shipped on days of its own?", "its changes must not wait for the caller's", False),
)


@dataclass(frozen=True, slots=True)
class Inverted:
    """An answer to the inversion test: let the called one call the caller, and see whether that makes sense."""

    id: Inversion
    means: str
    together: str
    apart: str


#: What each answer makes of two agents that are of a kind, and of two that are set apart.
INVERSIONS: tuple[Inverted, ...] = (
    Inverted("one-way", "no: it only ever works for the caller", "sub-agent", "service"),
    Inverted("either-way", "yes: either may begin, and hand over to the other", "peers", "peers"),
    Inverted("asks-back", "only to ask for what is missing", "sub-agent that asks back", "peers"),
    Inverted("neither", "neither need know the other: a third one calls both", "siblings", "siblings"),
)


@dataclass(frozen=True, slots=True)
class Relation:
    """How two agents stand to one another, and the lines that make it so."""

    id: str
    is_: str
    line: str


RELATIONS: tuple[Relation, ...] = (
    Relation(
        "sub-agent",
        "below the caller: one budget, one journal, one bill",
        "Agent(…, tools=[helper]), or a Supervisor's worker",
    ),
    Relation(
        "sub-agent that asks back",
        "below the caller, and may ask it a question on the way",
        "Mesh({caller: [helper], helper: [caller]}, start=caller, max_handoffs=2)",
    ),
    Relation(
        "peers",
        "each its own; they hand a task and an artifact over, never a conversation",
        "Mesh({a: [b], b: [a]}, start=a, max_handoffs=4); across processes bus.send and bus.serve",
    ),
    Relation(
        "service",
        "called like a tool, with a type and a time-out, and run by itself",
        "bus.serve('topic', handle) on its side, a typed @tool(timeout=30) on the caller's",
    ),
    Relation(
        "siblings", "a third one calls both, and neither knows the other", "FanOut([a, b], merge=c), or a Supervisor"
    ),
)

#: Facets that only together set two agents apart: each alone is a matter of deployment.
TOGETHER = ("scaling", "release")


@dataclass(frozen=True, slots=True)
class Case:
    """A typical case: which facets are each its own, the answer to the inversion test, and what follows."""

    what: str
    own: tuple[str, ...]
    inversion: Inversion
    relation: str


CASES: tuple[Case, ...] = (
    Case("a researcher that reads for a writer, in one product", (), "one-way", "sub-agent"),
    Case("a coder whose tester wants to know what was meant", (), "asks-back", "sub-agent that asks back"),
    Case("support desks that pass a customer on, as the matter shows", (), "either-way", "peers"),
    Case("reviewers of one change: security, style, speed", (), "neither", "siblings"),
    Case("a redactor that alone may see customers' data", ("security", "scaling"), "one-way", "service"),
    Case("another company's booking agent", ("ownership", "third-party", "release", "security"), "either-way", "peers"),
)


def set_apart(own: Mapping[str, bool | None]) -> list[Facet]:
    """The facets that set two agents apart, if they do."""
    by_itself = [one for one in FACETS if one.parts and own.get(one.id)]
    if by_itself:
        return by_itself
    jointly = [one for one in FACETS if one.id in TOGETHER and own.get(one.id)]
    return jointly if len(jointly) == len(TOGETHER) else []


def relation(own: Mapping[str, bool | None], inversion: Inversion | None) -> Answer:
    """`own` says by facet whether the other one is its own there; None is not known, and counts as no, as an inversion
    that nobody has tried counts as one-way: a sub-agent is the cheaper mistake, easily taken out later.
    """
    apart = set_apart(own)
    row = next((one for one in INVERSIONS if one.id == inversion), None)
    found = _of(row or INVERSIONS[0], apart)
    made = next(one for one in RELATIONS if one.id == found)
    because = [f"{one.id}: {one.apart}" for one in apart]
    if not apart:
        unknown = any(own.get(one.id) is None for one in FACETS)
        because.append(f"nothing {'is known to set' if unknown else 'sets'} them apart")
    if row is not None:
        because.append(f"turned round: {row.means}")
    unless: list[str] = []
    row = row or INVERSIONS[0]
    if row.apart != row.together and apart:
        unless.append(f"without {' and '.join(one.id for one in apart)}: {row.together}")
    elif row.apart != row.together:
        unless += [f"{one.id}: {one.asks} Then {row.apart}" for one in FACETS if one.parts]
    unless += [f"turned round, {one.means}: {_of(one, apart)}" for one in INVERSIONS if _of(one, apart) != found]
    return Answer(TOPIC, found, f"{found}: {made.is_}", tuple(because), tuple(unless), (made.line,))


def _of(row: Inverted, apart: list[Facet]) -> str:
    return row.apart if apart else row.together
