"""One commit of shared things: a change, what takes the next place in a series, and the mark that it was done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from outlay.errors import Conflict
from outlay.protocols.documents import Change, Documents
from outlay.sharing.actor import Actor

#: The last number given, as its document's version: one series each for the outbox and for every log.
HEADS = "shared.heads"
#: What a run has written, by effect: a resumed run that does it again finds it done.
DONE = "shared.done"
ATTEMPTS = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.064


@dataclass(frozen=True, slots=True)
class Series:
    """Changes that take the next number (from 1) of the series `head`."""

    head: str
    changes: Callable[[int], Sequence[Change]]


@dataclass(frozen=True, slots=True)
class Committed:
    """The change's new version (None where a repeat cannot know it any more), and the number taken in the series."""

    version: int | None
    number: int


async def commit(
    documents: Documents, actor: Actor, once: str, change: Change | None, series: Series | None = None
) -> Committed:
    """The change and what it takes in the series at once, or nothing. Raises Conflict for the change only.

    With `once` it happens once under this name, however often it is asked for.
    """
    number = 0
    for attempt in range(ATTEMPTS):
        changes = [] if change is None else [change]
        if series is not None:
            head = await documents.read(HEADS, series.head)
            number = 1 if head is None else head.version + 1
            changes += [Change(HEADS, series.head, b"", number - 1), *series.changes(number)]
        if once:
            known = None if change is None or not change.expect else change.expect + 1
            changes.append(Change(DONE, once, json.dumps([known, number]).encode(), 0))
        try:
            versions = await documents.commit(changes)
        except Conflict as conflict:
            done = await documents.read(DONE, once) if once else None
            if done is not None:
                return Committed(*json.loads(done.body))
            if change is not None and _is_about(conflict, change):
                raise
            await pause(actor, attempt)
        else:
            return Committed(versions[0], number)
    assert series is not None
    raise Conflict(
        f"{series.head}: others were faster {ATTEMPTS} times in a row", hint="fewer writers at once, or several logs"
    )


def _is_about(conflict: Conflict, change: Change) -> bool:
    refused: Any = conflict.mine
    return (refused.collection, refused.key) == (change.collection, change.key)


async def pause(actor: Actor, attempt: int) -> None:
    """After a lost race: longer each time, by chance, so that writers come apart."""
    await actor.pause(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10)) * actor.jitter())
