"""The list of runs in a store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from outlay.analysis.bill import BillFold
from outlay.events import Event, RunResumed, RunStarted

#: The stored kinds that `runs` needs; reading only these is several times faster than reading all.
KINDS = ("run_started", "run_resumed", "run_finished", "call_started", "call_finished", "call_failed")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run. `started` in seconds since the epoch; `outcome` as `Result.stop_reason`, empty while it runs or if it
    was cut off; `seconds` of wall time, None until it ends; `cost` in US dollars, None if a part of it is unknown,
    `at_least` the part that is known; `calls` are logical model calls.
    """

    id: str
    flow: str
    started: float
    outcome: str
    seconds: float | None
    cost: Decimal | None
    at_least: Decimal
    calls: int
    degraded: bool = False
    lane: str = "live"
    #: The process that worked on it last, and the flow's address as it was typed.
    owner: str = ""
    source: str = ""


def runs(events: Iterable[Event]) -> list[RunSummary]:
    """The runs in these events, in the order in which they started."""
    folds: dict[str, BillFold] = {}
    begins: dict[str, _Begin] = {}
    for event in events:
        fold = folds.get(event.run)
        if fold is None:
            fold = folds[event.run] = BillFold()
            begins[event.run] = _Begin(event.time)
        fold.add(event)
        if isinstance(event, RunStarted | RunResumed):
            # A resumed run keeps its first start.
            first = begins[event.run]
            begins[event.run] = _Begin(first.time, event.lane, event.owner, event.source or first.source)
    found = [_summary(run, fold, begins[run]) for run, fold in folds.items()]
    return sorted(found, key=lambda run: (run.started, run.id))


@dataclass(frozen=True, slots=True)
class _Begin:
    time: float
    lane: str = "live"
    owner: str = ""
    source: str = ""


def _summary(run: str, fold: BillFold, begin: _Begin) -> RunSummary:
    bill = fold.bill()
    head = next((head for head in bill.runs if head.run == run), None)
    return RunSummary(
        run,
        head.flow if head else "",
        begin.time,
        head.outcome if head else "",
        head.seconds if head else None,
        bill.total,
        bill.at_least,
        bill.calls,
        head.degraded if head else False,
        begin.lane,
        begin.owner,
        begin.source,
    )
