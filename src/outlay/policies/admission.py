"""Whether many runs under one money budget may start another (SEMANTICS 5).

Reserving keeps the budget from being overshot; it does not keep it from being used up by runs that are all half
done. So a run is started only while what is left covers what the runs in flight are still expected to cost, and its
own. Before anything is known the number in flight grows with the number finished, as a connection's window does.
By batch it may take a day until one finishes: there the worst that a run has reserved stands for what it costs, until
that is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(slots=True)
class Admission:
    """What finished runs cost so far; `limit` in US dollars.

    A run in flight is expected to cost as much as the dearest that has finished: the mean would be too low, because
    cheap runs finish first.
    """

    limit: Decimal
    finished: int = 0
    spent: Decimal = Decimal(0)
    dearest: Decimal = Decimal(0)
    by_batch: bool = False
    #: The most that a run in flight has been seen to hold.
    _reserved: Decimal = Decimal(0)

    def record(self, cost: Decimal) -> None:
        """A run has ended and cost this much."""
        self.finished += 1
        self.spent += cost
        self.dearest = max(self.dearest, cost)

    def admits(self, in_flight: int, total_spent: Decimal, held: Decimal | None = None) -> bool:
        """May another run start? One may always: whether its first call fits is the ledger's question. `held` is
        reserved for the runs in flight, None until one of them has come to a call."""
        if in_flight == 0:
            return True
        if self.by_batch and not self.finished:
            if held is None:
                return False
            self._reserved = max(self._reserved, held / in_flight)
            return total_spent + self._reserved * (in_flight + 1) <= self.limit
        if not self.by_batch and in_flight > 2 * self.finished:
            return False
        spent_in_flight = total_spent - self.spent
        still_to_come = max(self.dearest * in_flight - spent_in_flight, Decimal(0)) + self.dearest
        return total_spent + still_to_come <= self.limit
