"""Escalations while they happen: a cascade that sends too much to its top tier is said before the bill says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlay.analysis.escalation import ENOUGH, MOST_TO_TOP, place


@dataclass(frozen=True, slots=True)
class Escalated:
    """The cascade at `place` (items and repeats are one) sent `share` of its `turns` to the top tier."""

    place: str
    turns: int
    share: float


@dataclass(slots=True)
class _Share:
    turns: int = 0
    tops: int = 0
    told: bool = False


@dataclass(slots=True)
class Escalating:
    """The turns of cascades so far, over the runs that share this; told of once for each cascade, from 20 turns on."""

    _places: dict[str, _Share] = field(default_factory=dict[str, _Share])

    def see(self, seen: SeenTurns, path: str, data: Mapping[str, Any]) -> Escalated | None:
        """A decision of a cascade in a run that has `seen` those before it."""
        where = place(path)
        share = self._places.setdefault(where, _Share())
        turn, top = int(data["turn"]), int(data["tier"]) == int(data["tiers"]) - 1 > 0
        last, was_top = seen.get(path, (0, False))
        if turn != last:
            was_top = False
            share.turns += 1
        share.tops += top and not was_top
        seen[path] = (turn, top or was_top)
        if share.told or share.turns < ENOUGH or share.tops <= MOST_TO_TOP * share.turns:
            return None
        share.told = True
        return Escalated(where, share.turns, share.tops / share.turns)


#: By path of a cascade in one run: its last turn, and whether that came to the top.
SeenTurns = dict[str, tuple[int, bool]]
