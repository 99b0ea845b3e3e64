"""Which known failure modes came up in a comparison, and what became of them (docs/failure-modes.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from outlay.evals.comparison import Comparison
from outlay.evals.side import Side
from outlay.evals.wording import dollars, times
from outlay.values.counted import counted
from outlay.values.money import show_limit

#: Where each mode stands with what notices it, what happens, and the test that shows it.
PAGE = "docs/failure-modes.md"


@dataclass(frozen=True, slots=True)
class Handled:
    """A failure mode by its name on the page, and what was seen of it here."""

    mode: str
    seen: str


def handled(found: Comparison) -> list[Handled]:
    """Those that this comparison shows something of, in the order of the page."""
    return list(_handled(found))


def _handled(found: Comparison) -> Iterator[Handled]:
    a, b = found.a, found.b
    if found.multiplier is not None and a.agents != b.agents:
        more = b if b.agents > a.agents else a
        factor = found.multiplier.value if more is b else 1 / max(found.multiplier.value, 1e-12)
        won, lost = (found.only_b, found.only_a) if more is b else (found.only_a, found.only_b)
        yield Handled(
            "Coordination tax",
            f"measured: {counted(more.agents, 'agent')} cost {times(factor)} as much, won {counted(won, 'case')} and "
            f"lost {lost:,}",
        )
    yield from _each(found, "Latency cascade", "deadline", "stopped at the deadline")
    if parts := _both(found, lambda side: sum(case.skipped for case in side.cases), "left-out part"):
        yield Handled("Error compounding", f"{parts}: named in the result, never merged as an answer")
    if parts := _both(found, lambda side: sum(case.retries for case in side.cases), "retry"):
        yield Handled("Cascading failure", f"{parts}, all by one layer, each on the bill")
    if found.setup.limit is not None:
        parts = _both(found, lambda side: side.stopped("budget"), "stop", always=True)
        yield Handled("Cost blast radius", f"no case could spend more than {show_limit(found.setup.limit)}: {parts}")
    if any(side.in_doubt for side in (a, b)):
        yield Handled("Billed and not answered", f"{dollars(a.in_doubt + b.in_doubt)} held apart, outside the totals")
    if parts := _both(found, lambda side: sum(case.refused for case in side.cases), "output"):
        yield Handled("1.1 Disobeys the task specification", f"{parts} sent back by the flow's own checkers")
    yield from _each(found, "1.3 Step repetition", "turn_limit", "ended by its cap on turns")
    if found.setup.checkers:
        checkers = ", ".join(found.setup.checkers)
        yield Handled("3.2 No or incomplete verification", f"every output was checked: {checkers}")
    if found.setup.judge:
        yield Handled("3.3 Incorrect verification", "not covered: a judge that is a model may be wrong")


def _each(found: Comparison, mode: str, reason: str, what: str) -> Iterator[Handled]:
    if parts := _both(found, lambda side: side.stopped(reason), "run"):
        yield Handled(mode, f"{parts} {what}")


def _both(found: Comparison, count: Callable[[Side], int], noun: str, *, always: bool = False) -> str:
    """`3 stops of one, none of crew`; empty where there are none."""
    counts = [(side, count(side)) for side in (found.a, found.b)]
    if not always and not any(n for _, n in counts):
        return ""
    return ", ".join(f"{_counted(n, noun)} of {side.name}" for side, n in counts)


def _counted(n: int, noun: str) -> str:
    if noun == "retry":
        return f"{n:,} {'retry' if n == 1 else 'retries'}"
    return counted(n, noun) if n else f"no {noun}"
