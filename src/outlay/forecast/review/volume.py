"""How often a flow is run: counted in stored runs, or said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from outlay.events.records import Event, RunStarted

DAY = 86_400.0
#: A month is 30 days, and this is how far back runs are counted.
MONTH = 30 * DAY
#: A shorter record leaves out some days of the week, and stands for no month.
LEAST = 7 * DAY


@dataclass(frozen=True, slots=True)
class Volume:
    """`runs` a month, None where that is not known; `source` says from where, or why not."""

    runs: float | None
    source: str


@dataclass(slots=True)
class Counts:
    """Live runs by flow. Runs on stand-ins are tests, and no volume."""

    now: float
    found: dict[str, int] = field(default_factory=dict[str, int])
    first: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            if not isinstance(event, RunStarted) or event.lane == "offline" or event.time > self.now:
                continue
            self.first[event.flow] = min(event.time, self.first.get(event.flow, event.time))
            if event.time > self.now - MONTH:
                self.found[event.flow] = self.found.get(event.flow, 0) + 1

    def volumes(self) -> Mapping[str, Volume]:
        """By flow: what was counted in the last 30 days, or in as many as there are, from seven on."""
        return {flow: self._volume(flow) for flow in self.first}

    def _volume(self, flow: str) -> Volume:
        known = self.now - self.first[flow]
        runs = self.found.get(flow, 0)
        said = f"{runs:,} live run{'' if runs == 1 else 's'}"
        if known < LEAST:
            return Volume(None, f"{said} in {known / DAY:.1f} days stand for no month")
        days = min(known, MONTH)
        return Volume(runs * MONTH / days, f"{said} in the last {days / DAY:.0f} days")


def volume_of(name: str, given: float | None, counted: Mapping[str, Volume]) -> Volume:
    """What was said counts before what was counted."""
    if given is not None:
        return Volume(given, "as given")
    return counted.get(name) or Volume(None, "no live runs of it are recorded")
