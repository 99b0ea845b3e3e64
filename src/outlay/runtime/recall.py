"""A run's past, out of the store: its events, its journal, and the contents that its outcomes are made of.

Everything is checked on the way in: events must be whole and without gaps, contents must be what their digest says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from outlay.analysis.journal import Journal
from outlay.errors import JournalMismatch, RunTaken
from outlay.events.codec import decode
from outlay.events.records import CallFinished, Event, RunStarted, SharedDone, ToolFinished
from outlay.protocols.store import Store
from outlay.values.message import DIGEST_SIZE, Message
from outlay.values.request import ModelResponse, StopKind
from outlay.values.stored import content_digest, load
from outlay.values.usage import Usage

_STOPS: dict[str, StopKind] = {"end": "end", "tool": "tool", "length": "length", "refusal": "refusal", "pause": "pause"}
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What is known of a run that was begun before. `events` are its own, in their order, and `journal` their fold;
    `memory` is what a replay goes by, which is more for a fork; `contents` by digest, `seed` what chance hangs on.
    """

    events: Sequence[Event]
    journal: Journal
    contents: dict[bytes, bytes]
    memory: Journal
    seed: str
    #: Of a fork: the run it parted from, and the path at which it did.
    parent: str = ""
    at: str = ""
    #: What nodes get instead of their own input, as JSON by path: changed by this fork and by those before it.
    changed: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    #: What its session's conversations were when it began, and so for its forks: the newest pages by place.
    conversation: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def started(self) -> RunStarted:
        assert self.journal.started is not None, "checked on the way in"
        return self.journal.started

    @property
    def input(self) -> bytes | None:
        """The JSON of the run's input, None where it is gone."""
        return self.contents.get(bytes.fromhex(self.started.input))

    @property
    def is_over(self) -> bool:
        """It came to its answer: there is nothing to go on with."""
        finished = self.journal.finished
        return finished is not None and finished.stop_reason == "completed"

    @property
    def output(self) -> bytes | None:
        """The output's JSON, None where it had none or is gone."""
        finished = self.journal.finished
        return self.contents.get(bytes.fromhex(finished.output)) if finished is not None and finished.output else None

    def response(self, event: CallFinished) -> ModelResponse:
        """The answer that was recorded. Raises JournalMismatch where its message is gone."""
        return ModelResponse(
            self._message(event),
            _STOPS.get(event.stop, "end"),
            _usage(event),
            event.returned,
            event.request_id,
            event.first_token,
            raw_stop=event.raw_stop,
        )

    def value(self, event: ToolFinished | SharedDone) -> bytes | None:
        """The stored result, None where it had no JSON. Raises JournalMismatch where it is gone."""
        return self._content(event.value, event) if event.value else None

    def _message(self, event: CallFinished) -> Message:
        try:
            if event.message:
                return load(self._content(event.message, event))
            return load(self._content(event.head, event)[DIGEST_SIZE:])
        except ValueError as error:
            raise JournalMismatch(f"run {event.run}, event {event.seq}: {error}", path=event.path) from error

    def _content(self, digest: str, event: Event) -> bytes:
        found = self.contents.get(bytes.fromhex(digest))
        if found is None:
            raise JournalMismatch(
                f"run {event.run}: the content behind event {event.seq} is no longer in the store",
                path=event.path,
                hint="it was pruned: start the run anew under another run_id",
            )
        return found


async def recall(store: Store, run_id: str) -> Past | None:
    """The past of a run, None where there is none. Raises JournalMismatch for one that is torn, tampered with, or
    pruned."""
    past = await _recall(store, run_id)
    if past is not None and past.journal.pruned:
        raise JournalMismatch(
            f"the contents of run {run_id} were pruned: it can neither go on nor be forked",
            hint=f"its bill and trace are still there (`outlay bill {run_id}`); start anew under another run_id",
        )
    return past


