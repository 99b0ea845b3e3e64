"""What the batches of both providers have in common: time passing over their entries, and running an entry.

Entry i of n is finished when (i + 1) / n of the batch's time has passed. A cancelled batch keeps what was
finished until then; after 24 hours the rest expires. Entries are run, in order, when somebody looks
at the batch; prompt caches see them at that moment.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from outlay.emulator.engine import Engine
from outlay.emulator.faults import Fault
from outlay.emulator.json import Json, table
from outlay.emulator.problems import ErrorAnswer, Problem, invalid
from outlay.emulator.wire import Wire

WINDOW = 86_400.0
"""Seconds that a batch may take."""

Fate: TypeAlias = Literal["pending", "finished", "cancelled", "expired"]


@dataclass(slots=True)
class Entry:
    """One request of a batch; `result` or `error` once it has run."""

    custom_id: str
    body: Json
    result: Json | None = None
    error: ErrorAnswer | None = None


@dataclass(slots=True)
class Schedule:
    """The time line of one batch, in seconds since 1970."""

    created: float
    duration: float
    entries: int
    cancelled: float | None = None

    def finished(self, index: int) -> float:
        """When an entry is finished, if nothing comes between."""
        return self.created + self.duration * (index + 1) / max(self.entries, 1)

    def fate(self, index: int, now: float) -> Fate:
        """What has become of an entry by now."""
        finished = self.finished(index)
        if finished <= min(now, self.created + WINDOW) and (self.cancelled is None or finished <= self.cancelled):
            return "finished"
        if self.cancelled is not None:
            return "cancelled"
        return "expired" if now >= self.created + WINDOW else "pending"

    def ended(self, now: float) -> float | None:
        """When the whole batch ended, or `None` if it has not."""
        end = min(self.finished(self.entries - 1), self.created + WINDOW)
        if self.cancelled is not None:
            end = min(end, self.cancelled)
        return end if now >= end else None


@dataclass(slots=True)
class Batch:
    """A batch of either provider."""

    id: str
    entries: list[Entry]
    schedule: Schedule
    key: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def fates(self, now: float) -> list[Fate]:
        """What has become of every entry."""
        return [self.schedule.fate(index, now) for index in range(len(self.entries))]


async def run_finished(batch: Batch, wire: Wire, engine: Engine, now: float) -> None:
    """Run the entries that are finished by now and have not run yet, in order."""
    async with batch.lock:
        for index, entry in enumerate(batch.entries):
            due = batch.schedule.fate(index, now) == "finished"
            if due and entry.result is None and entry.error is None:
                await _run(entry, batch.key, wire, engine)


async def _run(entry: Entry, key: str, wire: Wire, engine: Engine) -> None:
    try:
        if entry.body.get("stream"):
            raise invalid("stream: streaming is not supported in batches")
        call = wire.read(entry.body)
        engine.check(call)
        said = await engine.ask(call)
        if isinstance(said, Fault):
            entry.error = said.error() if said.kind == "http" else ErrorAnswer(500)
            return
        made = engine.make(call, said, engine.plan(call, key))
        engine.begin(made)
        engine.bill(made, None)
        entry.result = table(wire.plain(call, made.answer, "batch"))
    except Problem as problem:
        entry.error = problem.answer


def page(items: list[Json], *, after: str | None, limit: int) -> tuple[list[Json], bool]:
    """One page of a list whose items have ids, and whether more follow."""
    start = next((index + 1 for index, item in enumerate(items) if item["id"] == after), 0)
    return items[start : start + limit], len(items) > start + limit
