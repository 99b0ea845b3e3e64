"""The lines below a trace: how many calls, how fast, and who was slowest and dearest."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from outlay.analysis.billlines import ZERO
from outlay.analysis.percentiles import mean, percentile
from outlay.analysis.text import one_line
from outlay.analysis.trace import CallRow
from outlay.values.counted import counted
from outlay.values.percent import percent

#: Below this, in US dollars, six decimals are shown instead of four, as in the tree above it.
_SMALL = Decimal("0.01")


def summary(rows: Sequence[CallRow]) -> list[str]:
    """Attempts are counted, and each by its own time; the slowest agent is the one of the largest mean."""
    failures = sum(row.error_type is not None for row in rows)
    counts = f"{counted(len(rows), 'call')} · {failures:,} failed"
    seconds = [row.latency_ms / 1_000 for row in rows]
    average, late = mean(seconds), percentile(seconds, 95)
    if average is None or late is None:
        return [counts]
    times: dict[str, list[float]] = {}
    costs: dict[str, Decimal] = {}
    for row in rows:
        times.setdefault(row.agent, []).append(row.latency_ms / 1_000)
        costs[row.agent] = costs.get(row.agent, ZERO) + (row.cost or ZERO)
    # Ties go to the first name, so that the same run always reads the same.
    slowest = min(times, key=lambda agent: (-(mean(times[agent]) or 0.0), agent))
    dearest = min(costs, key=lambda agent: (-costs[agent], agent))
    lines = [
        f"{counts} · mean {average:,.1f} s · P95 {late:,.1f} s",
        f"slowest agent {one_line(slowest, 40)} ({mean(times[slowest]):,.1f} s mean)",
    ]
    if total := sum(costs.values(), ZERO):
        known = "" if all(row.cost is not None for row in rows) else ", of what is known"
        share = f"{percent(costs[dearest] / total)}"
        places = 4 if costs[dearest] >= _SMALL else 6
        amount = f"${costs[dearest]:,.{places}f}"
        lines[1] += f" · dearest agent {one_line(dearest, 40)} ({amount}, {share} of the cost{known})"
    return lines
