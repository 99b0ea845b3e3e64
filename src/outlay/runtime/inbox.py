"""The inbox of a store: what runs wait for, as documents that survive restarts.

An item stands in one of two collections: `inbox` while somebody may decide it, `inbox.closed` once its run has taken
the decision, given up waiting, or ended. Whoever decides or closes does so by compare-and-set, so an item is decided
once, whichever processes try.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from outlay.errors import ConfigError, Conflict, StoreFailed
from outlay.protocols.documents import Change, Document, Documents
from outlay.runtime.pending import Decided, Pending, dump, load

_OPEN = "inbox"
_CLOSED = "inbox.closed"


class Inbox:
    def __init__(self, store: Documents) -> None:
        self._store = store

    async def open(self, item: Pending) -> Pending:
        """Write the item, durable on return; or the one that is there, if it is open or decided."""
        while True:
            there = await self._read(item.id)
            if there is not None:
                found = _item(there)
                if not found.closed or found.decision is not None:
                    return found
            changes = [Change(_OPEN, item.id, dump(item), 0)]
            if there is not None:  # it was given up: the run asks again
                changes.append(Change(_CLOSED, item.id, None, there.version))
            try:
                await self._store.commit(changes)
            except Conflict:
                continue
            return item

    async def read(self, id: str) -> Pending | None:
        there = await self._read(id)
        return None if there is None else _item(there)

    async def list(self, *, prefix: str = "", closed: bool = False) -> list[Pending]:
        """The open items whose id begins with `prefix`, oldest first; those that are closed too, if asked for."""
        found = await self._store.list(_OPEN, prefix)
        if closed:
            found += await self._store.list(_CLOSED, prefix)
        return sorted(map(_item, found), key=lambda item: (item.created, item.id))

    async def decide(self, id: str, decided: Decided) -> Pending:
        """Decide an item. Raises Conflict where it is decided, expired (at `decided.time`) or closed."""
        while True:
            there = await self._read(id)
            if there is None:
                raise ConfigError(f"there is no item {id!r} in the inbox", hint="`outlay approvals` lists what is open")
            item = _item(there)
            if (refusal := _refusal(item, decided)) is not None:
                raise refusal
            item = replace(item, decision=decided)
            try:
                await self._store.commit((Change(_OPEN, id, dump(item), there.version),))
            except Conflict:
                continue  # somebody was quicker: with what?
            return item

    async def first(self, id: str, decided: Decided) -> Decided:
        """This decision, or the one that was there before it."""
        try:
            await self.decide(id, decided)
        except Conflict as taken:
            return taken.theirs if isinstance(taken.theirs, Decided) else decided
        return decided

    async def expire(self, item: Pending) -> Decided | None:
        """Nobody decided in time: the default stands, or whatever was decided at the last moment. None: no default."""
        default = item.on_expiry
        while True:
            there = await self._read(item.id)
            if there is None:
                return default
            found = _item(there)
            if found.decision is not None or found.closed:
                return found.decision
            if default is None:
                await self.close((item.id,))  # who decides later is told; what was decided before is found next
            else:
                try:
                    await self._store.commit(
                        (Change(_OPEN, item.id, dump(replace(found, decision=default)), there.version),)
                    )
                except Conflict:
                    continue

    async def decisions(self, items: Iterable[Pending]) -> dict[str, Decided]:
        """What was decided of these, by id."""
        found: dict[str, Decided] = {}
        for id in dict.fromkeys(item.id for item in items):
            item = await self.read(id)
            if item is not None and item.decision is not None:
                found[id] = item.decision
        return found

    async def close(self, ids: Iterable[str]) -> None:
        """Nobody waits for these any more."""
        for id in ids:
            while (there := await self._store.read(_OPEN, id)) is not None:
                moved = (Change(_OPEN, id, None, there.version), Change(_CLOSED, id, there.body, None))
                try:
                    await self._store.commit(moved)
                except Conflict:
                    continue
                break

    async def _read(self, id: str) -> Document | None:
        return await self._store.read(_OPEN, id) or await self._store.read(_CLOSED, id)


def _item(document: Document) -> Pending:
    try:
        return load(document.body, closed=document.collection == _CLOSED)
    except ValueError as error:
        raise StoreFailed(
            f"the item {document.key} of the inbox cannot be read: {error}",
            hint="the store was changed by hand or by a newer version: restore it, or update outlay",
        ) from error


def _refusal(item: Pending, decided: Decided) -> Conflict | None:
    """Why this can no longer be decided, with both decisions; None where it can."""
    theirs, then = item.decision, "the first decision stands"
    if theirs is None and item.is_expired(decided.time):
        theirs, then = item.on_expiry, "its deadline has passed"
    if theirs is not None:
        who = f" by {theirs.by}" if theirs.by else ""
        why = f" ({theirs.reason})" if theirs.reason else ""
        what = f"item {item.id} was decided{who}: {theirs.answer}{why}"
        return Conflict(f"{what}; {then}", mine=decided, theirs=theirs, path=item.path)
    if item.is_expired(decided.time):
        return Conflict(f"the deadline of item {item.id} has passed", mine=decided, path=item.path)
    if item.closed:
        return Conflict(
            f"nobody waits for item {item.id} any more: run {item.run_id} is over or took another way",
            mine=decided,
            path=item.path,
        )
    return None


def distinct(items: Sequence[Pending]) -> tuple[Pending, ...]:
    """Each item once: several branches may wait for one decision."""
    named: Mapping[str, Pending] = {item.id or str(i): item for i, item in enumerate(items)}
    return tuple(named.values())
