"""The figures of a comparison as rows of words: what terminal and memo show alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from outlay.evals.comparison import Comparison
from outlay.evals.intervals import Interval
from outlay.evals.mcnemar import least_cases
from outlay.evals.side import Side
from outlay.evals.wording import (
    UNKNOWN,
    chance,
    dollars,
    number,
    percent,
    points,
    points_within,
    seconds,
    times,
    within,
)
from outlay.values.counted import counted
from outlay.values.money import show_limit

#: Instead of an interval of so few cases that none could tell.
USELESS = "(interval useless)"


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of both sides; `between` says how they differ, where that means something."""

    what: str
    a: str
    b: str
    between: str = ""


def figures(found: Comparison) -> list[FigureRow]:
    return list(_figures(found))


def _figures(found: Comparison) -> Iterator[FigureRow]:
    a, b = found.a, found.b
    yield FigureRow("success", _successes(a), _successes(b), _success_between(found))
    money = found.dollars
    between = "" if money is None else f"{dollars(money.value, signed=True)} {_ends(found, money, _signed)}"
    yield FigureRow("dollars a case", dollars(a.dollars_a_case), dollars(b.dollars_a_case), between)
    factor = found.multiplier
    if factor is not None:
        yield FigureRow("  cost multiplier", "1 ×", times(factor.value), _ends(found, factor, times))
    yield FigureRow("  P50 · P95", *(f"{dollars(s.dollars(50))} · {dollars(s.dollars(95))}" for s in (a, b)))
    if found.setup.limit is not None:
        yield FigureRow(f"  of {show_limit(found.setup.limit)} used", _used(a), _used(b), "mean, and the most")
    time = found.seconds
    between = "" if time is None else f"{seconds(time.value, signed=True)} {_ends(found, time, _seconds)}"
    yield FigureRow("seconds a case", seconds(a.seconds_a_case), seconds(b.seconds_a_case), between)
    yield FigureRow("  P50 · P95", *(f"{seconds(s.seconds(50))} · {seconds(s.seconds(95))}" for s in (a, b)))
    yield FigureRow("agents · calls a case", *(f"{s.agents} · {number(s.calls_a_case)}" for s in (a, b)))
    yield FigureRow("tokens per useful unit", number(a.tokens_per_useful_unit), number(b.tokens_per_useful_unit))
    yield FigureRow("quality per dollar", number(a.quality_per_dollar), number(b.quality_per_dollar))
    yield FigureRow("total", dollars(a.cost), dollars(b.cost))
    if found.setup.judge:
        yield FigureRow("liked by the judge", _liked(a), _liked(b), "an opinion")
        yield FigureRow("  the judge's cost", dollars(a.judge_cost), dollars(b.judge_cost), "in no figure above")


def failures(found: Comparison) -> list[FigureRow]:
    """How often each kind of failure came up, in the order of A's, then of B's."""
    kinds = list(dict.fromkeys([*found.a.failures, *found.b.failures]))
    return [FigureRow(kind, str(found.a.failures.get(kind, 0)), str(found.b.failures.get(kind, 0))) for kind in kinds]


def _successes(side: Side) -> str:
    known = len(side.cases) - side.unmeasured
    return f"{side.successes:,} of {known:,}" + ("" if side.share is None else f" ({percent(side.share.value)})")


def _success_between(found: Comparison) -> str:
    if found.success is None:
        return ""
    said = f"{points(found.success.value)} {USELESS}" if found.too_few else points_within(found.success)
    return f"{said}, McNemar {chance(found.p)}"


def _ends(found: Comparison, interval: Interval, show: Callable[[float], str]) -> str:
    return USELESS if len(found.a.cases) < least_cases() else within(interval, show)


def _used(side: Side) -> str:
    if side.used is None:
        return UNKNOWN
    stops = side.stopped("budget")
    return " · ".join([*map(percent, side.used), *([counted(stops, "stop")] if stops else [])])


def _liked(side: Side) -> str:
    liked, asked = side.opinions
    return f"{liked:,} of {asked:,}"


def _signed(amount: float) -> str:
    return dollars(amount, signed=True)


def _seconds(amount: float) -> str:
    return seconds(amount, signed=True)
