"""What stored runs say of agents: how long answers are, how long they take, how often they fail or are refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from outlay.events.records import (
    CACHED,
    COMPACTION,
    CallFailed,
    CallFinished,
    CallStarted,
    Checked,
    Decision,
    Event,
    Fact,
    NodeStarted,
    RunStarted,
    ToolFinished,
)
from outlay.forecast.assumptions import Assumptions
from outlay.forecast.distributions import Empirical, Lognormal
from outlay.forecast.expect import Expect
from outlay.forecast.figures import Rate
from outlay.forecast.fits import Fit, Kind, Measured, place_of

#: From so many calls on they are drawn as they were, tokens and seconds of one call together, which keeps what a
#: curve would smooth away (two kinds of answers, long ones taking longer). Of fewer, the lognormal that fits best.
ENOUGH = 30
ENOUGH_FAILURES = 10


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was found in the runs of a flow: `agents` by name, and how often each label of a router came up. `lane` of
    the runs: live, offline or batch.
    """

    runs: int
    agents: Mapping[str, Fit]
    routes: Mapping[str, Mapping[str, float]]
    lane: str = "live"

    def under(self, declared: Assumptions) -> Assumptions:
        """These fits, where you have not declared something else."""
        return replace(declared, fits=self.agents, fitted_routes=self.routes)


@dataclass(slots=True)
class _Seen:
    """What was seen of one agent, or of one agent with one model."""

    calls: defaultdict[tuple[str, Kind], list[Measured]] = field(default_factory=lambda: defaultdict(list))
    attempts: int = 0
    visits: int = 0
    checked: int = 0
    refused: int = 0
    bounds: int = 0
    read: int = 0
    cached: int = 0
    written: int = 0
    lost: list[float] = field(default_factory=list[float])
    tools: list[float] = field(default_factory=list[float])
    models: set[str] = field(default_factory=set[str])

    def answered(self, event: CallFinished, bound: int) -> None:
        self.attempts += 1
        self.models.add(event.model)
        if event.output_tokens is None:
            return
        kind: Kind = "tool" if event.tools else "answer"
        cached, written = event.cache_read_tokens or 0, event.cache_write_tokens or 0
        read = (event.input_tokens or 0) + cached + written
        call = Measured(event.output_tokens, event.seconds, read, bound, cached, written)
        for place in ("", place_of(event.path)):
            self.calls[place, kind].append(call)
        self.read += read
        self.cached += cached
        self.written += written
        self.bounds += bound

    def failed(self, event: CallFailed) -> None:
        self.attempts += 1
        self.models.add(event.model)
        self.lost.append(event.seconds)

    def fit(self, whole: Fit | None = None) -> Fit:
        """`whole`: the agent's, for what is not seen of one model apart."""
        tool, answer = self.calls["", "tool"], self.calls["", "answer"]
        calls = {
            place: tuple(sorted(found, key=lambda call: call.estimated))
            for place, found in self.calls.items()
            if len(answer) >= ENOUGH and (len(found) >= ENOUGH or not place[0])
        }
        turns = 1 + len(tool) / self.visits if self.visits else None
        refused = min(self.refused / self.checked, 1.0) if self.checked else None
        if whole is not None:
            turns, refused = whole.expect.turns, whole.expect.refused if refused is None else refused
        expect = Expect(
            output_tokens=Lognormal.fitted([call.output_tokens for call in answer]) if answer else None,
            seconds=Lognormal.fitted([call.seconds for call in (*tool, *answer)]) if tool or answer else None,
            failure=len(self.lost) / self.attempts if self.attempts else None,
            turns=turns,
            refused=refused,
            tool_seconds=_seconds(self.tools),
        )
        done = len(tool) + len(answer)
        read = self.read or 1
        return Fit(
            expect=expect,
            calls=calls,
            events=done,
            input_factor=self.read / self.bounds if self.bounds else None,
            of_bound=True,
            input_tokens=self.read / done if done else None,
            cache_read=self.cached / read,
            cache_write=self.written / read,
            failed=tuple(self.lost) if len(self.lost) >= ENOUGH_FAILURES else (),
            models=frozenset(self.models),
        )


