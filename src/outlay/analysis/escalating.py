"""Escalations while they happen: a cascade that sends too much to its top tier, or is not helped there, is said before
the bill says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlay.analysis.escalation import ENOUGH, MOST_TO_TOP, MOST_TOP_FAILURES, place


@dataclass(frozen=True, slots=True)
class Escalated:
    """The cascade at `place` (items and repeats are one) sent `share` of its `turns` to the top tier, more than
    `limit`; `failed`: of the `turns` at the top tier, that share was not settled there either."""

    place: str
    turns: int
    share: float
    limit: float
    failed: bool = False


@dataclass(slots=True)
class _Share:
    turns: int = 0
    tops: int = 0
    failures: int = 0
    told: bool = False
    told_failed: bool = False


@dataclass(frozen=True, slots=True)
class SeenTurn:
    """The last turn of a cascade in one run: its number, whether it came to the top, and was not settled there."""

    number: int = 0
    top: bool = False
    failed: bool = False


@dataclass(slots=True)
class Escalating:
    """The turns of cascades so far, over the runs that share this; told of once for each cascade and each of the two,
    from 20 turns (20 at the top tier) on."""

    _places: dict[str, _Share] = field(default_factory=dict[str, _Share])

    def see(self, seen: SeenTurns, path: str, data: Mapping[str, Any]) -> Escalated | None:
        """A decision of a cascade in a run that has `seen` those before it."""
        where = place(path)
        share = self._places.setdefault(where, _Share())
        turn, top = int(data["turn"]), int(data["tier"]) == int(data["tiers"]) - 1 > 0
        last = seen.get(path, SeenTurn())
        if turn != last.number:
            last = SeenTurn(turn)
            share.turns += 1
        share.tops += top and not last.top
        failed = top and not data["passed"]
        if top:  # of several attempts at the top the last one counts
            share.failures += failed - last.failed
        seen[path] = SeenTurn(turn, top or last.top, failed if top else last.failed)
        if not share.told and share.turns >= ENOUGH and share.tops > MOST_TO_TOP * share.turns:
            share.told = True
            return Escalated(where, share.turns, share.tops / share.turns, MOST_TO_TOP)
        if not share.told_failed and share.tops >= ENOUGH and share.failures > MOST_TOP_FAILURES * share.tops:
            share.told_failed = True
            return Escalated(where, share.tops, share.failures / share.tops, MOST_TOP_FAILURES, failed=True)
        return None


#: By path of a cascade in one run, its last turn.
SeenTurns = dict[str, SeenTurn]
