"""The journal: what a run has done so far, as a fold over its events (SEMANTICS 1 and 2).

An effect's key says where it stands and what it is, never when it happened:

    site (place in the flow and task lineage) - hash of the logical input - how often before at this site

Three kinds of outcome are replayed: a result, a failure that the flow was told of, and a cancellation by the flow
itself. An effect that was begun and has none of these is open: it may or may not have happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from outlay.events.records import (
    Answered,
    CallFailed,
    CallFinished,
    CallStarted,
    ContentsPruned,
    Drawn,
    EffectCancelled,
    EffectFailed,
    Elapsed,
    Event,
    RunFinished,
    RunResumed,
    RunStarted,
    SharedDone,
    ToolFinished,
    ToolStarted,
)
from outlay.values.money import ZERO

Outcome: TypeAlias = Literal["open", "finished", "failed"]
_Keyed: TypeAlias = (
    CallStarted
    | CallFinished
    | CallFailed
    | ToolStarted
    | ToolFinished
    | EffectFailed
    | EffectCancelled
    | Elapsed
    | Answered
    | SharedDone
)


@dataclass(slots=True)
class Record:
    """One effect. `place` is where its outcome stands in the order of the run, and `event` is that outcome."""

    key: str
    place: int
    path: str = ""
    outcome: Outcome = "open"
    event: Event | None = None
    #: The flow stopped waiting for it; it may have a result all the same, which nobody saw.
    cancelled: bool = False
    #: Attempts at it so far.
    attempts: int = 0
    #: The last intent, None where it is not among the events.
    intent: CallStarted | ToolStarted | None = None
    #: The intent has no end: it may have happened.
    in_doubt: bool = False
    #: The last attempt at a model has no end, whatever the flow was told.
    unanswered: bool = False

    def was_cut_short(self, max_output_tokens: int) -> bool:
        """Did the answer break off at a cap that the runtime had lowered from this one?"""
        event, intent = self.event, self.intent
        if not isinstance(event, CallFinished) or not isinstance(intent, CallStarted):
            return False
        return event.stop == "length" and intent.max_output_tokens < max_output_tokens

    def is_below(self, path: str) -> bool:
        return self.path == path or self.path.startswith(path + "/")

    @property
    def site(self) -> str:
        return self.key.partition("-")[0]

    @property
    def what(self) -> str:
        return self.key.split("-")[1]


@dataclass(slots=True)
class Spent:
    """What the effects so far count against the run's budgets. Unpriced calls are in no figure but `unpriced`."""

    usd: Decimal = ZERO
    doubt: Decimal = ZERO
    tokens: int = 0
    calls: int = 0
    unpriced: bool = False


@dataclass(slots=True)
class Journal:
    """`records` by key, in the order in which the effects began."""

    records: dict[str, Record] = field(default_factory=dict[str, Record])
    #: Values of the moment by key, each with its place.
    drawn: dict[str, tuple[int, Any]] = field(default_factory=dict[str, tuple[int, Any]])
    started: RunStarted | None = None
    #: The flow as it was when the run was last worked on.
    shape: str = ""
    finished: RunFinished | None = None
    #: Its contents are gone, and it cannot go on.
    pruned: bool = False
    last: int = -1
    #: Seconds that the run was worked on, without the time it was parked or dead.
    active: float = 0.0
    spent: Spent = field(default_factory=Spent)
    #: The process that worked on it last.
    owner: str = ""
    #: Its turn is in the conversation of its session: once is enough.
    told: bool = False

    @staticmethod
    def of(events: Iterable[Event]) -> Journal:
        """Fold the events of one run, in their order."""
        fold = _Fold()
        for event in events:
            fold.add(event)
        return fold.end()

    def up_to(self, path: str) -> Journal:
        """What a fork at `path` shares with this run: all but what happened there, and what was decided later.

        What depends on it finds no record by itself, because its input is another. A fork pays for itself: nothing
        of what was spent is in it.
        """
        begun = min((r.place for r in self.records.values() if path and r.is_below(path)), default=self.last + 1)
        kept = {
            key: record
            for key, record in self.records.items()
            if record.outcome != "open"
            and not (path and record.is_below(path))
            and not (record.place > begun and isinstance(record.event, Answered))
        }
        drawn = {key: value for key, value in self.drawn.items() if value[0] < begun}
        return Journal(kept, drawn, shape=self.shape, last=self.last)

    def then(self, later: Journal) -> Journal:
        """The memory of a fork: what it shares, and what it did itself after that."""
        after = self.last + 1
        own = {key: replace(record, place=after + record.place) for key, record in later.records.items()}
        drawn = {key: (after + place, value) for key, (place, value) in later.drawn.items()}
        return Journal(self.records | own, self.drawn | drawn, shape=later.shape, last=after + later.last)


