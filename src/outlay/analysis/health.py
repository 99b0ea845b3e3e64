"""How agents, tools and providers fared: a fold over the events of many runs.

A call here is one attempt: what a provider saw, and what a percentile of its answers is made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from outlay.analysis.escalation import Escalation, EscalationFold, place
from outlay.analysis.percentiles import percentile
from outlay.events import (
    CallFailed,
    CallFinished,
    CallStarted,
    Checked,
    CircuitChanged,
    Decision,
    Event,
    RunFinished,
    RunStarted,
    ToolFinished,
    ToolStarted,
    WatchdogAlert,
)
from outlay.events.records import CACHED

#: The stored kinds that are folded; the others need not be read.
KINDS = (
    *("run_started", "run_finished", "call_started", "call_finished", "call_failed", "tool_started", "tool_finished"),
    *("checked", "circuit_changed", "decision", "watchdog_alert"),
)


@dataclass(slots=True)
class Vitals:
    """One agent, tool, model or provider.

    `calls` are attempts that ended, `errors` those that failed, by kind; `retries` began after another attempt at the
    same call. `corrections` are answers that a check sent back. `opened` is how often its circuit opened, `refused` how
    often it was not asked for that reason. `escalated` is the share of turns that came to the top of its cascade. None:
    there is nothing to say.
    """

    name: str
    calls: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])
    retries: int = 0
    corrections: int = 0
    opened: int = 0
    refused: int = 0
    escalated: float | None = None
    input_tokens: int = 0
    read_tokens: int = 0
    seconds: list[float] = field(default_factory=list[float], repr=False)

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.calls if self.calls else None

    @property
    def cache_hit(self) -> float | None:
        """Of all input tokens, the part that was read from the prompt cache."""
        return self.read_tokens / self.input_tokens if self.input_tokens else None

    def latency(self, percent: float) -> float | None:
        """A percentile of the seconds that its answers took; failures are not among them."""
        return percentile(self.seconds, percent)


@dataclass(frozen=True, slots=True)
class Health:
    """Runs by how they ended (`running` or broken off under an empty name), and who did how well in them."""

    runs: Counter[str]
    agents: tuple[Vitals, ...]
    tools: tuple[Vitals, ...]
    providers: tuple[Vitals, ...]
    models: tuple[Vitals, ...]
    #: What watchdogs found, by rule.
    watchdog: Counter[str]
    cascades: tuple[Escalation, ...] = ()


class HealthFold:
    """Health from events, one event at a time; the events of one run in their order."""

    def __init__(self) -> None:
        self._ends: dict[str, str] = {}
        self._agents: dict[str, Vitals] = {}
        self._tools: dict[str, Vitals] = {}
        self._models: dict[str, Vitals] = {}
        self._watchdog: Counter[str] = Counter()
        self._escalations = EscalationFold()
        self._agent_at: dict[str, str] = {}

    def add(self, event: Event) -> None:
        self._escalations.add(event)
        match event:
            case RunStarted():
                self._ends[event.run] = ""
            case RunFinished():
                self._ends[event.run] = event.stop_reason
            case CallStarted():
                self._agent_at[place(event.path)] = event.agent
                if event.attempt > 1:
                    for one in self._of(event):
                        one.retries += 1
            case CallFinished() if event.purpose != CACHED:
                for one in self._of(event):
                    one.calls += 1
                    one.seconds.append(event.seconds)
                    one.input_tokens += event.known_input_tokens
                    one.read_tokens += event.cache_read_tokens or 0
            case CallFailed():
                for one in self._of(event):
                    one.calls += 1
                    one.errors[event.error.partition(":")[0]] += 1
            case ToolStarted():
                _line(self._tools, event.tool)
            case ToolFinished():
                tool = _line(self._tools, event.tool)
                tool.calls += 1
                if event.error:
                    tool.errors[event.error.partition(":")[0]] += 1
                else:
                    tool.seconds.append(event.seconds)
            case Checked() if event.problem:
                _line(self._agents, event.agent).corrections += 1
            case CircuitChanged() if event.state == "open":
                known = self._models.get(event.target)
                (known or _line(self._tools, event.target)).opened += 1
            case Decision() if event.about == "tool_down":
                _line(self._tools, str(event.data.get("tool", ""))).refused += 1
            case WatchdogAlert():
                self._watchdog[event.rule] += 1
            case _:
                pass

    def health(self) -> Health:
        cascades = self._escalations.escalations()
        for one in cascades:
            name = self._agent_at.get(one.path, one.path)
            _line(self._agents, name).escalated = one.to_top
        providers: dict[str, Vitals] = {}
        for model in self._models.values():
            _add(_line(providers, model.name.partition(":")[0]), model)
        return Health(
            Counter(self._ends.values()),
            tuple(self._agents.values()),
            tuple(self._tools.values()),
            tuple(providers.values()),
            tuple(self._models.values()),
            self._watchdog,
            tuple(cascades),
        )

    def _of(self, event: CallStarted | CallFinished | CallFailed) -> tuple[Vitals, Vitals]:
        return _line(self._agents, event.agent), _line(self._models, event.model)


def health(events: Iterable[Event]) -> Health:
    """Who did how well in these events (see `HealthFold`)."""
    fold = HealthFold()
    for event in events:
        fold.add(event)
    return fold.health()


def _line(group: dict[str, Vitals], name: str) -> Vitals:
    found = group.get(name)
    if found is None:
        found = group[name] = Vitals(name)
    return found


def _add(total: Vitals, one: Vitals) -> None:
    total.calls += one.calls
    total.errors.update(one.errors)
    total.retries += one.retries
    total.opened += one.opened
    total.input_tokens += one.input_tokens
    total.read_tokens += one.read_tokens
    total.seconds += one.seconds