def _seconds(tools: Sequence[float]) -> Empirical | Lognormal | None:
    if len(tools) >= ENOUGH:
        return Empirical(tuple(tools))
    return Lognormal.fitted(tools) if tools else None


def fit_runs(events: Iterable[Event], flow: str | None = None) -> Fitted:
    """Fit the agents of a flow (None: of all) from events in the order of their runs; by model, where an agent has
    called several (`agent@model`), and how often a cascade's gate let a model's answers through.

    Live and offline runs are never mixed: where there are live ones, those on stand-ins say nothing; else only what a
    stand-in can (`Fit.of_a_stand_in`). Answers that were stored and given again are no calls.
    """
    lanes: dict[str, str] = {}
    seen: dict[str, defaultdict[str, _Seen]] = defaultdict(lambda: defaultdict(_Seen))
    labels: dict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    bounds: dict[tuple[str, str, int], int] = {}
    for event in events:
        if isinstance(event, RunStarted) and flow in (None, event.flow):
            lanes[event.run] = event.lane
        lane = lanes.get(event.run)
        if lane is None:
            continue
        of = seen[lane]
        if isinstance(event, CallStarted):
            bounds[event.run, event.key, event.attempt] = event.input_bound
        elif isinstance(event, CallFinished) and event.purpose not in (CACHED, COMPACTION):
            bound = bounds.pop((event.run, event.key, event.attempt), 0)
            for name in (event.agent, f"{event.agent}@{event.model}"):
                of[name].answered(event, bound)
        elif isinstance(event, CallFailed):
            for name in (event.agent, f"{event.agent}@{event.model}"):
                of[name].failed(event)
        elif isinstance(event, ToolFinished) and event.agent:
            of[event.agent].tools.append(event.seconds)
        elif isinstance(event, NodeStarted) and event.type == "agent":
            of[event.name].visits += 1
        elif isinstance(event, Checked):
            of[event.agent].checked += 1
            of[event.agent].refused += bool(event.problem)
        elif isinstance(event, Decision) and event.about == "cascade":
            tier = of[f"{_name(event.path)}@{event.data['who']}"]
            tier.checked += 1
            tier.refused += not event.data["passed"]
        elif isinstance(event, Fact) and "label" in event.data:
            labels[lane][_name(event.path)][str(event.data["label"])] += 1
    if not seen:
        return Fitted(0, {}, {})
    lane = max(seen, key=lambda one: (one != "offline", sum(agent.attempts for agent in seen[one].values())))
    routes = {name: _shares(found) for name, found in labels[lane].items()}
    fits = _fits(seen[lane])
    if lane == "offline":
        fits = {name: fit.of_a_stand_in() for name, fit in fits.items()}
    return Fitted(sum(one == lane for one in lanes.values()), fits, routes, lane)


def _fits(seen: Mapping[str, _Seen]) -> dict[str, Fit]:
    whole = {name: one.fit() for name, one in seen.items() if one.attempts and "@" not in name}
    apart = {
        name: one.fit(whole[agent])
        for name, one in seen.items()
        if (agent := name.partition("@")[0]) != name and agent in whole and len(whole[agent].models) > 1
    }
    return whole | apart


def _shares(found: Counter[str]) -> dict[str, float]:
    total = found.total()
    return {label: count / total for label, count in sorted(found.items()) if label}


def _name(path: str) -> str:
    """The name of the node at a path."""
    return path.rpartition("/")[2].partition("[")[0].partition("#")[0]


@dataclass(frozen=True, slots=True)
class Track:
    """How a forecast did against runs that came after it: the share under its P95, and between its P5 and P95."""

    runs: int
    under_p95: Rate
    within: Rate


def held_against(low: float, high: float, actual: Sequence[float]) -> Track:
    """P5 and P95 of a forecast against what was measured."""
    n = len(actual)
    return Track(n, Rate.of(sum(x <= high for x in actual), n), Rate.of(sum(low <= x <= high for x in actual), n))
