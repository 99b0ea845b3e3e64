"""One side of a comparison: what a flow came to over all cases. A fold over what was measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from outlay.analysis.percentiles import mean, percentile
from outlay.evals.intervals import Interval, wilson
from outlay.evals.measured import ZERO, Measured


@dataclass(frozen=True, eq=False)
class Side:
    """`agents` in the flow, and what each case came to, in the order of the cases. `limit` in US dollars a case."""

    name: str
    agents: int
    cases: tuple[Measured, ...]
    limit: Decimal | None = None

    @cached_property
    def outcomes(self) -> tuple[bool | None, ...]:
        return tuple(case.success for case in self.cases)

    @property
    def successes(self) -> int:
        return sum(outcome is True for outcome in self.outcomes)

    @property
    def unmeasured(self) -> int:
        """Cases of which nobody can say whether they were a success: neither is right."""
        return sum(outcome is None for outcome in self.outcomes)

    @cached_property
    def share(self) -> Interval | None:
        """Successes of the cases of which it can be said."""
        known = len(self.cases) - self.unmeasured
        return wilson(self.successes, known) if known else None

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def cost(self) -> Decimal | None:
        """All of it in US dollars, None where a part is unknown."""
        known = [case.cost for case in self.cases if case.cost is not None]
        return sum(known, ZERO) if len(known) == len(self.cases) else None

    @property
    def at_least(self) -> Decimal:
        return sum((case.at_least for case in self.cases), ZERO)

    @property
    def in_doubt(self) -> Decimal:
        return sum((case.in_doubt for case in self.cases), ZERO)

    def dollars(self, percent: float) -> float | None:
        """The percentile of what a case cost, of those that are priced."""
        return percentile([float(case.cost) for case in self.cases if case.cost is not None], percent)

    @property
    def dollars_a_case(self) -> float | None:
        return None if self.cost is None else float(self.cost) / len(self.cases)

    @property
    def quality_per_dollar(self) -> float | None:
        """Quality per dollar. None where nothing is known to have been spent, or an outcome is not known."""
        return self.successes / float(self.cost) if self.cost and not self.unmeasured else None

    @property
    def used(self) -> tuple[float, float] | None:
        """The mean and the largest share of its budget that a case used; None without a budget or a price."""
        if not self.limit or self.cost is None:
            return None
        shares = [float(case.at_least / self.limit) for case in self.cases]
        return math.fsum(shares) / len(shares), max(shares)

    # ── time and work ─────────────────────────────────────────────────────────────────────────────────────

    def seconds(self, percent: float) -> float | None:
        return percentile([case.seconds for case in self.cases], percent)

    @property
    def seconds_a_case(self) -> float:
        return mean([case.seconds for case in self.cases]) or 0.0

    @property
    def calls_a_case(self) -> float:
        return sum(case.calls for case in self.cases) / len(self.cases)

    @property
    def tokens_per_useful_unit(self) -> float | None:
        """Tokens of all cases for each that was of use; None where none was, or something of it is unknown."""
        tokens = [case.tokens for case in self.cases if case.tokens is not None]
        if len(tokens) < len(self.cases) or self.unmeasured or not self.successes:
            return None
        return sum(tokens) / self.successes

    # ── what went wrong ───────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def failures(self) -> dict[str, int]:
        """By kind, most frequent first."""
        found = Counter(case.failure for case in self.cases if case.failure)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def stopped(self, reason: str) -> int:
        return sum(case.stop_reason == reason for case in self.cases)

    @property
    def opinions(self) -> tuple[int, int]:
        """How many outputs the judge liked, and of how many it had an opinion."""
        given = [case.opinion.ok for case in self.cases if case.opinion is not None and case.opinion.ok is not None]
        return sum(given), len(given)

    @property
    def judge_cost(self) -> Decimal | None:
        costs: Sequence[Decimal | None] = [case.opinion.cost for case in self.cases if case.opinion is not None]
        known = [cost for cost in costs if cost is not None]
        return sum(known, ZERO) if len(known) == len(costs) else None
