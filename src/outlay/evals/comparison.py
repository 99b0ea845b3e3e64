"""A comparison: two sides on the same cases, and how sure one can be of each difference. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from outlay.evals.intervals import Interval, bootstrap
from outlay.evals.mcnemar import LEVEL, least_cases, mcnemar
from outlay.evals.side import Side


@dataclass(frozen=True, slots=True)
class Setup:
    """What both sides had alike. `value` of a success and `limit` a case in US dollars, None for none."""

    dataset: str
    checkers: tuple[str, ...] = ()
    judge: str = ""
    #: The model family that judge and judged have in common.
    kinship: str = ""
    limit: Decimal | None = None
    value: Decimal | None = None
    lane: str = "live"
    seed: int = 0
    #: The sides of that family, by name.
    kin: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Comparison:
    """B against A, case by case. Differences are B minus A; where a side's figure is unknown so is the difference.
    `stored` runs were measured by an earlier comparison, and nothing was spent on them now."""

    a: Side
    b: Side
    setup: Setup
    stored: int = 0

    @cached_property
    def pairs(self) -> list[tuple[bool, bool]]:
        """The outcomes of cases of which both are known."""
        both = zip(self.a.outcomes, self.b.outcomes, strict=True)
        return [(one, other) for one, other in both if one is not None and other is not None]

    @property
    def only_a(self) -> int:
        """Cases in which A alone succeeded."""
        return sum(one and not other for one, other in self.pairs)

    @property
    def only_b(self) -> int:
        return sum(other and not one for one, other in self.pairs)

    @property
    def p(self) -> float:
        """McNemar's exact p-value: 1 where the sides never differ."""
        return mcnemar(self.only_a, self.only_b)

    @property
    def differs(self) -> bool:
        """Their success differs by more than chance would make it."""
        return self.p < LEVEL

    @property
    def too_few(self) -> bool:
        """No outcome of so few cases could be evidence: intervals of them are useless."""
        return len(self.pairs) < least_cases()

    @cached_property
    def success(self) -> Interval | None:
        """The difference of the shares of successes."""
        return self._difference([(float(one), float(other)) for one, other in self.pairs])

    @cached_property
    def dollars(self) -> Interval | None:
        """The difference of the dollars a case; None where a price is unknown."""
        return None if self.unpriced else self._difference(self._costs)

    @cached_property
    def seconds(self) -> Interval | None:
        both = zip(self.a.cases, self.b.cases, strict=True)
        return self._difference([(one.seconds, other.seconds) for one, other in both])

    @cached_property
    def multiplier(self) -> Interval | None:
        """How many times as much B costs; None where A costs nothing, or a price is unknown."""
        if self.unpriced or not self.a.cost:
            return None
        return self._bootstrap(self._costs, lambda means: means[1] / means[0] if means[0] else math.nan)

    @cached_property
    def worth(self) -> Interval | None:
        """What B is worth more a case, in US dollars, at the value that a success was said to have."""
        value = self.setup.value
        if value is None or self.unpriced:
            return None
        rows = [
            (float(value) * (others - ones) - float(other.cost - one.cost),)
            for one, other, ones, others in zip(
                self.a.cases, self.b.cases, self.a.outcomes, self.b.outcomes, strict=True
            )
            if ones is not None and others is not None and one.cost is not None and other.cost is not None
        ]
        return self._bootstrap(rows, lambda means: means[0])

    @cached_property
    def price_of_a_success(self) -> float | None:
        """US dollars that each further success of the better side costs: below it the cheaper side is worth more.

        None unless the side that succeeds more often also costs more.
        """
        if self.success is None or self.dollars is None or not self.success.value:
            return None
        price = self.dollars.value / self.success.value
        return price if price > 0 else None

    @property
    def unpriced(self) -> int:
        """Cases of which a side's cost is unknown."""
        return len(self.a.cases) - len(self._costs)

    @cached_property
    def _costs(self) -> list[tuple[float, float]]:
        both = zip(self.a.cases, self.b.cases, strict=True)
        return [
            (float(one.cost), float(other.cost))
            for one, other in both
            if one.cost is not None and other.cost is not None
        ]

    def _difference(self, pairs: Sequence[tuple[float, float]]) -> Interval | None:
        """Of the means, which is the mean of the differences."""
        return self._bootstrap([(other - one,) for one, other in pairs], lambda means: means[0])

    def _bootstrap(
        self, rows: Sequence[tuple[float, ...]], statistic: Callable[[Sequence[float]], float]
    ) -> Interval | None:
        return bootstrap(rows, statistic, seed=self.setup.seed)
