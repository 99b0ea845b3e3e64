"""How often a flow is run: counted in stored runs, or said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from outlay.events.records import Event, RunStarted
from outlay.values.counted import counted

DAY = 86_400.0
#: A month is 30 days, and this is how far back runs are counted.
MONTH = 30 * DAY
#: A shorter record leaves out some days of the week, and stands for no month.
LEAST = 7 * DAY


@dataclass(frozen=True, slots=True)
class Volume:
    """`runs` a month, None where that is not known; `source` says from where, or why not. `least`: there are as many
    already, in a record that is too short to say how many a month makes."""

    runs: float | None
    source: str
    least: bool = False


@dataclass(slots=True)
class Counts:
    """Live runs by flow. Runs on stand-ins are tests, and no volume."""

    now: float
    found: dict[str, int] = field(default_factory=dict[str, int])
    first: dict[str, float] = field(default_factory=dict[str, float])
    stand_ins: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            if not isinstance(event, RunStarted) or event.time > self.now:
                continue
            if event.lane == "offline":
                self.stand_ins[event.flow] = self.stand_ins.get(event.flow, 0) + 1
                continue
            self.first[event.flow] = min(event.time, self.first.get(event.flow, event.time))
            if event.time > self.now - MONTH:
                self.found[event.flow] = self.found.get(event.flow, 0) + 1

    def volumes(self) -> Mapping[str, Volume]:
        """By flow: what was counted in the last 30 days, or in as many as there are, from seven on."""
        tests = {
            flow: Volume(None, f"no live run of it is recorded, {n:,} on stand-ins")
            for flow, n in self.stand_ins.items()
        }
        return tests | {flow: self._volume(flow) for flow in self.first}

    def _volume(self, flow: str) -> Volume:
        known = self.now - self.first[flow]
        runs = self.found.get(flow, 0)
        said = counted(runs, "live run")
        if known < LEAST:
            return Volume(float(runs), f"{said} in {known / DAY:.1f} days, too few days to make a month of", least=True)
        days = min(known, MONTH)
        return Volume(runs * MONTH / days, f"{said} in the last {days / DAY:.0f} days")


def volume_of(name: str, given: float | None, counted: Mapping[str, Volume]) -> Volume:
    """What was said counts before what was counted."""
    if given is not None:
        return Volume(given, "as given")
    return counted.get(name) or Volume(None, "no live run of it is recorded")
