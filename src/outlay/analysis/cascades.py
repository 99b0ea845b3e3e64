"""What cascades of models saved, as a fold: what the last tier would have cost, less all that was asked below it.

An estimate: nobody asked the last tier. Its price for the tokens of the answer that was taken stands in the decision.
"""

from __future__ import annotations

from decimal import Decimal

from outlay.events.records import CACHED, CallFinished, Decision, Event
from outlay.values.money import ZERO

_TIER = "tier:"


class CascadeFold:
    """Grows by one event at a time, in the order of a run."""

    def __init__(self) -> None:
        #: Turns that went over a cascade of models.
        self.turns = 0
        #: In US dollars, negative where it cost more than it saved; None where a price is unknown.
        self.saved: Decimal | None = ZERO
        #: What was spent since the last turn was settled, by run and path, and by purpose.
        self._spent: dict[tuple[str, str], dict[str, Decimal | None]] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, CallFinished):
            if event.purpose.startswith(_TIER) or event.purpose in ("gate", CACHED):
                spent = self._spent.setdefault((event.run, event.path), {})
                spent[event.purpose] = _sum(spent.get(event.purpose, ZERO), event.cost)
        elif isinstance(event, Decision) and event.about == "cascade":
            top = event.data.get("tier") == int(event.data.get("tiers", 0)) - 1
            if event.data.get("passed") or top:
                self._settle(event, top)

    def _settle(self, event: Decision, top: bool) -> None:
        spent = self._spent.pop((event.run, event.path), {})
        if "instead" not in event.data:
            return  # a cascade of nodes: nobody knows what the last one would have cost
        self.turns += 1
        tokens = event.data["instead"]
        # a stored answer saved what it did, with or without a cascade
        free = top or CACHED in spent
        instead = ZERO if free else Decimal(tokens) if isinstance(tokens, str) else None
        asked = [cost for purpose, cost in spent.items() if not (top and purpose == f"{_TIER}{event.data['tier']}")]
        for amount in (instead, *(None if cost is None else -cost for cost in asked)):
            self.saved = _sum(self.saved, amount)


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other
