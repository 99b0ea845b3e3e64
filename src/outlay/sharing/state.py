"""State: names with values that several agents read and write, none of them over another's change unknowingly."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from outlay.errors import ConfigError, Conflict
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Store
from outlay.sharing import names
from outlay.sharing.actor import OUTSIDE, Actor
from outlay.sharing.artifacts import Artifacts
from outlay.sharing.commits import ATTEMPTS, Committed, commit
from outlay.sharing.labels import label_of
from outlay.sharing.log import Log
from outlay.sharing.outbox import packed, series
from outlay.sharing.packing import pack, plain, unpack
from outlay.sharing.turns import turn
from outlay.values.shared import Entry, Outgoing

STATE = "shared.state"


class State:
    """`protocols.shared.State` over a store: `State(store, "team")` is what runs reach as `ctx.state.space("team")`."""

    __slots__ = ("_actor", "_space", "_store")

    def __init__(self, store: Store, space: str, *, actor: Actor = OUTSIDE) -> None:
        self._store = store
        self._space = names.space(space)
        self._actor = actor

    @classmethod
    def of_run(cls, store: Store, run_id: str, *, actor: Actor = OUTSIDE) -> State:
        """The space of one run, which it reaches as `ctx.state`."""
        state = cls(store, run_id, actor=actor)
        state._space = f"@{run_id}"  # no shared space can be called that
        return state

    def __repr__(self) -> str:
        return f"State({self._space!r})"

    def space(self, name: str) -> State:
        return State(self._store, name, actor=self._actor)

    def log(self, name: str) -> Log:
        return Log(self._store, self._actor, self._space, name)

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self._store, self._actor, self._space)

    async def get(self, name: str) -> Entry:
        key = self._key(name)

        async def work(_: str) -> Any:
            return _as_json(await self._store.read(STATE, key))

        return self._entry(name, await self._actor.effect("state.get", {"key": key}, work))

    async def list(self, prefix: str = "") -> builtins.list[Entry]:
        start = f"{self._space}/{names.prefix(prefix)}"

        async def work(_: str) -> Any:
            return [[found.key, _as_json(found)] for found in await self._store.list(STATE, start)]

        listed = await self._actor.effect("state.list", {"prefix": start}, work)
        return [self._entry(key[len(self._space) + 1 :], found) for key, found in listed]

    async def set(self, name: str, value: Any, *, version: int, outbox: Sequence[Outgoing] = ()) -> Entry:
        return await self._write(name, value, _checked(version, name), outbox)

    async def overwrite(self, name: str, value: Any, *, outbox: Sequence[Outgoing] = ()) -> Entry:
        return await self._write(name, value, None, outbox)

    async def update(
        self, name: str, function: Callable[[Any], Any], *, default: Any = None, outbox: Sequence[Outgoing] = ()
    ) -> Entry:
        key, what, messages = self._key(name), f"the value of {name!r}", packed(outbox, self._actor)

        async def work(once: str) -> Any:
            async with turn(self._store, key):
                return await changed(once)

        async def changed(once: str) -> Any:
            found = _as_json(await self._store.read(STATE, key))
            for _ in range(ATTEMPTS):
                self._actor.met(label_of(found.get("label")))
                before = found["value"] if found["version"] else plain(default, what)
                value = function(before)
                if value is None and before is not None:
                    raise ConfigError(
                        f"the update of {name!r} returned None",
                        hint="return the new value, also where the old one was changed in place; or use delete",
                    )
                change = Change(STATE, key, pack(plain(value, what), self._actor.label, what), found["version"])
                try:
                    done = await commit(self._store, once, change, series(messages, once), remember=True)
                except Conflict as conflict:
                    found = _as_json(conflict.theirs)
                else:
                    change = replace(change, body=done.body)
                    return await self._written(change, done)
            raise Conflict(
                f"{name!r}: others were faster {ATTEMPTS} times in a row",
                theirs=found.get("value"),
                version=found["version"],
                path=self._actor.path,
                hint="fewer writers at once, or a name for each and a sum of them where it is read",
            )

        # One effect, however many races it lost: a thousand branches at once would record half a million.
        arguments = {"key": key, "default": plain(default, what), "outbox": messages}
        return self._entry(name, await self._actor.effect("state.update", arguments, work))

    async def delete(self, name: str, *, version: int, outbox: Sequence[Outgoing] = ()) -> None:
        key = self._key(name)
        if not _checked(version, name):
            raise ConfigError(f"{name!r}: there is no version 0 to delete", hint="write version=entry.version")
        await self._commit("state.delete", name, Change(STATE, key, None, version), None, outbox)

    async def _write(self, name: str, value: Any, expect: int | None, outgoing: Sequence[Outgoing]) -> Entry:
        key, what = self._key(name), f"the value of {name!r}"
        value = plain(value, what)
        change = Change(STATE, key, pack(value, self._actor.label, what), expect)
        version = await self._commit("state.set", name, change, value, outgoing)
        return Entry(name, value, version)

    async def _commit(self, what: str, name: str, change: Change, value: Any, outgoing: Sequence[Outgoing]) -> int:
        messages = packed(outgoing, self._actor)
        body = None if change.body is None else change.body.decode()
        arguments = {"key": change.key, "body": body, "expect": change.expect, "outbox": messages}

        async def work(once: str) -> Any:
            try:
                done = await commit(self._store, once, change, series(messages, once))
            except Conflict as conflict:
                return {"conflict": _as_json(conflict.theirs)}
            return await self._written(change, done)

        found = await self._actor.effect(what, arguments, work)
        if "conflict" not in found:
            return found["version"]
        theirs = self._entry(name, found["conflict"])
        raise Conflict(
            f"{name!r} is at version {theirs.version or 'none'} by now, not at {change.expect or 'none'}",
            mine=value,
            theirs=theirs.value,
            version=theirs.version,
            path=self._actor.path,
            hint="merge .mine and .theirs and write with version=conflict.version, or use update; overwrite ignores it",
        )

    async def _written(self, change: Change, done: Committed) -> dict[str, Any]:
        """What a write gave. A repeat may not know its version any more: that of the same body, or a stale one where
        somebody has written since."""
        version = done.version
        if version is None:
            now = await self._store.read(STATE, change.key)
            version = 1 if now is None else now.version if now.body == change.body else max(1, now.version - 1)
        return {**(unpack(change.body) if change.body else {}), "version": version}

    def _key(self, name: str) -> str:
        return f"{self._space}/{names.entry(name)}"

    def _entry(self, name: str, found: Any) -> Entry:
        self._actor.met(label_of(found.get("label")))
        return Entry(name, found.get("value"), found["version"])


def _as_json(found: Document | None) -> dict[str, Any]:
    return {"version": 0} if found is None else {**unpack(found.body), "version": found.version}


def _checked(version: Any, name: str) -> int:
    if isinstance(version, int) and not isinstance(version, bool) and version >= 0:
        return version
    raise ConfigError(
        f"{name!r}: version={version!r} is no version",
        hint="write version=entry.version of what you read, 0 for a new name, or use overwrite for last-writer-wins",
    )
