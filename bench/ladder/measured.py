"""What a run of a workload cost, took and achieved: a fold over its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from outlay.analysis.bill import Bill, BillFold
from outlay.analysis.percentiles import percentile
from outlay.events import CallFinished, Event, RunFinished


@dataclass(slots=True)
class Meter:
    """`of_runs`: a unit is a run, else a call. `right` counts units that a deterministic check found right."""

    of_runs: bool
    fold: BillFold = field(default_factory=BillFold)
    seconds: list[float] = field(default_factory=list[float])
    right: int = 0
    checked: int = 0

    def __call__(self, event: Event) -> None:
        self.fold.add(event)
        if isinstance(event, RunFinished if self.of_runs else CallFinished):
            self.seconds.append(event.seconds)

    def check(self, is_right: bool) -> None:
        self.checked += 1
        self.right += is_right

    def measured(self, workload: str, rung: str) -> Measured:
        bill = self.fold.bill()
        return Measured(
            workload,
            rung,
            bill.total,
            percentile(self.seconds, 50) or 0.0,
            percentile(self.seconds, 95) or 0.0,
            self.right,
            self.checked,
            notes_of(bill),
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table: US dollars at list prices, seconds of a unit, units that are right of those checked."""

    workload: str
    rung: str
    dollars: Decimal | None
    p50: float
    p95: float
    right: int
    checked: int
    notes: str

    @property
    def success(self) -> float:
        return self.right / self.checked if self.checked else 0.0


def notes_of(bill: Bill) -> str:
    """What the bill says of the rungs at work."""
    calls = sum(line.calls for line in bill.lines)
    said = [f"{calls:,} calls"]
    whole = sum(
        (line.input_tokens or 0) + (line.cache_read_tokens or 0) + (line.cache_write_tokens or 0) for line in bill.lines
    )
    if read := sum(line.cache_read_tokens or 0 for line in bill.lines):
        said.append(f"{read / whole:.0%} of input read from cache".replace("%", " %"))
    if bill.savings.compactions:
        said.append(f"shortened {bill.savings.compactions} times")
    if bill.savings.answers:
        similar = f", {bill.savings.similar_answers:,} to similar questions" if bill.savings.similar_answers else ""
        said.append(f"{bill.savings.answers:,} stored answers{similar}")
    tiers = {name: line.calls for name, line in bill.by("purpose").items() if name.startswith("tier:")}
    if tiers:
        said.append("calls by tier " + " / ".join(f"{tiers[name]:,}" for name in sorted(tiers)))
    rungs = {
        "cache": bill.saved_by_cache(),
        "batch": bill.saved_by_batch,
        "stored answers": bill.savings.by_answers,
        "cascade": bill.savings.by_cascade,
        "compaction": bill.savings.by_compaction,
    }
    told = [f"{name} {'-' if saved < 0 else ''}${abs(saved):,.2f}" for name, saved in rungs.items() if saved]
    return " · ".join([*said, *([f"the bill says saved: {', '.join(told)}"] if told else [])])
