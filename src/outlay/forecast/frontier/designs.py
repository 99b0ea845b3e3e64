"""Designs of a flow: levers, their choices, and one choice of each. Values only: no flow is looked at here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from outlay.forecast.simulated import Lane


@dataclass(frozen=True, slots=True)
class Change:
    """An argument of a node, as it is in the flow and as it is to be: both as one would write them."""

    kind: str
    name: str
    argument: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.argument}={self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting of a lever. `arguments` by the name of the node, `without` the names of stages that are left out,
    `at_once` those of pipelines whose stages do not wait for each other; `lane` is no argument of the flow, but of the
    command that runs it.
    """

    label: str
    changes: tuple[Change, ...] = ()
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    without: frozenset[str] = frozenset()
    at_once: frozenset[str] = frozenset()
    lane: Lane = "live"


@dataclass(frozen=True, slots=True)
class Lever:
    """What can be set, and to what. The first choice changes nothing: it is the flow as it stands."""

    name: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Design:
    """One choice of each lever, by index."""

    picks: tuple[int, ...]
    choices: tuple[Choice, ...]

    @property
    def is_base(self) -> bool:
        return not any(self.picks)

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(change for choice in self.choices for change in choice.changes)

    @property
    def arguments(self) -> dict[str, dict[str, Any]]:
        """Of all choices together, by the name of the node."""
        found: dict[str, dict[str, Any]] = {}
        for choice in self.choices:
            for name, arguments in choice.arguments.items():
                found.setdefault(name, {}).update(arguments)
        return found

    @property
    def without(self) -> frozenset[str]:
        return frozenset[str]().union(*(choice.without for choice in self.choices))

    @property
    def at_once(self) -> frozenset[str]:
        return frozenset[str]().union(*(choice.at_once for choice in self.choices))

    @property
    def lane(self) -> Lane:
        return "batch" if any(choice.lane == "batch" for choice in self.choices) else "live"

    @property
    def label(self) -> str:
        """In few words, for a picture."""
        chosen = (choice.label for choice, pick in zip(self.choices, self.picks, strict=True) if pick)
        return ", ".join(chosen) or "as it is"

    def __str__(self) -> str:
        return "; ".join(map(str, self.changes)) or "as it is"


@dataclass(frozen=True, slots=True)
class Space:
    """Levers, and all designs that they make. `left_out` names levers that a derived space has no room for."""

    levers: tuple[Lever, ...]
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return math.prod(len(lever.choices) for lever in self.levers)

    @property
    def base(self) -> Design:
        return self.design((0,) * len(self.levers))

    def design(self, picks: tuple[int, ...]) -> Design:
        return Design(picks, tuple(lever.choices[i] for lever, i in zip(self.levers, picks, strict=True)))

    def designs(self) -> Iterator[Design]:
        """All of them, the base first."""
        for picks in product(*(range(len(lever.choices)) for lever in self.levers)):
            yield self.design(picks)

    def single_changes(self) -> Iterator[tuple[Lever, Design]]:
        """One lever at a time, from the base."""
        for at, lever in enumerate(self.levers):
            for i in range(1, len(lever.choices)):
                yield lever, self.design(tuple(i if k == at else 0 for k in range(len(self.levers))))
