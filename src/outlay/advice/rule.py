"""Rule: one thing that tends to cost money, time or reliability, and where it is found in a flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from outlay.advice.survey import Survey

Concern = Literal["money", "latency", "reliability"]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a rule found: at which nodes (their names), what is so, and the line to change."""

    nodes: tuple[str, ...]
    what: str
    change: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`id` is stable: it is what users silence. `looks_for` says what in a line, `why` what it costs."""

    id: str
    looks_for: str
    concerns: tuple[Concern, ...]
    why: str
    look: Callable[[Survey], Iterable[Sight]]


@dataclass(frozen=True, slots=True)
class Advisory:
    """A rule that found something: what `outlay check` warns of."""

    id: str
    nodes: tuple[str, ...]
    what: str
    concerns: tuple[Concern, ...]
    why: str
    change: str
