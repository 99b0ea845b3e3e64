"""Log: records in one order for all. A number in one document, and a document for each record, in one commit."""

from __future__ import annotations

import builtins
from typing import Any

from outlay.errors import ConfigError
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Store
from outlay.sharing import names
from outlay.sharing.actor import Actor
from outlay.sharing.commits import HEADS, Series, commit
from outlay.sharing.labels import label_of
from outlay.sharing.packing import pack, plain, unpack
from outlay.values.shared import LogRecord

LOG = "shared.log"
#: Records that are read at a time: those whose keys begin alike.
_BLOCK = 256


class Log:
    """`protocols.shared.Log` over a store."""

    __slots__ = ("_actor", "_key", "_name", "_store")

    def __init__(self, store: Store, actor: Actor, space: str, name: str) -> None:
        self._store = store
        self._actor = actor
        self._name = names.entry(name)
        self._key = f"{space}/{names.quoted(name)}"

    def __repr__(self) -> str:
        return f"Log({self._name!r})"

    async def append(self, value: Any) -> int:
        what = f"a record of the log {self._name!r}"
        body = pack(plain(value, what), self._actor.label, what)
        series = Series(f"log {self._key}", lambda number: [Change(LOG, self._place(number - 1), body, 0)])

        async def work(once: str) -> Any:
            return (await commit(self._store, once, None, series)).number - 1

        return await self._actor.effect("log.append", {"key": self._key, "body": body.decode()}, work)

    async def read(self, start: int = 0, limit: int | None = None) -> builtins.list[LogRecord]:
        if start < 0 or (limit is not None and limit < 0):
            raise ConfigError(f"log {self._name!r}: start={start}, limit={limit}", hint="positions count from 0")

        async def work(_: str) -> Any:
            return [[position, unpack(found.body)] for position, found in await self._found(start, limit)]

        records: builtins.list[LogRecord] = []
        for position, found in await self._actor.effect(
            "log.read", {"key": self._key, "start": start, "limit": limit}, work
        ):
            self._actor.met(label_of(found.get("label")))
            records.append(LogRecord(position, found["value"]))
        return records

    async def _found(self, start: int, limit: int | None) -> builtins.list[tuple[int, Document]]:
        """By blocks, and not by the end: a record appended meanwhile is there or not, and none before it is missing."""
        found: builtins.list[tuple[int, Document]] = []
        position = start
        while limit is None or len(found) < limit:
            block = await self._store.list(LOG, self._place(position)[:-4])
            wanted = block[position % _BLOCK :]
            found += zip(range(position, position + len(wanted)), wanted, strict=True)
            position += len(wanted)
            if len(block) < _BLOCK:
                break
        return found[:limit]

    async def end(self) -> int:
        async def work(_: str) -> Any:
            head = await self._store.read(HEADS, f"log {self._key}")
            return 0 if head is None else head.version

        return await self._actor.effect("log.end", {"key": self._key}, work)

    def _place(self, position: int) -> str:
        return f"{self._key}/{position // _BLOCK:012d}/{position % _BLOCK:04d}"
