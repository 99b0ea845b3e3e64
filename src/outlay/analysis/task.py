"""One run as a task of a workload: what it cost, whether its deterministic checks passed, what its cache and cascades
did. A fold over the events of one run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from outlay.analysis.bill import BillFold
from outlay.analysis.cachehealth import CacheHealth
from outlay.analysis.escalation import Escalation, EscalationFold
from outlay.events import CallFinished, CallStarted, Checked, Decision, Event, RunStarted

#: The stored kinds that this needs.
KINDS = (
    "run_started",
    "run_resumed",
    "run_finished",
    "call_started",
    "call_finished",
    "call_failed",
    "checked",
    "decision",
    "cache_alert",
)
_REPEAT = re.compile(r"#\d+")


@dataclass(frozen=True, slots=True)
class Task:
    """One run. `started` in seconds since the epoch; `outcome` as `Result.stop_reason`, empty where it is not over;
    `seconds` of wall time, None until it is. `cost` in US dollars, None if a part is unknown, `at_least` the part that
    is known, `in_doubt` held for calls of unknown fate. `tokens` in all four buckets, None if unknown.

    `passed`: each deterministic check that it met passed at the last; None where it met none. `failed`: it gave no
    output, so there was nothing to check.
    """

    run: str
    flow: str
    lane: str
    started: float
    outcome: str
    seconds: float | None
    cost: Decimal | None
    at_least: Decimal
    in_doubt: Decimal
    tokens: int | None
    calls: int
    passed: bool | None
    cache: tuple[CacheHealth, ...] = ()
    escalations: tuple[Escalation, ...] = ()

    @property
    def is_over(self) -> bool:
        """It came to an end of its own; what waits for a human, was cancelled or broke off may go on."""
        return self.outcome not in ("", "approval", "cancelled")

    @property
    def failed(self) -> bool:
        return self.outcome == "error"


def task(events: Sequence[Event]) -> Task | None:
    """The task in the events of one run, in their order; None where its start is not among them."""
    start = next((event for event in events if isinstance(event, RunStarted)), None)
    if start is None:
        return None
    fold = BillFold()
    for event in events:
        fold.add(event)
    bill = fold.bill()
    head = bill.runs[0]
    return Task(
        start.run,
        start.flow,
        start.lane,
        start.time,
        head.outcome,
        head.seconds,
        bill.total,
        bill.at_least,
        bill.in_doubt,
        bill.tokens,
        bill.calls,
        checks_passed(events),
        bill.cache,
        _escalations(events),
    )


def checks_passed(events: Sequence[Event]) -> bool | None:
    """Whether the last deterministic check at each place passed; None where there was none.

    A check that a model made is an opinion: its name stands right below the place, and calls were made there. What
    only failed to decode is no check: it was asked for again, or the run says that it failed.
    """
    checks = [event for event in events if isinstance(event, Checked) and event.checks != ("type",)]
    if not checks:
        return None
    called = {event.path for event in events if isinstance(event, CallStarted | CallFinished)}
    last: dict[str, bool] = {}
    for check in checks:
        if all(_is_opinion(check.path, name, called) for name in check.checks):
            continue
        last[_REPEAT.sub("", check.path)] = not check.problem
    return all(last.values()) if last else None


def _is_opinion(path: str, name: str, called: set[str]) -> bool:
    below = f"{path}/{name}"
    return any(call.startswith(below) and call[len(below) : len(below) + 1] in ("", "/", "[", "#") for call in called)


def _escalations(events: Sequence[Event]) -> tuple[Escalation, ...]:
    if not any(isinstance(event, Decision) and event.about == "cascade" for event in events):
        return ()
    fold = EscalationFold()
    for event in events:
        fold.add(event)
    return tuple(fold.escalations())
