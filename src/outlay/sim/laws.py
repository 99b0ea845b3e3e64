"""What must hold of every run, whatever befell it: the journal against the world.

Each law is a function of what a run left and gives the sentences that say where it is broken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from outlay.analysis.bill import Bill
from outlay.analysis.journal import Journal
from outlay.events.records import (
    CACHED,
    Answered,
    Asked,
    CallFailed,
    CallFinished,
    CallStarted,
    Decision,
    Event,
    Overrun,
    RunFinished,
    ToolFinished,
    ToolStarted,
)
from outlay.runtime.asking import AGAIN
from outlay.sim.faulty import Exchange
from outlay.sim.world import Act
from outlay.values.budget import Budget

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Story:
    """A run and the world: its durable events, what the provider billed, what tools did, its budget, and for how many
    seconds a process that worked on it stood still without knowing."""

    events: Sequence[Event]
    exchanges: Sequence[Exchange]
    acts: Sequence[Act]
    budget: Budget | None
    stalled: float = 0.0

    def of(self, *kinds: type[Event]) -> Iterator[Any]:
        """The events of these kinds, in their order; not the answers that a store gave, and no provider."""
        return (event for event in self.events if isinstance(event, kinds) and not _is_stored(event))


def broken(story: Story) -> list[str]:
    """Every law that does not hold."""
    laws = (intents, results, ledger, doubts, budgets, duplicates, effects, sums)
    return [f"{law.__name__}: {problem}" for law in laws for problem in law(story)]


def intents(story: Story) -> Iterator[str]:
    """Nothing is sent whose intent is not durable, and nothing is sent twice under one intent."""
    meant = Counter((event.path, event.head, event.model) for event in story.of(CallStarted))
    for (path, _, model), n in (Counter(map(_asked, story.exchanges)) - meant).items():
        yield f"{n} requests to {model} for {path} that no event announced"


def results(story: Story) -> Iterator[str]:
    """An answer in the journal is one that the provider gave; no answer is used twice under another name."""
    known = {exchange.id: exchange for exchange in story.exchanges}
    seen: Counter[str] = Counter()
    for event in story.of(CallFinished):
        seen[event.request_id] += 1
        if event.request_id not in known:
            yield f"an answer for {event.path} that nobody gave ({event.request_id!r})"
    yield from (f"the answer {id} is in the journal {n} times" for id, n in seen.items() if n > 1)


def ledger(story: Story) -> Iterator[str]:
    """Call by call, what the journal says it cost is what the provider billed, where the provider said so."""
    known = {exchange.id: exchange for exchange in story.exchanges}
    for event in story.of(CallFinished):
        exchange = known.get(event.request_id)
        if exchange is None:
            continue
        if exchange.reported and event.cost != exchange.usd:
            yield f"{event.path} is recorded at {event.cost}, and was billed at {exchange.usd}"
        if not exchange.reported and event.cost is not None:
            yield f"{event.path} is recorded at {event.cost}, and the provider never said what it cost"


def doubts(story: Story) -> Iterator[str]:
    """What was billed and not seen is in doubt, call by call and in all: total <= billed <= total + in doubt, but for
    what the provider charged for an unseen answer beyond its own cap. Nobody can know of that; a seen one is flagged.
    """
    seen = {event.request_id for event in story.of(CallFinished) if event.cost is not None}
    lost = [e for e in story.exchanges if e.usage is not None and e.id not in seen]
    unseen = Counter(map(_asked, lost))
    most: dict[tuple[str, str, str], Decimal] = {}
    open_ones: dict[tuple[str, int], CallStarted] = {}
    doubtful: Counter[tuple[str, str, str]] = Counter()
    for event in story.of(CallStarted, CallFinished, CallFailed):
        if isinstance(event, CallStarted):
            asked = event.path, event.head, event.model
            most[asked] = max(most.get(asked, _ZERO), event.reserved or _ZERO)
            if (before := open_ones.get((event.key, event.attempt))) is not None:
                doubtful[before.path, before.head, before.model] += 1
            open_ones[event.key, event.attempt] = event
            continue
        intent = open_ones.pop((event.key, event.attempt), None)
        if intent is None:
            yield f"{event.path} ended without having begun (attempt {event.attempt})"
            continue
        unknown = event.cost is None if isinstance(event, CallFinished) else event.maybe_billed
        doubtful[intent.path, intent.head, intent.model] += unknown
    for intent in open_ones.values():
        doubtful[intent.path, intent.head, intent.model] += 1
    for (path, _, model), n in (unseen - doubtful).items():
        yield f"{n} calls of {model} for {path} were billed, and nothing says so"
    spent = Journal.of(story.events).spent
    billed = sum((e.usd for e in story.exchanges if e.usd is not None), _ZERO)
    beyond = sum((max(e.usd - most.get(_asked(e), _ZERO), _ZERO) for e in lost if e.usd is not None), _ZERO)
    if not spent.usd <= billed <= spent.usd + spent.doubt + beyond:
        also = f" (and {beyond} charged beyond a cap)" if beyond else ""
        yield f"the provider billed {billed}, the journal says {spent.usd} and {spent.doubt} in doubt{also}"


def budgets(story: Story) -> Iterator[str]:
    """No limit is passed, but by what a provider charged beyond its cap, which is flagged."""
    budget = story.budget
    if budget is None:
        return
    spent = Journal.of(story.events).spent
    over = sum((event.cost - event.reserved for event in story.of(Overrun)), _ZERO)
    if budget.money is not None and spent.usd + spent.doubt > budget.money + over:
        yield f"{spent.usd} + {spent.doubt} in doubt of {budget.money} (overruns {over})"
    calls = sum(1 for _ in story.of(CallStarted))
    if budget.calls is not None and calls > budget.calls:
        yield f"{calls} calls of {budget.calls}"
    if budget.seconds is not None:
        for event in story.of(RunFinished):
            if event.seconds > budget.seconds + story.stalled + 1:
                yield f"it worked for {event.seconds:g} s of {budget.seconds:g}"


def duplicates(story: Story) -> Iterator[str]:
    """What has a result is never begun again; a model call that is sent again is said to be. An answer that a lowered
    cap cut short is no result: it is asked for again (`Record.was_cut_short`)."""
    finished: set[str] = set()
    open_calls: set[str] = set()
    again: Counter[str] = Counter()
    labels = ("sent_again", "hedge")
    said: Counter[str] = Counter(event.path for event in story.of(Decision) if event.about in labels)
    clipped = {event.path for event in story.of(Decision) if event.about == "clip"}
    for event in story.of(CallStarted, CallFinished, CallFailed, ToolStarted, ToolFinished):
        key = event.key
        if isinstance(event, CallStarted | ToolStarted):
            if key in finished:
                yield f"{event.path} has a result, and was begun again (event {event.seq})"
            if isinstance(event, CallStarted):
                again[event.path] += key in open_calls
                open_calls.add(key)
            continue
        open_calls.discard(key)
        if isinstance(event, CallFinished) and event.stop == "length" and event.path in clipped:
            continue
        if isinstance(event, CallFinished) or (isinstance(event, ToolFinished) and not event.error and event.value):
            finished.add(key)
    yield from (f"{path} was sent again {n} times more than is said" for path, n in (again - said).items())


def effects(story: Story) -> Iterator[str]:
    """A tool with a side effect does its work once for each key, unless somebody decided that it should again."""
    doubted = {event.key for event in story.of(Asked) if event.about == "in_doubt"}
    again = sum(event.key in doubted and event.answer == AGAIN for event in story.of(Answered))
    repeated = sum(n - 1 for n in Counter(act.key for act in story.acts if act.kind == "send").values())
    if repeated > again:
        yield f"{repeated} side effects were repeated, and {again} times somebody had said so"


def sums(story: Story) -> Iterator[str]:
    """The bill is the sum of its lines, which is the sum of the events."""
    bill = Bill.of(story.events)
    lines = sum((line.known_cost for line in bill.lines), _ZERO)
    told = sum((event.cost for event in story.of(CallFinished) if event.cost is not None), _ZERO)
    spent = Journal.of(story.events).spent
    if not bill.at_least == lines == told == spent.usd:
        yield f"bill {bill.at_least}, lines {lines}, events {told}, journal {spent.usd}"
    if bill.in_doubt != spent.doubt:
        yield f"the bill has {bill.in_doubt} in doubt, the journal {spent.doubt}"
    attempts = sum(line.calls + line.retries for line in bill.lines if line.purpose != CACHED)
    begun = sum(1 for _ in story.of(CallStarted))
    if attempts != begun:
        yield f"the bill counts {attempts} attempts, the journal {begun}"


def _is_stored(event: Event) -> bool:
    return isinstance(event, CallFinished) and event.purpose == CACHED


def _asked(exchange: Exchange) -> tuple[str, str, str]:
    return exchange.path, exchange.head, exchange.model
