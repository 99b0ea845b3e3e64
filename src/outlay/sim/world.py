"""The world outside the runs of a simulation: the provider's books, what tools did, and who is at work."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random

from outlay.events.records import Event, RunFinished, RunResumed, RunStarted
from outlay.runtime.ownership import LEASE_SECONDS
from outlay.sim.faulty import Books, Exchange
from outlay.sim.process import Process
from outlay.values.request import ModelRequest

#: Whose work the running task is part of.
acting: ContextVar[Process | None] = ContextVar("outlay_acting", default=None)
#: A lease may be this much older than the stall that ran it out: it is renewed once in a while only.
_SINCE_RENEWAL = LEASE_SECONDS / 2
#: Seconds after which what was announced is durable, where nothing stalls.
_DURABLE = 1.0


@dataclass(frozen=True, slots=True)
class Act:
    """A tool did its work: `look` is read-only, `order` idempotent under its key, `send` neither."""

    kind: str
    key: str
    by: str


@dataclass(slots=True)
class World:
    """What really happened. `violations` are the laws that were seen broken while it did."""

    seed: int
    books: Books = field(default_factory=Books)
    acts: list[Act] = field(default_factory=list[Act])
    violations: list[str] = field(default_factory=list[str])
    processes: list[Process] = field(default_factory=list[Process])
    at_work: set[str] = field(default_factory=set[str])
    _tried: Counter[str] = field(default_factory=Counter[str])
    #: In the order in which they announced themselves; `_latest` is the last of them that acted.
    _owners: list[str] = field(default_factory=list[str])
    _latest: int = 0
    _announced: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self.books.on_request = self._asked
        self.books.on_answer = self._answered

    async def act(self, kind: str, key: str) -> str:
        """A tool at work: it takes its time, and sometimes fails after it has done what it does."""
        self._lives()
        if kind == "send":
            self._owns(f"a tool ({kind})")
        self.acts.append(Act(kind, key, _process().name))
        self._tried[key] += 1
        draw = Random(f"{self.seed}:{self._tried[key]}:{key}")  # noqa: S311 - a schedule, not a secret
        await asyncio.sleep(draw.choice([0.0, 0.01, 0.2, 2.0, 40.0]))  # longer than its time-out, sometimes
        self._lives()
        if draw.random() < 0.1:
            raise LookupError("the tool failed")
        return f"{kind} done {draw.randrange(1000)}"

    def listen(self, process: Process, event: Event) -> None:
        """A process begins with the run, or goes on with it: is it free?"""
        if isinstance(event, RunFinished):
            self._announced.pop(process.name, None)  # it only tidies up: whoever reads this may go on
        if not isinstance(event, RunStarted | RunResumed) or not process.alive:
            return
        self._owners.append(process.name)
        self._announced[process.name] = process.now()
        for other in self.processes if isinstance(event, RunResumed) else ():
            if other is process or not other.alive or other.name not in self.at_work:
                continue
            since, now = other.stalled_since, other.now()
            held = self._announced.get(other.name, now) + _DURABLE < (now if since is None else since)
            if held and (since is None or now - since < LEASE_SECONDS - _SINCE_RENEWAL):
                self.violations.append(f"{process.name} took the run over from {other.name}, which was at work on it")

    def _asked(self, request: ModelRequest) -> None:
        self._lives()
        self._owns(f"a model call ({request.path})")

    def _answered(self, exchange: Exchange) -> None:
        self._lives()

    def _lives(self) -> None:
        if not _process().step():
            raise asyncio.CancelledError("the simulated process is dead")

    def _owns(self, what: str) -> None:
        number = self._owners.index(_process().name)
        if number < self._latest:
            later = self._owners[self._latest]
            self.violations.append(f"{what} by {_process().name} after {later} had taken the run over")
        self._latest = max(self._latest, number)


def _process() -> Process:
    process = acting.get()
    assert process is not None, "outside a simulated process"
    return process
