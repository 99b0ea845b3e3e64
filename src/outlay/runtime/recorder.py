"""Events as they happen: numbered, kept for the result, handed to listeners, and written to the store."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from outlay.errors import Conflict, OutlayError, RunTaken
from outlay.events.codec import encode, kind_of
from outlay.events.records import (
    CACHED,
    Asked,
    BudgetAlert,
    CallFailed,
    CallFinished,
    Checked,
    Custom,
    Decision,
    EscalationAlert,
    Event,
    Fact,
    NodeFinished,
    NodeStarted,
    Retracted,
    Skipped,
    TextDelta,
)
from outlay.protocols.store import Fence, Row, Store
from outlay.values.money import ZERO
from outlay.values.request import Prelude
from outlay.values.stored import content_digest
from outlay.values.transcript import Transcript

log = logging.getLogger("outlay")
log.addHandler(logging.NullHandler())  # silent until somebody asks for it
Listener = Callable[[Event], Any]


class Recorder:
    """The one writer of a run's events."""

    __slots__ = (
        "_fence",
        "_kept",
        "_known",
        "_listeners",
        "_seq",
        "_wall",
        "digests",
        "events",
        "failed",
        "run_id",
        "sealed",
        "spent",
        "spent_on",
        "store",
        "streaming",
    )

    def __init__(
        self,
        run_id: str,
        wall: Callable[[], float],
        store: Store | None,
        listeners: Iterable[Listener],
        streaming: bool,
        past: Sequence[Event] = (),
        fence: Fence | None = None,
    ) -> None:
        self.run_id = run_id
        self.store = store
        self.events: list[Event] = list(past)
        self.streaming = streaming
        self.spent_on = sum(map(_is_paid, past))
        #: The known cost so far, in US dollars.
        self.spent = sum(map(_cost, past), ZERO)
        #: The run is over: nothing is added to it.
        self.sealed = False
        self.failed: OutlayError | None = None
        #: Contents are named though there is no store to keep them in: somebody compares them.
        self.digests = False
        self._listeners = tuple(listeners)
        self._seq = itertools.count(len(past))
        #: Facts of an earlier leg that a replay will state again; None where there is no such leg.
        self._known = _again(past) if past else None
        self._wall = wall
        #: Of a run that was taken over: what its owner is known by.
        self._fence = fence
        self._kept: set[bytes] = set()

    def listen(self, listener: Listener) -> None:
        """One more listener, told last."""
        self._listeners = (*self._listeners, listener)

    def emit(self, kind: type[Event], path: str, **fields: Any) -> None:
        if self.sealed or (self._known is not None and self._is_known(kind, path, fields)):
            return
        event = kind(run=self.run_id, seq=next(self._seq), time=self._wall(), path=path, **fields)
        if kind in _MAY_BE_PAID and _is_paid(event):
            self.spent_on += 1
            self.spent += _cost(event)
        if kind is not TextDelta and kind is not Retracted:
            self.events.append(event)
            if self.store is not None and self.failed is None:
                try:
                    row = Row(self.run_id, event.seq, event.time, kind_of(event), encode(event))
                    self.store.append((row,), self._fence)
                except OutlayError as error:  # told at the next call: what happened meanwhile is kept in memory
                    self.failed = _told(error)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # a broken listener must not end a paid run
                log.warning("an on_event listener raised", exc_info=True)

    def _is_known(self, kind: type[Event], path: str, fields: dict[str, Any]) -> bool:
        """Has an earlier leg stated this fact? Each is told once, however often the run is resumed."""
        assert self._known is not None
        if kind not in _RESTATED or (kind is Decision and fields["about"] in _OF_ATTEMPTS):
            return False
        fact = _fact(kind(run="", seq=0, time=0.0, path=path, **fields))
        left = self._known.get(fact, 0)
        if left:
            self._known[fact] = left - 1
        return left > 0

    def keep_content(self, content: bytes) -> str:
        """Store a result; the digest it can be found under, empty where nothing is stored."""
        if self.store is None or self.failed is not None:
            return content_digest(content).hex() if self.digests else ""
        name = content_digest(content)
        try:
            self.store.keep(((name, content),))
        except OutlayError as error:
            self.failed = error
        return name.hex()

    def keep(self, transcript: Transcript, prelude: Prelude | None = None) -> None:
        """Store the messages that are not stored yet: each link once, under its head."""
        if self.store is None or self.failed is not None:
            return
        new: list[tuple[bytes, bytes]] = []
        if prelude is not None and prelude.digest not in self._kept:
            self._kept.add(prelude.digest)
            new.append((prelude.digest, prelude.wire("stored", prelude_bytes)))
        for link in transcript.links():
            if link.head in self._kept:
                break
            self._kept.add(link.head)
            assert link.parent is not None
            assert link.message is not None
            new.append((link.head, link.parent.head + link.message.canonical))
        if new:
            try:
                self.store.keep(new)
            except OutlayError as error:
                self.failed = error

    async def durable(self) -> None:
        """Return when everything so far is on disk. Raises what the store failed with: no new effect without it."""
        if self.store is None:
            return
        if self.failed is not None:
            raise self.failed
        await self.store.room()
        try:
            await self.store.flush(self.run_id)
        except Conflict as taken:
            self.failed = _told(taken)
            raise self.failed from taken


def _told(error: OutlayError) -> OutlayError:
    """A store says that a place is taken; to a run that means that somebody else goes on with it."""
    return RunTaken(error.message, hint=error.hint) if isinstance(error, Conflict) else error


#: What a replay states again, because the flow does what it did. Effects are not among them: they are not repeated.
_RESTATED = frozenset(
    (NodeStarted, NodeFinished, Decision, Checked, Skipped, Fact, Custom, BudgetAlert, EscalationAlert, Asked)
)
#: Decisions about a call that is really made: a replay makes none, so one that reads alike is another one.
_OF_ATTEMPTS = frozenset(("sent_again", "retry", "clip", "dropped_blocks", "hedge", "hedged", "tool_down"))


_MAY_BE_PAID = (CallFinished, CallFailed)


def _is_paid(event: Event) -> bool:
    return (isinstance(event, CallFinished) and event.purpose != CACHED) or (
        isinstance(event, CallFailed) and event.maybe_billed
    )


def _cost(event: Event) -> Decimal:
    return (event.cost or ZERO) if isinstance(event, CallFinished) else ZERO


def _again(past: Sequence[Event]) -> Counter[bytes]:
    return Counter(_fact(event) for event in past if type(event) in _RESTATED)  # those of attempts are never looked up


def _fact(event: Event) -> bytes:
    """What an event states, without when."""
    timeless: dict[str, Any] = {"run": "", "seq": 0, "time": 0.0}
    if isinstance(event, NodeFinished):
        timeless["seconds"] = 0.0
    return encode(msgspec.structs.replace(event, **timeless))


def prelude_bytes(prelude: Prelude) -> bytes:
    """Instructions, tools and output schema as JSON, for the trace."""
    return msgspec.json.encode(
        {
            "system": prelude.system,
            "tools": [{"name": t.name, "description": t.description} for t in prelude.tools],
            "output": None if prelude.output is None else prelude.output.schema,
        }
    )
