"""Is all of a store as it was written? Every event, every content that one names, every document."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlay.analysis.retention import KINDS, Life, lives
from outlay.errors import ConfigError
from outlay.events.codec import decode
from outlay.events.records import (
    CallFinished,
    CallStarted,
    ContentsPruned,
    Event,
    RunFinished,
    RunStarted,
    SharedDone,
    ToolFinished,
)
from outlay.protocols.documents import Document
from outlay.protocols.store import Row, Store
from outlay.protocols.upkeep import Span
from outlay.runtime import ownership, pending
from outlay.runtime.ownership import ownership_in
from outlay.runtime.session import COLLECTION as SESSIONS
from outlay.sharing.artifacts import ARTIFACTS
from outlay.sharing.contents import digest_of
from outlay.sharing.packing import unpack
from outlay.values.message import DIGEST_SIZE
from outlay.values.shared import Artifact
from outlay.values.stored import content_digest

_AT_ONCE = 500
_EMPTY = bytes(DIGEST_SIZE)
#: Where events name contents. The second of a call's start is the text of its instructions, whose digest is of more
#: than is stored.
_NAMES: dict[type[Event], tuple[str, ...]] = {
    RunStarted: ("input", "changed"),
    RunFinished: ("output",),
    CallStarted: ("head", "prelude"),
    CallFinished: ("head", "message"),
    ToolFinished: ("value",),
    SharedDone: ("value",),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not as it was written: where, and what."""

    where: str
    what: str


@dataclass(slots=True)
class Health:
    """What was looked at, and what is wrong. `broken_off` are runs without an end that nobody works on, `pruned` those
    whose contents retention took; `owners` are the processes that worked on the store, and `dead` those among them
    that are gone. Sizes in bytes."""

    runs: int = 0
    events: int = 0
    event_bytes: int = 0
    contents: int = 0
    content_bytes: int = 0
    documents: int = 0
    document_bytes: int = 0
    pruned: int = 0
    waiting: int = 0
    going: int = 0
    broken_off: list[str] = field(default_factory=list[str])
    owners: int = 0
    dead: int = 0
    troubles: list[Trouble] = field(default_factory=list[Trouble])


@dataclass(slots=True)
class _Named:
    """The contents that must be there, and who says so first; which of them are what."""

    wanted: dict[bytes, str] = field(default_factory=dict[bytes, str])
    heads: set[bytes] = field(default_factory=set[bytes])
    preludes: set[bytes] = field(default_factory=set[bytes])
    artifacts: dict[bytes, str] = field(default_factory=dict[bytes, str])


async def examine(store: Store) -> Health:
    """Look at everything. Nothing is changed, and runs may go on meanwhile."""
    health, named = Health(), _Named()
    health.troubles += [Trouble("store", fault) for fault in await store.faults()]
    spans = await store.runs()
    for span in spans:
        await _run(store, span, health, named)
    await _standing(store, spans, health)
    await _documents(store, health, named)
    await _contents(store, health, named)
    return health


async def _run(store: Store, span: Span, health: Health, named: _Named) -> None:
    health.runs += 1
    health.events += span.events
    health.event_bytes += span.size
    where = f"run {span.run}"
    try:
        rows = await store.events(span.run)
    except ConfigError as error:
        _add(health, where, error.message)
        return
    events = [event for event in (_decoded(row, where, health) for row in rows) if event is not None]
    gaps = sorted(set(range(span.last + 1)) - {row.seq for row in rows})
    if gaps:
        _add(health, where, f"{_places(gaps)} missing")
    elif events and not isinstance(events[0], RunStarted):
        _add(health, where, "it does not begin with its start")
    if any(isinstance(event, ContentsPruned) for event in events):
        return
    for event in events:
        _note(event, named)


def _decoded(row: Row, where: str, health: Health) -> Event | None:
    try:
        event = decode(row.body)
    except ValueError as error:
        _add(health, where, f"event {row.seq} cannot be read: {error}")
        return None
    if (event.run, event.seq) != (row.run, row.seq):
        _add(health, where, f"event {row.seq} says that it is event {event.seq} of run {event.run}")
        return None
    return event


def _note(event: Event, named: _Named) -> None:
    if isinstance(event, RunFinished):
        for tip in event.conversation.values():
            named.wanted.setdefault(bytes.fromhex(tip), f"run {event.run}, event {event.seq}")
    for name in _NAMES.get(type(event), ()):
        value = getattr(event, name)
        digest = bytes.fromhex(value) if value else _EMPTY
        if digest == _EMPTY:
            continue
        named.wanted.setdefault(digest, f"run {event.run}, event {event.seq}")
        if name == "prelude":
            named.preludes.add(digest)
        elif name == "head":
            named.heads.add(digest)


