"""One commit of shared things: a change, what takes the next place in a series, and the mark that it was done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outlay.errors import Conflict
from outlay.protocols.documents import Change, Documents
from outlay.sharing.turns import turn

#: The last number given, as its document's version: one series each for the outbox and for every log.
HEADS = "shared.heads"
#: What a run has written, by effect: a resumed run that does it again finds it done.
DONE = "shared.done"
#: Whoever loses a race tries again at once, with what the winner left: each loss is somebody's write, so all of them
#: together never stand still. A pause would make it worse: who has just won is ready first, and wins again (2 processes
#: × 2,000 increments on SQLite: at most 22 losses in a row with growing pauses, 12 without; 8 × 500: 61, and 9).
ATTEMPTS = 1_000


@dataclass(frozen=True, slots=True)
class Series:
    """Changes that take the next number (from 1) of the series `head`."""

    head: str
    changes: Callable[[int], Sequence[Change]]


@dataclass(frozen=True, slots=True)
class Committed:
    """The change's new version (None where a repeat cannot know it any more), the number taken in the series, and
    what was written."""

    version: int | None
    number: int
    body: bytes | None = None


async def commit(
    documents: Documents, once: str, change: Change | None, series: Series | None = None, *, remember: bool = False
) -> Committed:
    """The change and what it takes in the series at once, or nothing. Raises Conflict for the change only.

    With `once` it happens once under this name, however often it is asked for; a repeat that cannot know what it
    would write asks to `remember` it.
    """
    if series is None:
        return await _commit(documents, once, change, None, remember)
    async with turn(documents, series.head):
        return await _commit(documents, once, change, series, remember)


async def _commit(
    documents: Documents, once: str, change: Change | None, series: Series | None, remember: bool
) -> Committed:
    number, body = 0, None if change is None else change.body
    kept = body.decode() if remember and body is not None else None
    head = None if series is None else await documents.read(HEADS, series.head)
    for _ in range(ATTEMPTS):
        changes = [] if change is None else [change]
        if series is not None:
            number = 1 if head is None else head.version + 1
            changes += [Change(HEADS, series.head, b"", number - 1), *series.changes(number)]
        if once:
            known = None if change is None or not change.expect else change.expect + 1
            changes.append(Change(DONE, once, json.dumps([known, number, kept]).encode(), 0))
        try:
            versions = await documents.commit(changes)
        except Conflict as conflict:
            done = await documents.read(DONE, once) if once else None
            if done is not None:
                known, number, kept = json.loads(done.body)
                return Committed(known, number, body if kept is None else kept.encode())
            if conflict.mine.collection != HEADS:
                raise
            head = conflict.theirs
        else:
            return Committed(versions[0], number, body)
    assert series is not None
    raise Conflict(
        f"{series.head}: others were faster {ATTEMPTS} times in a row", hint="fewer writers at once, or several logs"
    )
