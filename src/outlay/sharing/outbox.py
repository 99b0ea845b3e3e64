"""Outbox: messages committed with the state change that causes them, sent to a bus afterwards (at least once).

The order on the bus is the order of the commits. A relay that dies between sending and deleting sends again under the
same id; consumers drop what they know. A bus carries no labels: who reads a message takes it as untrusted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from outlay.errors import ConfigError, Conflict, one_line
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Store
from outlay.sharing import names
from outlay.sharing.actor import Actor
from outlay.sharing.commits import Series
from outlay.sharing.packing import pack, plain
from outlay.values.label import TRUSTED
from outlay.values.shared import Outgoing

OUTBOX = "shared.outbox"
log = logging.getLogger("outlay")


class Publisher(Protocol):
    """What the outbox needs of a bus."""

    async def publish(self, topic: str, body: Any, *, key: str | None = None, id: str | None = None) -> Any: ...


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
        return [_message(found) for found in await self._store.list(OUTBOX)]

    async def publish(self, bus: Publisher) -> Relayed:
        """Send what waits, once through. One that the bus refuses stays, with all behind it of its topic and key."""
        sent, waiting = 0, dict[str, str]()
        blocked: dict[tuple[str, str | None], str] = {}
        for found in await self._store.list(OUTBOX):
            message = _message(found)
            line = (message.topic, message.key)
            if line in blocked:
                waiting[message.id] = f"behind {blocked[line]}"
                continue
            try:
                await bus.publish(message.topic, message.body, key=message.key, id=message.id)
            except Exception as error:
                waiting[message.id] = one_line(error)
                blocked[line] = message.id
                continue
            sent += 1
            await self._forget(found)
        return Relayed(sent, waiting)

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
    return Series(
        "outbox",
        lambda number: [Change(OUTBOX, f"{number:016d}.{i:04d}", body, 0) for i, body in enumerate(bodies)],
    )


def _message(found: Document) -> Outgoing:
    one = json.loads(found.body)
    return Outgoing(one["topic"], one["body"], one["key"], one["id"])