class _Fold:
    def __init__(self) -> None:
        self.journal = Journal()
        self._open: dict[tuple[str, int], CallStarted] = {}
        self._since = 0.0
        self._until = 0.0

    def add(self, event: Event) -> None:
        journal = self.journal
        journal.last = event.seq
        if isinstance(event, ContentsPruned):  # no work on the run: its clock stands still
            journal.pruned = True
            return
        before_it, self._until = self._until, event.time
        match event:
            case CallStarted():
                record = self._record(event)
                record.intent, record.in_doubt, record.unanswered = event, True, True
                record.attempts = max(record.attempts + 1, event.attempt)
                journal.spent.calls += 1
                if (before := self._open.pop((event.key, event.attempt), None)) is not None:
                    self._doubt(before)  # sent again under its old number
                self._open[event.key, event.attempt] = event
            case CallFinished():
                self._settle(event)
                self._outcome(event, "finished")
                self._record(event).unanswered = False
            case CallFailed():
                self._open.pop((event.key, event.attempt), None)
                record = self._record(event)
                record.in_doubt = record.unanswered = False
                if event.in_doubt is not None:
                    journal.spent.doubt += event.in_doubt
            case ToolStarted():
                record = self._record(event)
                record.intent, record.in_doubt = event, True
                record.outcome, record.event = "open", None
                record.attempts += 1
            case ToolFinished() if not event.error:
                self._outcome(event, "finished")
            case EffectFailed():
                self._outcome(event, "failed")
            case Elapsed() | Answered() | SharedDone():
                if event.key:  # a budget is no effect
                    self._outcome(event, "finished")
            case EffectCancelled():
                self._record(event).cancelled = True
            case Drawn():
                journal.drawn.setdefault(event.key, (event.seq, event.value))
            case RunStarted():
                journal.started = event
                self._leg(event)
            case RunResumed():
                journal.active += max(0.0, before_it - self._since)  # it died with the event before
                self._leg(event)
                journal.finished = None
            case RunFinished():
                journal.finished = event
                journal.told = journal.told or bool(event.conversation)
                journal.active += max(0.0, self._until - self._since)  # a clock may go backwards
                self._since = self._until
                self._try_again(event.cause)
            case _:
                pass

    def end(self) -> Journal:
        journal = self.journal
        journal.active += max(0.0, self._until - self._since)
        for intent in self._open.values():
            self._doubt(intent)
        return journal

    def _leg(self, event: RunStarted | RunResumed) -> None:
        """A stretch of work begins."""
        self.journal.shape = event.shape
        self.journal.owner = event.owner
        self._since = self._until

    def _record(self, event: _Keyed) -> Record:
        record = self.journal.records.get(event.key)
        if record is None:
            record = self.journal.records[event.key] = Record(event.key, event.seq, event.path)
        return record

    def _outcome(self, event: _Keyed, outcome: Outcome) -> None:
        record = self._record(event)
        record.place, record.outcome, record.event, record.in_doubt = event.seq, outcome, event, False

    def _settle(self, event: CallFinished) -> None:
        spent = self.journal.spent
        intent = self._open.pop((event.key, event.attempt), None)
        if event.output_tokens is None:
            if intent is not None:
                self._doubt(intent)
            return
        spent.tokens += event.known_tokens
        if event.cost is None:
            spent.unpriced = True
        else:
            spent.usd += event.cost

    def _doubt(self, intent: CallStarted) -> None:
        spent = self.journal.spent
        spent.doubt += intent.reserved or ZERO
        spent.tokens += intent.input_bound + intent.max_output_tokens

    def _try_again(self, key: str) -> None:
        """The failure that ended the run is not one that the flow handled."""
        record = self.journal.records.get(key)
        if record is not None and record.outcome == "failed":
            record.outcome, record.event = "open", None
