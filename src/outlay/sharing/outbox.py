"""Outbox: messages committed with the state change that causes them, sent to a bus afterwards (at least once).

The order on the bus is the order of the commits. A relay that dies between sending and deleting sends again under the
same id, and the bus or its consumers drop what they know. Sender and label travel in the headers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from outlay.errors import ConfigError, Conflict, one_line
from outlay.protocols.bus import Headers
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Store
from outlay.sharing import names
from outlay.sharing.actor import Actor
from outlay.sharing.commits import HEADS, Series
from outlay.sharing.labels import label_as_json, label_of
from outlay.sharing.packing import pack, plain
from outlay.values.label import TRUSTED
from outlay.values.shared import Outgoing

OUTBOX = "shared.outbox"
_HEAD = "outbox"
#: Where relays begin to look: the number below which everything is sent.
_SENT = "shared.outbox.sent"
#: Numbers that are read at a time: those whose keys begin alike.
_BLOCK = 256
log = logging.getLogger("outlay")


class Publisher(Protocol):
    """What the outbox needs of a bus: `outlay.bus` has it."""

    async def publish(
        self, topic: str, body: Any, *, key: str | None = None, id: str | None = None, headers: Headers = ...
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class Relayed:
    """What one pass did: messages sent, and those that stay, by id, with the reason."""

    sent: int
    waiting: Mapping[str, str]


class Outbox:
    """The messages of a store that wait for the bus. Any number of processes may relay them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def waiting(self) -> list[Outgoing]:
        """In the order of their commits."""
        return [_message(found) async for _, found in self._entries(await self._first())]

    async def publish(self, bus: Publisher) -> Relayed:
        """Send what waits, once through. One that the bus refuses stays, with all behind it of its topic and key."""
        sent, waiting = 0, dict[str, str]()
        blocked: dict[tuple[str, str | None], str] = {}
        first = await self._first()
        oldest = last = None
        async for last, found in self._entries(first):
            message = _message(found)
            line = (message.topic, message.key)
            reason = f"behind {blocked[line]}" if line in blocked else await self._refused(bus, message, found)
            if reason:
                waiting[message.id] = reason
                blocked.setdefault(line, message.id)
                oldest = last if oldest is None else oldest
            else:
                sent += 1
                await self._forget(found)
        if last is not None:
            # Another relay may set it back: then one pass looks at more, and finds nothing there.
            start = str(oldest or last + 1).encode()
            await self._store.commit([Change(_SENT, "outbox", start, None)])
        return Relayed(sent, waiting)

    async def drop(self, id: str) -> bool:
        """Give a message up, such as one that is larger than the bus takes; False where it does not wait here."""
        async for _, found in self._entries(await self._first()):
            if _message(found).id == id:
                await self._forget(found)
                return True
        return False

    async def _refused(self, bus: Publisher, message: Outgoing, found: Document) -> str:
        try:
            await bus.publish(message.topic, message.body, key=message.key, id=message.id, headers=_headers(found))
        except Exception as error:
            return one_line(error)
        return ""

    async def _first(self) -> int:
        found = await self._store.read(_SENT, "outbox")
        return 1 if found is None else int(found.body)

    async def _entries(self, first: int) -> AsyncIterator[tuple[int, Document]]:
        """What waits, with its commit's number, from `first` on. What is sent leaves a trace in the store: from the
        beginning, each pass would take longer than the one before."""
        head = await self._store.read(HEADS, _HEAD)
        last = 0 if head is None else head.version
        for block in range(first // _BLOCK, last // _BLOCK + 1):
            for found in await self._store.list(OUTBOX, f"{block:012d}/"):
                yield block * _BLOCK + int(found.key.split("/")[1]), found

    async def relay(self, bus: Publisher, *, every: float = 0.5) -> None:
        """Publish until cancelled, looking each `every` seconds. What the bus refuses is logged and tried again."""
        told: Mapping[str, str] = {}
        while True:
            done = await self.publish(bus)
            for id, reason in done.waiting.items():
                if told.get(id) != reason:
                    log.warning("outbox message %s is not sent: %s", id, reason)
            told = done.waiting
            await asyncio.sleep(every)

    async def _forget(self, found: Document) -> None:
        try:
            await self._store.commit([Change(OUTBOX, found.key, None, found.version)])
        except Conflict:
            return  # another relay sent it as well, and was faster


def packed(outgoing: Sequence[Outgoing], actor: Actor) -> list[dict[str, Any]]:
    """Messages as JSON, checked before anything is written. Raises ConfigError."""
    if outgoing and not actor.keeps:
        raise ConfigError(
            "a message in the outbox would be lost: this run has no store",
            path=actor.path,
            hint="give run(…, store=), where a relay can find it",
        )
    messages: list[dict[str, Any]] = []
    for message in outgoing:
        what = f"the message to {message.topic!r}"
        one: dict[str, Any] = {
            "topic": names.entry(message.topic),
            "body": plain(message.body, what),
            "key": message.key,
            "id": message.id,
            "sender": actor.path,
            "label": label_as_json(actor.label),
        }
        pack(one["body"], TRUSTED, what)  # for its limit
        messages.append(one)
    return messages


def series(messages: Sequence[dict[str, Any]], once: str) -> Series | None:
    """The messages as what takes the outbox's next number; one without an id gets one."""
    if not messages:
        return None
    batch = once or secrets.token_hex(12)
    bodies = [
        json.dumps({**one, "id": one["id"] or f"{batch}.{i}"}, ensure_ascii=False).encode()
        for i, one in enumerate(messages)
    ]

    def changes(number: int) -> list[Change]:
        place = f"{number // _BLOCK:012d}/{number % _BLOCK:04d}"
        return [Change(OUTBOX, f"{place}/{i:04d}", body, 0) for i, body in enumerate(bodies)]

    return Series(_HEAD, changes)


def _headers(found: Document) -> Headers:
    one = json.loads(found.body)
    return Headers(one["sender"], label_of(one["label"]))


def _message(found: Document) -> Outgoing:
    one = json.loads(found.body)
    return Outgoing(one["topic"], one["body"], one["key"], one["id"])