async def _standing(store: Store, spans: Sequence[Span], health: Health) -> None:
    """Which runs are going, wait, or broke off; forks must stand on something."""
    try:
        rows = await store.events(None, KINDS)
    except ConfigError:
        return  # said already, run by run
    known = lives(spans, _readable(rows))
    owned = ownership_in(store)
    for life in known.values():
        health.pruned += life.pruned
        if life.parent and life.parent not in known and not life.pruned:
            _add(health, f"run {life.run}", f"it is a fork of run {life.parent}, which is not there")
        if life.outcome == "approval":
            health.waiting += 1
        elif not life.outcome and not life.pruned:
            if await owned.is_worked_on(life.run, _owner(life), time.time):
                health.going += 1
            else:
                health.broken_off.append(life.run)


def _owner(life: Life) -> str:
    return life.owner


def _readable(rows: Sequence[Row]) -> Iterator[Event]:
    for row in rows:
        try:
            yield decode(row.body)
        except ValueError:
            continue


async def _documents(store: Store, health: Health, named: _Named) -> None:
    try:
        documents = await store.documents()
    except ConfigError as error:
        _add(health, "documents", error.message)
        return
    owned = ownership_in(store)
    for document in documents:
        health.documents += 1
        health.document_bytes += len(document.body)
        where = f"document {document.key!r} of {document.collection!r}"
        try:
            _KINDS.get(document.collection, _anything)(document)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            _add(health, where, f"it cannot be read: {error}")
            continue
        if document.collection == ownership.LEASES:
            health.owners += 1
            health.dead += await owned.lease_of(document.key, time.time) <= 0
        elif document.collection == ARTIFACTS:
            artifact = Artifact(**unpack(document.body)["value"])
            digest = bytes.fromhex(artifact.digest)
            named.wanted.setdefault(digest, where)
            named.artifacts[digest] = artifact.type


def _anything(document: Document) -> Any:
    return document.body


_KINDS: dict[str, Callable[[Document], Any]] = {
    ownership.LEASES: lambda document: float(json.loads(document.body)["until"]),
    SESSIONS: lambda document: json.loads(document.body)["tips"],
    "inbox": lambda document: pending.load(document.body),
    "inbox.closed": lambda document: pending.load(document.body, closed=True),
    ARTIFACTS: lambda document: Artifact(**unpack(document.body)["value"]),
    "shared.state": lambda document: unpack(document.body)["value"],
    "shared.log": lambda document: unpack(document.body)["value"],
}


async def _contents(store: Store, health: Health, named: _Named) -> None:
    digests = await store.digests()
    there = set(digests)
    health.contents = len(digests)
    for digest, where in named.wanted.items():
        if digest not in there:
            _add(health, where, f"the content {digest.hex()} that it names is not there")
    for start in range(0, len(digests), _AT_ONCE):
        for digest, content in (await _read(store, digests[start : start + _AT_ONCE], health)).items():
            health.content_bytes += len(content)
            if digest in named.wanted and not _fits(digest, content, named):
                _add(health, named.wanted[digest], f"the content {digest.hex()} that it names is not what was written")
            elif digest in named.heads:
                before = content[:DIGEST_SIZE]
                if before != _EMPTY and before not in there:
                    what = f"the message before {digest.hex()} ({before.hex()}) is not there"
                    _add(health, named.wanted[digest], what)


async def _read(store: Store, digests: Sequence[bytes], health: Health) -> dict[bytes, bytes]:
    """Those that can be read."""
    try:
        return await store.blobs(digests)
    except ConfigError as error:
        if len(digests) == 1:
            _add(health, f"content {digests[0].hex()}", error.message)
            return {}
    half = len(digests) // 2
    return await _read(store, digests[:half], health) | await _read(store, digests[half:], health)


def _fits(digest: bytes, content: bytes, named: _Named) -> bool:
    if digest in named.preludes:
        return True
    if digest in named.artifacts:
        return digest_of(content, named.artifacts[digest]) == digest.hex()
    return content_digest(content) == digest


def _places(places: Sequence[int]) -> str:
    some = ", ".join(map(str, places[:5])) + (" …" if len(places) > 5 else "")
    return f"event {some} is" if len(places) == 1 else f"events {some} are"


def _add(health: Health, where: str, what: str) -> None:
    health.troubles.append(Trouble(where, what))
