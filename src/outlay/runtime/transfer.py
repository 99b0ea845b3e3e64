"""A run as one file, out of a store and into another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

from outlay.analysis.archive import MAX_BYTES, Content, Head, Writing, read
from outlay.analysis.references import linked_from, named_in
from outlay.errors import ConfigError, Conflict
from outlay.events.codec import decode, encode, kind_of
from outlay.events.records import ContentsPruned, RunFinished, RunStarted
from outlay.protocols.store import Row, Store
from outlay.sharing.artifacts import ARTIFACTS
from outlay.sharing.contents import digest_of
from outlay.sharing.packing import unpack
from outlay.values.shared import Artifact
from outlay.values.stored import content_digest

_AT_ONCE = 200
_PRUNED = str(ContentsPruned.__struct_config__.tag)
_FINISHED = str(RunFinished.__struct_config__.tag)


@dataclass(frozen=True, slots=True)
class Carried:
    """What went into a file or came out of it. `runs` are the run itself, last, and those it is a fork of; `new` are
    the events that were not there before."""

    runs: tuple[str, ...]
    events: int
    contents: int
    new: int = 0

    @property
    def run(self) -> str:
        return self.runs[-1]


async def export_run(store: Store, run_id: str, file: BinaryIO, *, contents: bool = True) -> Carried:
    """Write a run, and what it is a fork of, with all contents that these name.

    Without `contents` it is the events of this run alone: no inputs, outputs, messages or results of tools. Questions,
    reasons, texts of errors and what flows report of themselves are in events, and stay.
    """
    runs = await _lineage(store, run_id, alone=not contents)
    if contents and any(row.kind == _PRUNED for row in runs[run_id]):
        contents = False  # they are gone: the file says so
    writing = Writing(file, Head(run_id, contents))
    wanted: set[bytes] = set()
    for rows in runs.values():
        for row in rows:
            wanted |= named_in(row.body)
            try:
                writing.put(row)
            except UnicodeDecodeError:
                raise ConfigError(
                    f"event {row.seq} of run {row.run} is damaged", hint="`outlay doctor --store` says what else is"
                ) from None
    if contents:
        async for content in _contents(store, wanted):
            writing.put(content)
    writing.close()
    return Carried(tuple(runs), writing.events, writing.contents)


async def _lineage(store: Store, run_id: str, *, alone: bool) -> dict[str, list[Row]]:
    """The events of the run and of those it stands on, the first of them first."""
    found: dict[str, list[Row]] = {}
    while run_id and run_id not in found:
        rows = await store.events(run_id)
        if not rows:
            raise ConfigError(f"there is no run {run_id!r} in the store", hint="`outlay runs` lists them")
        found[run_id] = rows
        started = decode(rows[0].body)
        run_id = started.parent if isinstance(started, RunStarted) and not alone else ""
    return dict(reversed(found.items()))


async def _contents(store: Store, wanted: set[bytes]) -> AsyncIterator[Content]:
    """What is behind the digests, and behind those that it names. What cannot be checked on the other side (the texts
    of instructions, which only a trace shows) stays here."""
    artifacts = (Artifact(**unpack(document.body)["value"]) for document in await store.list(ARTIFACTS))
    types = {bytes.fromhex(artifact.digest): artifact.type for artifact in artifacts}
    seen, waiting = set(wanted), sorted(wanted)
    while waiting:
        some, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        found = await store.blobs(some)
        for digest in some:
            if digest not in found:
                continue
            content = Content(digest, found[digest], types.get(digest))
            if is_genuine(content):
                new = linked_from(content.data) - seen if content.type is None else set[bytes]()
                seen |= new
                waiting += sorted(new)
                yield content


def is_genuine(content: Content) -> bool:
    """Whether the bytes are what the digest says."""
    if content.type is None:
        return content_digest(content.data) == content.digest
    return digest_of(content.data, content.type) == content.digest.hex()


async def import_run(store: Store, file: BinaryIO, *, max_bytes: int = MAX_BYTES) -> Carried:
    """Take a run in from a file that `export_run` wrote. To do it twice does no harm; a run that is there and went on
    since stays as it is, one that is there in part is completed.

    Raises ConfigError for a file that is damaged, too large or something else, Conflict where the run is there with
    other events. Then no event was written.
    """
    pieces = read(file, is_genuine, max_bytes)
    head = next(pieces)
    assert isinstance(head, Head)
    runs: dict[str, list[Row]] = {}
    contents = 0
    for piece in pieces:
        if isinstance(piece, Content):
            contents += 1
            store.keep(((piece.digest, piece.data),))
            await store.room()
        elif isinstance(piece, Row):
            runs.setdefault(piece.run, []).append(piece)
    _check_lineage(head, runs)
    if not head.contents and all(row.kind != _PRUNED for row in runs[head.run]):
        runs[head.run].append(_without_contents(runs[head.run]))
    missing = {run: await _missing(store, run, rows) for run, rows in runs.items()}
    for run, rows in missing.items():
        for start in range(0, len(rows), _AT_ONCE):
            store.append(rows[start : start + _AT_ONCE])
            await store.room()
        await store.flush(run)
    events = sum(map(len, runs.values()))
    return Carried(tuple(runs), events, contents, sum(map(len, missing.values())))


def _check_lineage(head: Head, runs: dict[str, list[Row]]) -> None:
    """Raises ConfigError where the file holds anything but the run and what it is a fork of."""
    line: list[str] = []
    run = head.run
    while run and run not in line and run in runs:
        line.append(run)
        started = decode(runs[run][0].body)
        if not isinstance(started, RunStarted):
            raise ConfigError(f"not the file of a run: run {run} does not begin with its start")
        run = started.parent if head.contents else ""
    if run or line[::-1] != list(runs):
        raise ConfigError("not the file of a run: it is not one run and what it is a fork of", hint="export it again")


async def _missing(store: Store, run: str, rows: list[Row]) -> list[Row]:
    """The events that are not there yet. Raises Conflict where another one is."""
    there = await store.events(run)
    for mine, theirs in zip(rows, there, strict=False):
        if mine != theirs:
            raise Conflict(
                f"run {run} is in the store already, with another event {mine.seq}",
                mine=mine,
                theirs=theirs,
                hint="import it into another store (--store), where it has its id to itself",
            )
    return rows[len(there) :]


def _without_contents(rows: list[Row]) -> Row:
    """What says in the run itself that its contents are not there."""
    last = rows[-1]
    ended = max((row.time for row in rows if row.kind == _FINISHED), default=last.time)
    event = ContentsPruned(run=last.run, seq=last.seq + 1, time=last.time, ended=ended)
    return Row(event.run, event.seq, event.time, kind_of(event), encode(event))
