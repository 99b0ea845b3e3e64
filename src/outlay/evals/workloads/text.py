"""A report in a terminal: aligned plain text without colour."""

from __future__ import annotations

from outlay.analysis.text import one_line
from outlay.evals.workloads import words
from outlay.evals.workloads.reading import Report
from outlay.evals.workloads.workload import Workload

_NAME, _LINE = 32, 160


def as_text(report: Report) -> str:
    period = report.period
    lines = [f"report · {period.length}, {period}", words.headline(report)]
    shown = [one for one in report.workloads if one.now.tasks]
    if shown:
        course = f"dollars {period.part}"
        header = ("workload", "tasks", "P50", "P95", "total", "success", "tokens a success", course)
        lines += ["", *_aligned([header, *(row for one in shown for row in _rows(one))])]
    noted = [(one.key.name, note) for one in shown for note in words.notes(one)]
    if noted:
        lines += ["", *(f"{one_line(name, _NAME)}: {one_line(note, _LINE)}" for name, note in noted)]
    gone = [one_line(one.key.name, _NAME) for one in report.workloads if not one.now.tasks]
    if gone:
        lines += ["", f"only in the {period.before.length} before: {', '.join(gone[:8])}{', …' if gone[8:] else ''}"]
    found = report.alerts
    lines += ["", *(f"! {one_line(one.workload, _NAME)}: {one_line(one.text, _LINE)}" for one in found)]
    if shown and not found:
        lines.append("✓ no alerts")
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _rows(one: Workload) -> list[tuple[str, ...]]:
    now, before = one.now, one.before
    rows = [
        (
            one_line(one.key.name, _NAME),
            f"{now.tasks:,}",
            words.cost(now, now.p50),
            words.cost(now, now.p95),
            words.total(now),
            words.success(now),
            words.tokens(now),
            words.spark(now.course),
        )
    ]
    if before.tasks:
        rows.append(
            (
                "  against before",
                words.change(now.tasks, before.tasks),
                words.change(now.p50, before.p50),
                words.change(now.p95, before.p95),
                words.change(now.spent, before.spent),
                words.success_change(one),
                words.change(now.tokens_per_success, before.tokens_per_success),
                "",
            )
        )
    return rows


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Names and courses to the left, figures to the right. Without any course, without their column."""
    if not any(row[-1] for row in rows[1:]):
        rows = [(*row[:-1], "") for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(widths) - 1
    return [
        "   ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
