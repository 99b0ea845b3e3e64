"""What is kept of one simulated run: folded while it happens, no event is made that nobody looks at."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from outlay.errors import ConfigError
from outlay.events.records import (
    BudgetAlert,
    CallFailed,
    CallFinished,
    Event,
    NodeFinished,
    NodeStarted,
    Overrun,
    Skipped,
)
from outlay.forecast.rightness import place_in_run
from outlay.runtime.recorder import Recorder

#: A run that takes more steps than this (nodes, effects), or goes round the event loop more often, has no end.
MOST_STEPS, MOST_TURNS = 20_000, 50_000
GIVE_A_CAP = "give the loop a cap; a number for a run without end would be made up"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One simulated run. `dollars` is what is known of it, `unpriced` the calls of which nothing is.

    `agents`: calls, dollars and seconds of work by agent. `critical`: agents and seconds along the critical path, in
    order. `answered`: it gave an output, be it a partial one; `right` is the chance that it is right, None where that
    is not declared. `overruns`: calls that cost more than was reserved for them. `asked`: by agent, how often it was
    run to its end, and how often that was no answer. Calls are fractions where retries are declared (`with_retries`).
    """

    dollars: float
    seconds: float
    calls: float
    reason: str
    clean: bool
    unpriced: int
    agents: tuple[tuple[str, float, float, float], ...]
    critical: tuple[tuple[str, float], ...]
    error: str = ""
    output_tokens: int = 0
    answered: bool = True
    right: float | None = None
    overruns: int = 0
    asked: tuple[tuple[str, int, int], ...] = ()

    def with_retries(self, times: Mapping[str, float]) -> Outcome:
        """Each of these agents' calls is made so many times: in the mean, so the run is a little longer and dearer and
        not another one. Time is added where the agent is on the critical path.
        """
        agents = tuple(
            (name, calls * times.get(name, 1.0), spent * times.get(name, 1.0), worked * times.get(name, 1.0))
            for name, calls, spent, worked in self.agents
        )
        critical = tuple((name, seconds * times.get(name, 1.0)) for name, seconds in self.critical)
        dearer = math.fsum(one[2] for one in agents) - math.fsum(one[2] for one in self.agents)
        longer = math.fsum(one[1] for one in critical) - math.fsum(one[1] for one in self.critical)
        return replace(
            self,
            dollars=self.dollars + dearer,
            seconds=self.seconds + longer,
            calls=math.fsum(one[1] for one in agents),
            agents=agents,
            critical=critical,
        )


@dataclass(slots=True)
class Span:
    agent: str
    start: float
    end: float


class Tally(Recorder):
    """A recorder that adds up. Events are made for budget alerts only, which the runtime hands on."""

    __slots__ = (
        "_clock",
        "_judged",
        "agents",
        "answered",
        "asked",
        "calls",
        "dollars",
        "open",
        "output_tokens",
        "overruns",
        "spans",
        "steps",
        "unpriced",
    )

    def __init__(self, judged: bool, *args: Any) -> None:
        super().__init__(*args)
        self._judged = judged
        #: Who answered last at each place, where somebody is going to judge that.
        self.answered: dict[str, tuple[str, str]] = {}
        self.overruns = self.steps = 0
        #: The nodes that have begun and not ended, in that order.
        self.open: dict[str, None] = {}
        self._clock = asyncio.get_running_loop()
        self.calls = self.unpriced = self.output_tokens = 0
        self.dollars = 0.0
        self.agents: dict[str, list[float]] = {}
        self.asked: dict[str, list[int]] = {}
        self.spans: list[Span] = []

    def emit(self, kind: type[Event], path: str, **fields: Any) -> None:
        if kind is NodeStarted:
            self.open[path] = None
            self._step()
        elif kind is NodeFinished:
            self.open.pop(path, None)
            self.ended(fields["name"], fields["outcome"])
        elif kind is CallFinished:
            self.answered_by(
                path, fields["agent"], fields["model"], fields["cost"], fields["output_tokens"], fields["seconds"]
            )
        elif kind is CallFailed:
            self.lost(fields["agent"], fields["seconds"])
        elif kind is Overrun:
            self.overruns += 1
        elif kind is BudgetAlert:
            super().emit(kind, path, **fields)
        elif kind is not Skipped:
            self._step()

    def _step(self) -> None:
        self.steps += 1
        if self.steps == MOST_STEPS:  # and not again, while the run comes down
            raise self.endless()

    def endless(self) -> ConfigError:
        """What is said of a run that makes no calls and does not end either; of the node that was begun last."""
        path = next(reversed(self.open), "")
        return ConfigError(
            f"one simulated run does not end: a loop in {path or 'the flow'} has no end, nor a cap",
            path=path,
            hint=GIVE_A_CAP,
        )

    def answered_by(
        self, path: str, agent: str, model: str, cost: Decimal | None, output_tokens: int | None, seconds: float
    ) -> None:
        """A call has ended with an answer, `seconds` after it was sent."""
        share = self._call(agent, seconds)
        self.spent_on += 1
        if cost is None:
            self.unpriced += 1
        else:
            dollars = float(cost)
            self.dollars += dollars
            share[1] += dollars
        self.output_tokens += output_tokens or 0
        if self._judged:
            self.answered[place_in_run(path)] = (agent, model)

    def ended(self, name: str, outcome: str) -> None:
        """A node is over. Nobody waited for one that was cancelled: it neither answered nor failed."""
        if name in self.agents and outcome != "cancelled":
            counts = self.asked.setdefault(name, [0, 0])
            counts[0] += 1
            counts[1] += outcome != "completed"

    def lost(self, agent: str, seconds: float) -> None:
        """An attempt has failed, `seconds` after it was sent."""
        self._call(agent, seconds)

    def _call(self, agent: str, seconds: float) -> list[float]:
        share = self.agents.get(agent)
        if share is None:
            share = self.agents[agent] = [0, 0.0, 0.0]
        self.calls += 1
        share[0] += 1
        share[2] += seconds
        end = self._clock.time()
        self.spans.append(Span(agent, end - seconds, end))
        return share


@dataclass(slots=True)
class Kept:
    """The tally of the run that was made last: `Host.recorder` makes them, and the simulation reads them."""

    judged: bool = False
    last: Tally | None = field(default=None)

    def recorder(self, *args: Any) -> Tally:
        self.last = Tally(self.judged, *args)
        return self.last


def critical_path(spans: Sequence[Span]) -> tuple[tuple[str, float], ...]:
    """From the end backwards: the call that ended last, then the one that ended last before that began, and so on.

    Neighbours of one agent are one step. Times are in seconds.
    """
    path: list[tuple[str, float]] = []
    at = float("inf")
    for span in sorted(spans, key=lambda span: -span.end):
        if span.end > at + 1e-9:
            continue
        at = span.start
        if path and path[-1][0] == span.agent:
            path[-1] = (span.agent, path[-1][1] + span.end - span.start)
        else:
            path.append((span.agent, span.end - span.start))
    return tuple(reversed(path))
