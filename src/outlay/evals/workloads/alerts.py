"""What is out of bounds in a workload: a prompt cache that is not read, cascades that escalate, costs that drift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from typing import Literal

from outlay.analysis.escalation import MOST_TO_TOP, MOST_TOP_FAILURES
from outlay.evals.wording import dollars, percent
from outlay.evals.workloads.workload import Workload

#: Of so many calls that should have read from the cache, or turns of a cascade, a share says something.
ENOUGH_READS, ENOUGH_TURNS = 10, 20
#: A P95 that rose by less is no news, and one that rose by chance is none either.
DRIFT, CHANCE = 0.25, 0.01


@dataclass(frozen=True, slots=True)
class Alert:
    workload: str
    kind: Literal["cache", "escalation", "drift"]
    text: str


def alerts(found: Workload) -> tuple[Alert, ...]:
    return (*_cache(found), *_escalation(found), *_drift(found))


def _cache(found: Workload) -> Iterator[Alert]:
    """Not one of the calls that should have read from the cache did."""
    for health in found.now.cache.values():
        if health.expected >= ENOUGH_READS and health.missed == health.expected:
            why = f": {', '.join(health.changes)}" if health.changes else ""
            text = (
                f"{health.agent} read nothing from the prompt cache in {health.expected:,} calls that should have{why}"
            )
            yield Alert(found.key.name, "cache", text)


def _escalation(found: Workload) -> Iterator[Alert]:
    for path, turns in found.now.cascades.items():
        if turns.turns < ENOUGH_TURNS:
            continue
        share = turns.to_top / turns.turns
        if share > MOST_TO_TOP:
            text = f"{percent(share)} of {turns.turns:,} turns of {path} came to the top tier"
            yield Alert(found.key.name, "escalation", f"{text}, more than {percent(MOST_TO_TOP)}")
        if turns.to_top and turns.unsettled / turns.to_top > MOST_TOP_FAILURES:
            failed = percent(turns.unsettled / turns.to_top)
            text = (
                f"the top tier of {path} did not settle {failed} of its turns, more than {percent(MOST_TOP_FAILURES)}"
            )
            yield Alert(found.key.name, "escalation", text)


def _drift(found: Workload) -> Iterator[Alert]:
    """The P95 of a task's cost rose by a quarter, and more tasks were dearer than the old one than chance makes."""
    now, before = found.now, found.before
    if now.p95 is None or before.p95 is None or now.p95 <= before.p95 * (1 + DRIFT):
        return
    dearer = now.dearer_than(before.p95)
    if at_least(dearer, now.over, 0.05) >= CHANCE:
        return
    rise = "" if not before.p95 else f" by {percent(now.p95 / before.p95 - 1)}"
    text = (
        f"P95 of a task rose{rise}, from {dollars(before.p95)} to {dollars(now.p95)}: "
        f"{percent(dearer / now.over)} of the tasks cost more than the P95 before"
    )
    yield Alert(found.key.name, "drift", text)


def at_least(k: int, n: int, p: float) -> float:
    """The chance of k or more of n where each is as likely as p. Exact below a thousand, else by the normal curve with
    a continuity correction, which is off by less than a thousandth there."""
    if k <= 0:
        return 1.0
    if n <= 1_000:
        return max(0.0, min(1.0, sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))))
    from statistics import NormalDist

    return 1 - NormalDist(n * p, (n * p * (1 - p)) ** 0.5).cdf(k - 0.5)
