"""The list of runs in a store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from outlay.analysis.bill import BillFold
from outlay.events import Event, RunStarted

#: The stored kinds that `runs` needs; reading only these is several times faster than reading all.
KINDS = ("run_started", "run_finished", "call_started", "call_finished", "call_failed")


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


def runs(events: Iterable[Event]) -> list[RunSummary]:
    """The runs in these events, in the order in which they started."""
    folds: dict[str, BillFold] = {}
    starts: dict[str, tuple[float, str]] = {}
    for event in events:
        fold = folds.get(event.run)
        if fold is None:
            fold = folds[event.run] = BillFold()
        fold.add(event)
        if event.run not in starts:
            starts[event.run] = (event.time, "live")
        if isinstance(event, RunStarted):
            # A resumed run keeps its first start.
            starts[event.run] = (starts[event.run][0], event.lane)
    found = [_summary(run, fold, *starts[run]) for run, fold in folds.items()]
    return sorted(found, key=lambda run: (run.started, run.id))


def _summary(run: str, fold: BillFold, started: float, lane: str) -> RunSummary:
    bill = fold.bill()
    head = next((head for head in bill.runs if head.run == run), None)
    return RunSummary(
        run,
        head.flow if head else "",
        started,
        head.outcome if head else "",
        head.seconds if head else None,
        bill.total,
        bill.at_least,
        sum(line.calls for line in bill.lines),
        head.degraded if head else False,
        lane,
    )