async def check_kept(store: Store, past: Past) -> None:
    """Raises RunTaken where retention took the run, or what a fork stands on, while it was being taken up.

    To be called when this leg's first event is durable: whoever prunes later finds that event.
    """
    run_id = past.started.run if past.events else past.parent
    rows = await store.events(run_id, ("run_started", "contents_pruned"))
    if [row.seq for row in rows] != [0]:
        raise RunTaken(
            f"run {run_id} was pruned at this very moment", hint="nothing was sent; start anew under another run_id"
        )


async def _recall(store: Store, run_id: str) -> Past | None:
    rows = await store.events(run_id)
    if not rows:
        return None
    events: list[Event] = []
    for place, row in enumerate(rows):
        if row.seq != place:
            raise _torn(run_id, place, f"it is missing, the next that is there is {row.seq}")
        try:
            event = decode(row.body)
        except ValueError as error:
            raise _torn(run_id, place, f"it cannot be read: {error}") from error
        if event.run != run_id or event.seq != place:
            raise _torn(run_id, place, f"it says that it is event {event.seq} of run {event.run}")
        events.append(event)
    journal = Journal.of(events)
    started = journal.started
    if started is None:
        raise _torn(run_id, 0, "the run does not begin with its start")
    contents = await _contents(store, run_id, journal)
    seed = str(started.seed if started.seed is not None else run_id)
    if not started.parent:
        return Past(events, journal, contents, journal, seed, conversation=started.conversation)
    parent = await _recall(store, started.parent)
    if parent is None:
        raise JournalMismatch(
            f"run {run_id} is a fork of {started.parent}, which is no longer in the store",
            hint="start the run anew",
        )
    changed = contents.get(bytes.fromhex(started.changed)) if started.changed else None
    base = branch(parent, started.at, changed)
    return replace(
        base, events=events, journal=journal, contents=base.contents | contents, memory=base.memory.then(journal)
    )


def branch(parent: Past, at: str, changed: bytes | None) -> Past:
    """The past of a fork that has done nothing yet."""
    shared, run_id = parent.memory.up_to(at), parent.started.run
    own = {} if changed is None else {at: changed}
    changes = {**parent.changed, **own}
    return Past((), Journal(), parent.contents, shared, parent.seed, run_id, at, changes, parent.conversation)


async def _contents(store: Store, run_id: str, journal: Journal) -> dict[bytes, bytes]:
    wanted: list[bytes] = []
    if journal.started is not None:
        named = (journal.started.input, journal.started.changed)
        wanted += [bytes.fromhex(digest) for digest in named if digest]
    if journal.finished is not None and journal.finished.output:
        wanted.append(bytes.fromhex(journal.finished.output))
    for record in journal.records.values():
        event = record.event
        if isinstance(event, CallFinished):
            wanted.append(bytes.fromhex(event.message or event.head))
        elif isinstance(event, ToolFinished | SharedDone) and event.value:
            wanted.append(bytes.fromhex(event.value))
    found: dict[bytes, bytes] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        found.update(await store.blobs(wanted[start : start + _AT_ONCE]))
    for digest, content in found.items():
        if content_digest(content) != digest:
            raise JournalMismatch(
                f"run {run_id}: the content {digest.hex()} in the store is not what was written",
                hint="the store was damaged or changed by hand: restore it from a copy",
            )
    return found


def _torn(run_id: str, place: int, what: str) -> JournalMismatch:
    return JournalMismatch(
        f"run {run_id}, event {place}: {what}",
        hint="the store was damaged or changed by hand: restore it from a copy, or start the run anew",
    )


def _usage(event: CallFinished) -> Usage | None:
    if event.output_tokens is None:
        return None
    return Usage(
        event.input_tokens or 0,
        event.cache_read_tokens or 0,
        event.cache_write_tokens or 0,
        event.output_tokens,
        event.cache_write_1h_tokens,
        event.raw_usage,
    )
