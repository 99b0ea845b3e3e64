"""How the figures of a report read, in the terminal and on its page alike."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from outlay.evals.wording import dollars, number, percent
from outlay.evals.workloads.reading import Report
from outlay.evals.workloads.workload import Window, Workload
from outlay.values.counted import counted

_BARS = "▁▂▃▄▅▆▇█"
NOTHING = "–"


def cost(window: Window, amount: float | None) -> str:
    """A percentile: a dash where there are too few tasks for one, a lower bound where a price is unknown."""
    if amount is None:
        return NOTHING
    return f"{'≥ ' if window.unpriced else ''}{dollars(amount)}"


def total(window: Window) -> str:
    return money(window.spent, window.unpriced)


def money(spent: Decimal, unpriced: int) -> str:
    """A sum; a lower bound where a part of it is unknown."""
    if unpriced and not spent:
        return "unpriced"
    return f"{'≥ ' if unpriced else ''}{dollars(spent)}"


def success(window: Window) -> str:
    """`97 % of 976`, and `not known` where no checker said anything."""
    found = window.success
    return "not known" if found is None else f"{percent(found.value)} of {window.judged:,}"


def tokens(window: Window) -> str:
    found = window.tokens_per_success
    return NOTHING if found is None else number(found)


def change(now: float | Decimal | None, before: float | Decimal | None) -> str:
    """`+12 %`; nothing where there is no such share."""
    if now is None or not before:
        return ""
    share = float(now) / float(before) - 1
    size = abs(100 * share)
    if size < 0.5:
        return "±0 %"
    return f"{'+' if share > 0 else '−'}{size:,.0f} %"


def success_change(found: Workload) -> str:
    """In percentage points."""
    now, before = found.now.success, found.before.success
    if now is None or before is None:
        return ""
    points = 100 * (now.value - before.value)
    return "±0 points" if abs(points) < 0.05 else f"{'+' if points > 0 else '−'}{abs(points):.1f} points"


def spark(course: Sequence[Decimal]) -> str:
    """Dollars over time on one line; a dot where nothing was spent. Empty where it would be one column."""
    most = max(course, default=Decimal(0))
    if sum(one > 0 for one in course) < 2:
        return ""
    top = len(_BARS) - 1
    return "".join("·" if not one else _BARS[round(float(one / most) * top)] for one in course)


def outcomes(window: Window) -> str:
    """What did not end with an answer, most frequent first; empty where everything did."""
    rest = [(name, n) for name, n in window.outcomes.most_common() if name != "completed"]
    return " · ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in rest)


def headline(report: Report) -> str:
    """How many tasks, and what they cost."""
    parts = [f"{counted(report.tasks, 'task')}, {money(report.spent, report.unpriced)}"]
    if report.tasks_before:
        turn = change(report.spent, report.spent_before)
        said = f"{report.period.before.length} before: {counted(report.tasks_before, 'task')}"
        parts.append(f"the {said}, {dollars(report.spent_before)}{f' ({turn})' if turn else ''}")
    return " · ".join(parts)


def notes(found: Workload) -> list[str]:
    """What the figures of a workload leave open."""
    now = found.now
    lines: list[str] = []
    if said := outcomes(now):
        lines.append(said)
    if now.in_doubt:
        lines.append(f"{dollars(now.in_doubt)} in doubt, in no figure")
    if now.unpriced:
        lines.append(f"{counted(now.unpriced, 'task')} with a part whose price is not known")
    if now.over and now.p95 is None:
        most = "" if now.most is None else f"; the dearest was {cost(now, now.most)}"
        lines.append(f"of {counted(now.over, 'finished task')} there is no P95{most}")
    return lines
