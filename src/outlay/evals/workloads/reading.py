"""A report from a store: one run at a time, so that memory grows by some bytes a run and not with what was said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from outlay.analysis.task import KINDS, Task, task
from outlay.evals.experiment import COLLECTION, RUN_PREFIX
from outlay.evals.measured import Measured
from outlay.evals.workloads.alerts import Alert, alerts
from outlay.evals.workloads.period import Period
from outlay.evals.workloads.workload import ZERO, Key, Window, Workload
from outlay.events import Event
from outlay.protocols.store import Store
from outlay.stores.scan import scan


@dataclass(frozen=True)
class Report:
    """Workloads by what they cost, the dearest first."""

    period: Period
    workloads: tuple[Workload, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(alert for one in self.workloads for alert in alerts(one))

    @property
    def spent(self) -> Decimal:
        """What is known of the cost of all, in US dollars."""
        return sum((one.now.spent for one in self.workloads), ZERO)

    @property
    def spent_before(self) -> Decimal:
        return sum((one.before.spent for one in self.workloads), ZERO)

    @property
    def tasks(self) -> int:
        return sum(one.now.tasks for one in self.workloads)

    @property
    def tasks_before(self) -> int:
        return sum(one.before.tasks for one in self.workloads)

    @property
    def unpriced(self) -> int:
        return sum(one.now.unpriced for one in self.workloads)


class ReportFold:
    """A report that grows by one task at a time. A task belongs to the period in which it began."""

    def __init__(self, period: Period) -> None:
        self.period = period
        self._found: dict[Key, Workload] = {}

    def add(self, one: Task, measured: Measured | None = None) -> None:
        """`measured` is what `outlay compare` made of the run's output, where it was one of its runs."""
        now = one.started in self.period
        if not now and one.started not in self.period.before:
            return
        key = Key(one.flow, one.lane, one.run.startswith(RUN_PREFIX))
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = Workload(key, Window(self.period), Window(self.period.before))
        (found.now if now else found.before).add(one, success_of(one, measured))

    def report(self) -> Report:
        found = sorted(self._found.values(), key=lambda one: (-one.now.spent, -one.now.tasks, one.key))
        return Report(self.period, tuple(found))


def success_of(one: Task, measured: Measured | None) -> bool | None:
    """What deterministic checkers say of a task, those of a comparison before those of the flow itself; None where none
    was asked. The opinion of a model is none."""
    if not one.is_over:
        return None
    if measured is not None and measured.checks:
        return measured.success
    return one.passed


async def report(store: Store, period: Period, flow: str | None = None) -> Report:
    """The runs that began in the period or in the one before, of one flow or of all."""
    fold = ReportFold(period)
    async for events in _runs(scan(store, KINDS, since=period.before.start)):
        found = task(events)
        if found is None or (flow is not None and found.flow != flow):
            continue
        fold.add(found, await _measured(store, found.run))
    return fold.report()


async def _runs(pages: AsyncIterator[Iterable[Event]]) -> AsyncIterator[list[Event]]:
    """The events of one run after the other: a run may go on over the end of a page."""
    run: list[Event] = []
    async for events in pages:
        for event in events:
            if run and event.run != run[0].run:
                yield run
                run = []
            run.append(event)
    if run:
        yield run


async def _measured(store: Store, run: str) -> Measured | None:
    if not run.startswith(RUN_PREFIX):
        return None
    document = await store.read(COLLECTION, run)
    try:
        return None if document is None else msgspec.json.decode(document.body, type=Measured)
    except msgspec.DecodeError:  # of another version
        return None
