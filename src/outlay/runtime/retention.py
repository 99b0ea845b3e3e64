"""Retention: deleting old runs, and the contents that nothing names any more (issue 4, part 10).

Safe beside runs that are going, by three rules:

- A run is marked (`contents_pruned`) before it goes. The mark takes the next place in its order, so that whoever
  resumes it at the same moment is refused, or refuses the mark.
- Forks are looked up again after the mark; a fork looks for the mark after its first event (`recall.check_kept`). One
  of the two sees the other.
- A content stays for a while after anybody kept it, also if it had been there before (`protocols.upkeep`): it is kept
  before the event that names it is written.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from outlay.analysis.references import linked_from, named_in
from outlay.analysis.retention import KINDS, Life, Plan, Reason, lives, needed_by_forks, plan
from outlay.errors import ConfigError, Conflict
from outlay.events.codec import decode, encode, kind_of
from outlay.events.records import ContentsPruned
from outlay.protocols.store import Row, Store
from outlay.protocols.upkeep import GRACE_SECONDS
from outlay.runtime.inbox import Inbox
from outlay.runtime.ownership import ownership_in
from outlay.runtime.session import COLLECTION as SESSIONS

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was done. `runs` went (or only their contents), `kept` are old enough and stayed; `contents` were deleted,
    and `freed` bytes given back to the system: None where that could not be done now."""

    runs: tuple[Life, ...]
    kept: Mapping[str, Reason]
    contents: int
    freed: int | None


async def plan_for(store: Store, before: float, *, keep_events: bool = False) -> Plan:
    """The runs that ended before `before` (seconds since the epoch) and may go. Nothing is changed."""
    known = await _lives(store)
    old = [life for life in known.values() if life.ended < before]
    ownership = ownership_in(store)
    busy = [life.run for life in old if await ownership.is_worked_on(life.run, _owner(life), time.time)]
    waiting = {item.run_id for item in await Inbox(store).list()}
    held = await _held(store)
    return plan(known, before, waiting=waiting, busy=busy, held=held, keep_events=keep_events)


async def _held(store: Store) -> set[str]:
    """The runs that hold a session. One that came to its end and died has its turn of the conversation in its last
    event alone, until the session's next run looks for it there."""
    holders = [json.loads(document.body).get("holder") for document in await store.list(SESSIONS)]
    return {holder["run"] for holder in holders if holder}


async def prune(store: Store, chosen: Plan, *, keep_events: bool = False, grace: float = GRACE_SECONDS) -> Pruned:
    """Delete the runs of a plan, or only their contents, and whatever content nothing names any more.

    A run that has gone on since the plan was made stays. `grace` is how many seconds ago a content must have been kept
    last to be deleted.
    """
    marked: list[Life] = []
    for start in range(0, len(chosen.go), _AT_ONCE):
        some = chosen.go[start : start + _AT_ONCE]
        marks = await asyncio.gather(*(_mark(store, life) for life in some))
        marked += [life for life, done in zip(some, marks, strict=True) if done]
    gone = marked
    if not keep_events:
        known = await _lives(store)
        needed = needed_by_forks(known, known.keys() - {life.run for life in marked})
        last = {life.run: known[life.run].last for life in marked if life.run in known and life.run not in needed}
        forgotten = set(await store.forget(last))
        gone = [life for life in marked if life.run in forgotten]
        await ownership_in(store).forget(life.run for life in gone)
    contents = await sweep(store, grace)
    freed: int | None = 0
    if gone or contents:
        try:
            freed = await store.compact()
        except ConfigError:  # somebody else is at it: later writes use the room again
            freed = None
    return Pruned(tuple(gone), chosen.kept, contents, freed)


async def sweep(store: Store, grace: float = GRACE_SECONDS) -> int:
    """Delete the contents that nothing names and nobody has kept for `grace` seconds; how many."""
    before = time.time() - grace
    there = set(await store.digests())
    named = await _named(store, there)
    return await store.sweep(sorted(there - named), before)


async def _named(store: Store, there: set[bytes]) -> set[bytes]:
    """What events and documents name among the contents that are there, and what these go on from."""
    known = await _lives(store)
    needed = needed_by_forks(known, known)
    found: set[bytes] = set()
    for document in await store.documents():
        found |= named_in(document.body) & there
    for life in known.values():
        if not life.pruned or life.run in needed:
            found |= _names(await store.events(life.run)) & there
    named, next_ones = set(found), list(found)
    while next_ones:
        some, next_ones = next_ones[:_AT_ONCE], next_ones[_AT_ONCE:]
        for content in (await store.blobs(some)).values():
            new = (linked_from(content) & there) - named
            named |= new
            next_ones += new
    return named


def _names(rows: Iterable[Row]) -> set[bytes]:
    return {digest for row in rows for digest in named_in(row.body)}


async def _mark(store: Store, life: Life) -> bool:
    """Say in the run that its contents go. False where somebody has gone on with it."""
    if life.pruned:
        return True
    event = ContentsPruned(run=life.run, seq=life.last + 1, time=time.time(), ended=life.ended)
    try:
        store.append((Row(life.run, event.seq, event.time, kind_of(event), encode(event)),))
        await store.flush(life.run)
    except Conflict:
        return False
    return True


async def _lives(store: Store) -> dict[str, Life]:
    spans = await store.runs()
    rows: Sequence[Row] = await store.events(None, KINDS)
    return lives(spans, (decode(row.body) for row in rows))


def _owner(life: Life) -> str:
    """Who may still be at it; nobody where it came to an end."""
    return "" if life.outcome or life.pruned else life.owner
