"""What a store knows of a flow: its runs, what its agents wrote, and how it did beside a single agent. Pure folds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from outlay.analysis.percentiles import percentile
from outlay.evals.comparison import Comparison, Setup
from outlay.evals.experiment import RUN_PREFIX
from outlay.evals.measured import Measured
from outlay.evals.side import Side
from outlay.events.records import CallFinished, Event, NodeStarted, RunFinished, RunStarted

#: The kinds of events that are read.
KINDS = ("run_started", "run_finished", "node_started", "call_finished")
#: The runs that say how a flow is run today: what has been mended is not held against it for ever.
RECENT = 100


@dataclass(frozen=True, slots=True)
class Written:
    """What the calls of one agent came to. `output_p99`: tokens that 99 of 100 did not pass. `turns` a visit."""

    events: int
    output_p99: float | None
    turns: float
    cache_read: int
    cache_write: int
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of the runs of a flow: how many; of the `recent` ones how many were given a limit to money (dollars, tokens or
    calls) and to time; how those that are over ended; and the newest comparison with a single agent."""

    runs: int = 0
    recent: int = 0
    limited: int = 0
    timed: int = 0
    offline: bool = False
    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    fits: Mapping[str, Written] = field(default_factory=dict[str, Written])
    compared: Comparison | None = None


def evidence_in(events: Sequence[Event], measured: Mapping[str, Measured], flow: str | None) -> Evidence:
    """`measured` are the kept cases of comparisons, by run id; without a `flow` all runs are meant.
    Live runs count, offline ones where there are no others.
    """
    started = [event for event in events if isinstance(event, RunStarted) and flow in (None, event.flow)]
    live = [event for event in started if event.lane != "offline"]
    runs = {event.run: event for event in live or started}
    offline = bool(started) and not live
    recent = sorted(runs.values(), key=lambda run: run.time)[-RECENT:]
    return Evidence(
        runs=len(runs),
        recent=len(recent),
        limited=sum(_limits(run, ("usd", "tokens", "calls")) for run in recent),
        timed=sum(_limits(run, ("seconds",)) for run in recent),
        offline=offline,
        failures=_failures(event for event in events if event.run in runs),
        fits=_written((event for event in events if event.run in runs), offline),
        compared=newest_comparison(events, measured, flow),
    )


def _limits(run: RunStarted, resources: Sequence[str]) -> bool:
    return any(limit.get(resource) for limit in run.limits for resource in resources)


def _failures(events: Iterable[Event]) -> dict[str, int]:
    """How runs ended that did not complete, by kind, most frequent first."""
    kinds: Counter[str] = Counter()
    for event in events:
        if isinstance(event, RunFinished) and event.stop_reason not in ("completed", "cancelled", "approval"):
            error = event.error.partition(":")[0].strip()
            kinds[f"error: {error}" if event.stop_reason == "error" else f"stopped: {event.stop_reason}"] += 1
    return dict(kinds.most_common())


def _written(events: Iterable[Event], offline: bool) -> dict[str, Written]:
    calls: defaultdict[str, list[CallFinished]] = defaultdict(list)
    visits: Counter[str] = Counter()
    for event in events:
        if isinstance(event, CallFinished):
            calls[event.agent].append(event)
        elif isinstance(event, NodeStarted) and event.type == "agent":
            visits[event.name] += 1
    return {
        agent: Written(
            events=len(several),
            output_p99=percentile(
                [float(call.output_tokens) for call in several if call.output_tokens is not None], 99
            ),
            turns=len(several) / max(1, visits[agent]),
            cache_read=sum(call.cache_read_tokens or 0 for call in several),
            cache_write=sum(call.cache_write_tokens or 0 for call in several),
            offline=offline,
        )
        for agent, several in calls.items()
    }


# ── comparisons ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Group:
    """The runs of one side of a comparison: one flow under one set of terms, by case."""

    flow: str
    at: float
    agents: set[str] = field(default_factory=set[str])
    cases: dict[str, Measured] = field(default_factory=dict[str, Measured])


def newest_comparison(events: Iterable[Event], measured: Mapping[str, Measured], flow: str | None) -> Comparison | None:
    """The newest comparison of the flow with a single agent: A is the single one. None where none is kept, or the flow
    is itself the single agent of all of them (then B is what it was compared with)."""
    sides: dict[str, dict[str, _Group]] = {"a": {}, "b": {}}
    for event in events:
        parts = event.run.split("-")
        if not event.run.startswith(RUN_PREFIX) or len(parts) < 4 or parts[1] not in sides or event.run not in measured:
            continue
        groups, digest, case = sides[parts[1]], parts[2], "-".join(parts[3:])
        if isinstance(event, RunStarted):
            group = groups.setdefault(digest, _Group(event.flow, event.time))
            group.at = max(group.at, event.time)
            group.cases[case] = measured[event.run]
        elif isinstance(event, CallFinished) and digest in groups:
            groups[digest].agents.add(event.agent)
    pairs = [(a, b) for a in sides["a"].values() for b in sides["b"].values() if a.cases.keys() & b.cases.keys()]
    found: Comparison | None = None
    for a, b in sorted(pairs, key=lambda pair: max(pair[0].at, pair[1].at)):
        single, other = (a, b) if len(a.agents) <= len(b.agents) else (b, a)
        if len(single.agents) <= 1 and flow in (None, single.flow, other.flow):
            found = _compared(single, other)
    return found


def _compared(single: _Group, other: _Group) -> Comparison:
    cases = sorted(single.cases.keys() & other.cases.keys())
    sides = [Side(one.flow, len(one.agents), tuple(one.cases[case] for case in cases)) for one in (single, other)]
    checks = {check.name for side in sides for case in side.cases for check in case.checks}
    return Comparison(sides[0], sides[1], Setup("", tuple(sorted(checks))))
