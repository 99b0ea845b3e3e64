"""A report for programs: money as decimal text, unknown as null, times in UTC."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from outlay.evals.workloads.period import Period
from outlay.evals.workloads.reading import Report
from outlay.evals.workloads.workload import Window, Workload


def as_document(report: Report) -> dict[str, Any]:
    return {
        "period": _period(report.period),
        "before": _period(report.period.before),
        "tasks": report.tasks,
        "spent": f"{report.spent:f}",
        "tasks_before": report.tasks_before,
        "spent_before": f"{report.spent_before:f}",
        "workloads": [_workload(one) for one in report.workloads],
        "alerts": [asdict(one) for one in report.alerts],
    }


def _workload(one: Workload) -> dict[str, Any]:
    return {
        "workload": one.key.name,
        "flow": one.key.flow,
        "lane": one.key.lane,
        "compare": one.key.compared,
        "now": _window(one.now),
        "before": _window(one.before) if one.before.tasks else None,
    }


def _window(window: Window) -> dict[str, Any]:
    success = window.success
    return {
        "tasks": window.tasks,
        "finished": window.over,
        "outcomes": dict(window.outcomes),
        "calls": window.calls,
        "spent": f"{window.spent:f}",
        "in_doubt": f"{window.in_doubt:f}",
        "unpriced": window.unpriced,
        "dollars": {"p50": window.p50, "p95": window.p95, "most": window.most},
        "seconds": {"p50": window.seconds(50), "p95": window.seconds(95)},
        "success": None if success is None else {"share": success.value, "low": success.low, "high": success.high},
        "judged": window.judged,
        "succeeded": window.succeeded if window.judged else None,
        "tokens_per_success": window.tokens_per_success,
        "course": [f"{amount:f}" for amount in window.course],
        "cache": [
            {"agent": one.agent, "model": one.model, "read": one.read, "expected": one.expected, "missed": one.missed}
            for one in window.cache.values()
        ],
        "cascades": {path: asdict(turns) for path, turns in window.cascades.items()},
    }


def _period(period: Period) -> dict[str, str]:
    return {"from": _moment(period.start), "to": _moment(period.end)}


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()
