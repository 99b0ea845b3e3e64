"""What a running command says of its batches: a line when one is sent or found again, and one when it has ended."""

from __future__ import annotations

from outlay.analysis.batches import problem_of
from outlay.analysis.text import one_line
from outlay.events import BatchEnded, Decision, Event
from outlay.values.counted import counted


class BatchLines:
    """One command's; each batch is told of once at each turn of its life."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def line(self, event: Event) -> str:
        """The line for this event, empty where it says nothing new."""
        if isinstance(event, BatchEnded):
            problem = problem_of(event)
            took = f"{event.seconds / 60:,.0f} min" if event.seconds >= 120 else f"{event.seconds:,.0f} s"
            return problem or f"batch {one_line(event.batch, 60)}: all {event.requests:,} answered after {took}"
        if not isinstance(event, Decision) or event.about != "batch":
            return ""
        batch = str(event.data.get("batch") or "")
        if batch in self._told:
            return ""
        self._told.add(batch)
        calls = counted(int(event.data.get("requests", 0)), "call")
        if not batch:
            return f"a batch of {calls} was being sent when an earlier map broke off: looking for it at the provider"
        if event.data.get("found"):
            return f"batch {one_line(batch, 60)} of {calls} was sent by an earlier map: waiting for it"
        return f"batch {one_line(batch, 60)} sent: {calls}, answered within a day · stop or wait: nothing is sent twice"
