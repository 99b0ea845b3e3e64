"""Result: what a run gave, what it cost, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from outlay.analysis.bill import Bill
from outlay.analysis.escalation import Escalation, escalations
from outlay.errors import Stopped
from outlay.events.records import Event, Fact
from outlay.runtime.pending import Pending
from outlay.values.transcript import EMPTY, Transcript

Out = TypeVar("Out", covariant=True)


@dataclass(frozen=True, slots=True)
class Partial:
    """A finished part of a run that did not finish. `cost` is None if a price in it is unknown."""

    path: str
    output: Any
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SkippedPart:
    """A part that the result does without."""

    path: str
    reason: str
    error: BaseException | None = None


@dataclass(frozen=True, eq=False)
class Result(Generic[Out]):
    """The outcome of a run. `output` is None where there is none; `unwrap` raises why.

    `stop_reason` is completed, budget, deadline, turn_limit, watchdog, approval, cancelled or error. `degraded` says
    that something was skipped, failed or cut short on the way. `partial` are the outermost finished nodes.
    """

    output: Out | None
    stop_reason: str
    degraded: bool
    run_id: str
    flow: str = ""
    seconds: float = 0.0
    error: BaseException | None = None
    skipped: tuple[SkippedPart, ...] = ()
    pending: tuple[Pending, ...] = ()
    events: Sequence[Event] = field(default=(), repr=False)
    transcript: Transcript = field(default=EMPTY, repr=False)
    finished: tuple[tuple[str, Any], ...] = field(default=(), repr=False)

    def unwrap(self) -> Out:
        """The output. Raises the run's error, or Stopped with the best answer so far, where there is none."""
        if self.output is None and self.error is not None:
            raise self.error
        if self.output is None and self.stop_reason != "completed":
            raise Stopped(f"the run ended without an output: {self.stop_reason}")
        return cast(Out, self.output)

    @cached_property
    def bill(self) -> Bill:
        """What every agent cost, folded from the events."""
        return Bill.of(self.events)

    @cached_property
    def escalations(self) -> Sequence[Escalation]:
        """What each cascade did: escalations by tier, what a turn cost and took, whether it still pays."""
        return escalations(self.events)

    @cached_property
    def partial(self) -> tuple[Partial, ...]:
        lines = self.bill.lines
        found: list[Partial] = []
        for path, output in self.finished:
            costs = [line.cost for line in lines if line.path == path or line.path.startswith(path + "/")]
            found.append(Partial(path, output, None if None in costs else sum(cast(list[Decimal], costs), Decimal(0))))
        return tuple(found)

    @cached_property
    def facts(self) -> Mapping[str, Mapping[str, Any]]:
        """What patterns reported of themselves, by path."""
        found: dict[str, dict[str, Any]] = {}
        for event in self.events:
            if isinstance(event, Fact):
                found.setdefault(event.path, {}).update(event.data)
        return found
