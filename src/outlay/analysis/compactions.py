"""What compaction saved, as a fold: what each later request would have read more, less what shortening cost.

An estimate: nobody sent the longer requests. What a request saves and what the cache was written anew for stands in
the decision, at the prices of that moment; what the summaries cost is their calls' own.
"""

from __future__ import annotations

from decimal import Decimal

from outlay.events.records import CACHED, COMPACTION, CallFinished, Decision, Event
from outlay.values.money import ZERO


class CompactionFold:
    """Grows by one event at a time, in the order of a run."""

    def __init__(self) -> None:
        #: How often a conversation was shortened.
        self.times = 0
        #: In US dollars, negative where it cost more than it saved; None where a price is unknown.
        self.saved: Decimal | None = ZERO
        #: What each further request of a conversation saves, by run, path and agent.
        self._each: dict[tuple[str, str, str], Decimal] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, CallFinished):
            if event.purpose == COMPACTION:
                self._save(None if event.cost is None else -event.cost)
            elif self._each and event.purpose != CACHED:
                self._save(self._each.get((event.run, event.path, event.agent), ZERO))
        elif isinstance(event, Decision) and event.about == COMPACTION and event.data.get("outcome") == "done":
            self.times += 1
            each, rewrite = _usd(event.data.get("each")), _usd(event.data.get("rewrite"))
            self._save(None if rewrite is None else -rewrite)
            place = (event.run, event.path, str(event.data.get("agent", "")))
            self._each[place] = self._each.get(place, ZERO) + (each or ZERO)

    def _save(self, amount: Decimal | None) -> None:
        self.saved = None if amount is None or self.saved is None else self.saved + amount


def _usd(amount: object) -> Decimal | None:
    return Decimal(amount) if isinstance(amount, str) else None
