"""What the rungs of the cost ladder saved, against the same run without them: a fold over events.

What the prompt cache and the batch lane saved stands in the lines of the bill: each call recorded it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from outlay.analysis.cascades import CascadeFold
from outlay.analysis.compactions import CompactionFold
from outlay.events.records import Decision, Event
from outlay.values.money import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """Amounts in US dollars: negative where a rung cost more than it saved, None where a price is unknown."""

    #: Calls that a stored answer answered, and what they would have cost.
    answers: int = 0
    by_answers: Decimal | None = ZERO
    #: Of these, the ones that were given to a question which was only nearly the same.
    similar_answers: int = 0
    #: Tool results that were given again, and the seconds that these tools had taken.
    results: int = 0
    seconds_by_results: float = 0.0
    #: How often a conversation was shortened, and about what that saved.
    compactions: int = 0
    by_compaction: Decimal | None = ZERO
    #: Turns over cascades of models, and about what these saved against the last tier alone.
    cascaded: int = 0
    by_cascade: Decimal | None = ZERO

    @staticmethod
    def merge(several: Iterable[Savings]) -> Savings:
        """Those of runs that share no calls."""
        found = list(several)
        return Savings(
            answers=sum(one.answers for one in found),
            by_answers=total([one.by_answers for one in found]),
            similar_answers=sum(one.similar_answers for one in found),
            results=sum(one.results for one in found),
            seconds_by_results=math.fsum(one.seconds_by_results for one in found),
            compactions=sum(one.compactions for one in found),
            by_compaction=total([one.by_compaction for one in found]),
            cascaded=sum(one.cascaded for one in found),
            by_cascade=total([one.by_cascade for one in found]),
        )


class SavingsFold:
    """Grows by one event at a time, in the order of a run."""

    def __init__(self) -> None:
        #: What each stored answer saved.
        self._answers: list[Decimal | None] = []
        self._similar = 0
        self._results: list[float] = []
        self._compactions = CompactionFold()
        self._cascades = CascadeFold()

    def add(self, event: Event) -> None:
        self._compactions.add(event)
        self._cascades.add(event)
        if not isinstance(event, Decision):
            return
        if event.about == "stored_answer":
            saved = event.data.get("saved")
            self._answers.append(None if saved is None else Decimal(str(saved)))
            self._similar += "similarity" in event.data
        elif event.about == "stored_result":
            self._results.append(float(event.data.get("seconds", 0.0)))

    def savings(self) -> Savings:
        """Those of the events so far."""
        return Savings(
            answers=len(self._answers),
            by_answers=total(self._answers),
            similar_answers=self._similar,
            results=len(self._results),
            seconds_by_results=math.fsum(self._results),
            compactions=self._compactions.times,
            by_compaction=self._compactions.saved,
            cascaded=self._cascades.turns,
            by_cascade=self._cascades.saved,
        )


def total(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """Their sum, None if one of them is unknown."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, ZERO) if len(known) == len(amounts) else None
