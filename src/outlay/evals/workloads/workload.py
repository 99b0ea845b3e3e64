"""A workload: the runs of one flow in a period, and in the one before. Grows by one task at a time."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from outlay.analysis.cachehealth import CacheHealth
from outlay.analysis.percentiles import percentile
from outlay.analysis.task import Task
from outlay.evals.intervals import Interval, wilson
from outlay.evals.workloads.period import Period

ZERO = Decimal(0)
#: Below so many tasks the nearest-rank percentile is the largest value, or the only one.
LEAST_FOR_P50, LEAST_FOR_P95 = 3, 20


class Key(NamedTuple):
    """`flow` is the root's name. Runs on stand-ins, and those of `outlay compare`, are workloads of their own: neither
    says what a real task costs."""

    flow: str
    lane: str = "live"
    compared: bool = False

    @property
    def name(self) -> str:
        marks = [*([self.lane] if self.lane != "live" else []), *(["compare"] if self.compared else [])]
        return f"{self.flow} ({', '.join(marks)})" if marks else self.flow


@dataclass(slots=True)
class Turns:
    """A cascade's turns: how many, how many came to its last tier, and how many of those that did not settle."""

    turns: int = 0
    to_top: int = 0
    unsettled: int = 0


def _floats() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Window:
    """The tasks of one workload in one period. Money in US dollars: `spent` is exact, and all that is known; where
    `unpriced` tasks are among them it is a lower bound, and so is each percentile.

    Percentiles and success are of tasks that are over; `unfinished` ones cost what they have cost so far.
    """

    period: Period
    tasks: int = 0
    unfinished: int = 0
    spent: Decimal = ZERO
    in_doubt: Decimal = ZERO
    unpriced: int = 0
    calls: int = 0
    succeeded: int = 0
    #: Tasks that deterministic checkers judged, and those that gave no output for them to judge.
    checked: int = 0
    failed: int = 0
    #: Of both; None from the first on whose tokens are unknown.
    judged_tokens: int | None = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    cache: dict[tuple[str, str], CacheHealth] = field(default_factory=dict[tuple[str, str], CacheHealth])
    cascades: dict[str, Turns] = field(default_factory=dict[str, Turns])
    course: list[Decimal] = field(default_factory=list[Decimal])
    _costs: array[float] = field(default_factory=_floats)
    _seconds: array[float] = field(default_factory=_floats)

    def add(self, task: Task, success: bool | None) -> None:
        self.tasks += 1
        self.spent += task.at_least
        self.in_doubt += task.in_doubt
        self.unpriced += task.cost is None
        self.calls += task.calls
        self.outcomes[task.outcome or "not over"] += 1
        self._during(task)
        for health in task.cache:
            key = (health.agent, health.model)
            self.cache[key] = self.cache[key] + health if key in self.cache else health
        for one in task.escalations:
            if one.to_top is not None:
                turns = self.cascades.setdefault(one.path, Turns())
                top = one.tiers[-1]
                turns.turns += one.turns
                turns.to_top += top.asked
                turns.unsettled += top.asked - top.passed
        if not task.is_over:
            self.unfinished += 1
            return
        self._costs.append(float(task.at_least))
        if task.seconds is not None:
            self._seconds.append(task.seconds)
        if success is None and not task.failed:
            return
        self.checked += success is not None
        self.failed += success is None
        self.succeeded += success is True
        unknown = self.judged_tokens is None or task.tokens is None
        self.judged_tokens = None if unknown else (self.judged_tokens or 0) + (task.tokens or 0)

    def _during(self, task: Task) -> None:
        if not self.course:
            self.course = [ZERO] * self.period.parts
        self.course[self.period.part_of(task.started)] += task.at_least

    @property
    def over(self) -> int:
        """Tasks that are over."""
        return self.tasks - self.unfinished

    @property
    def judged(self) -> int:
        """Tasks of which it is known whether they succeeded: where checkers judge, no output is no success. Where none
        does, nobody knows how many succeeded, and that some failed does not say."""
        return self.checked + self.failed if self.checked else 0

    @property
    def success(self) -> Interval | None:
        """The share of judged tasks that succeeded, with its 95 % interval; None where none was judged."""
        return wilson(self.succeeded, self.judged) if self.judged else None

    @property
    def tokens_per_success(self) -> float | None:
        """Tokens of all judged tasks for each that succeeded; None where none did, or a number is unknown."""
        known = self.judged_tokens if self.judged else None
        return known / self.succeeded if self.succeeded and known is not None else None

    @property
    def p50(self) -> float | None:
        """Of the cost of a task; None of so few that it would say nothing."""
        return percentile(self._costs, 50) if self.over >= LEAST_FOR_P50 else None

    @property
    def p95(self) -> float | None:
        return percentile(self._costs, 95) if self.over >= LEAST_FOR_P95 else None

    @property
    def most(self) -> float | None:
        """The dearest task."""
        return max(self._costs, default=None)

    def seconds(self, percent: float) -> float | None:
        """A percentile of wall time, as above."""
        least = LEAST_FOR_P50 if percent <= 50 else LEAST_FOR_P95
        return percentile(self._seconds, percent) if len(self._seconds) >= least else None

    def dearer_than(self, cost: float) -> int:
        """Tasks that are over and cost more."""
        return sum(one > cost for one in self._costs)


@dataclass(frozen=True, slots=True)
class Workload:
    """The same flow now and in the period before."""

    key: Key
    now: Window
    before: Window
