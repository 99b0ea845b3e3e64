"""Which runs may go: a decision on what is known of them, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from outlay.events.records import ContentsPruned, Event, RunFinished, RunResumed, RunStarted
from outlay.protocols.upkeep import Span

#: The stored kinds that this needs.
KINDS = ("run_started", "run_resumed", "run_finished", "contents_pruned")
#: Why a run that is old enough stays all the same.
Reason: TypeAlias = Literal[
    "waits for a human", "is being worked on", "a session goes on from it", "a fork stands on it"
]


@dataclass(frozen=True, slots=True)
class Life:
    """What retention knows of a run. `ended` in seconds since the epoch: its end, or its last event if it broke off.

    `outcome` is its stop_reason, empty where it broke off; `parent` the run that it is a fork of; `pruned`: its
    contents are gone. A piece without a start is what is left of a run that was deleted.
    """

    run: str
    flow: str
    ended: float
    outcome: str
    owner: str
    parent: str
    pruned: bool
    events: int
    last: int
    size: int


def lives(spans: Iterable[Span], events: Iterable[Event]) -> dict[str, Life]:
    """The runs by id, in the order in which they started. `events` are theirs of `KINDS`, by run and place."""
    by_run: dict[str, list[Event]] = {}
    for event in events:
        by_run.setdefault(event.run, []).append(event)
    return {span.run: _life(span, by_run.get(span.run, [])) for span in spans}


def _life(span: Span, events: Iterable[Event]) -> Life:
    flow = outcome = owner = parent = ""
    ended, pruned = span.time, False
    for event in events:
        match event:
            case RunStarted():
                flow, owner, parent = event.flow, event.owner, event.parent
            case RunResumed():
                owner, outcome, ended = event.owner, "", span.time
            case RunFinished():
                outcome, ended = event.stop_reason, event.time
            case ContentsPruned():
                ended, pruned = event.ended, True
            case _:
                pass
    return Life(span.run, flow, ended, outcome, owner, parent, pruned, span.events, span.last, span.size)


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs that go, the latest first, so that a fork goes before what it stands on; and those that would, by id."""

    go: tuple[Life, ...]
    kept: Mapping[str, Reason]


def plan(
    known: Mapping[str, Life],
    before: float,
    *,
    waiting: Collection[str] = (),
    busy: Collection[str] = (),
    held: Collection[str] = (),
    keep_events: bool = False,
) -> Plan:
    """Runs that ended before `before` go, but those that wait for a human, those that somebody works on (`busy`),
    those whose turn a session has not taken over yet (`held`), and those that a fork which stays needs. With
    `keep_events` those whose contents are gone already stay as they are."""
    old = [life for life in known.values() if life.ended < before and not (keep_events and life.pruned)]
    kept: dict[str, Reason] = {}
    for life in old:
        if life.run in waiting or (life.outcome == "approval" and not life.pruned):
            kept[life.run] = "waits for a human"
        elif life.run in busy:
            kept[life.run] = "is being worked on"
        elif life.run in held:
            kept[life.run] = "a session goes on from it"
    going = {life.run for life in old} - kept.keys()
    needed = needed_by_forks(known, known.keys() - going)
    kept |= dict.fromkeys((life.run for life in old if life.run in going & needed), "a fork stands on it")
    return Plan(tuple(life for life in reversed(old) if life.run in going - needed), kept)


def needed_by_forks(known: Mapping[str, Life], staying: Iterable[str]) -> set[str]:
    """The runs that the forks among these stand on, down to the first. One without contents stands on nothing."""
    return {parent for run in staying if not known[run].pruned for parent in _parents(known, run)}


def _parents(known: Mapping[str, Life], run: str) -> Iterator[str]:
    seen = {run}
    while (life := known.get(run)) is not None and life.parent and life.parent not in seen:
        run = life.parent
        seen.add(run)
        yield run
