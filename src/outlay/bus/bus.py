"""The bus over any broker: names, limits, back-pressure and closing are decided here, once for all of them."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from outlay.bus.broker import Broker, Buried, Put
from outlay.bus.consumer import BusConsumer
from outlay.bus.envelope import Content, seal, unseal
from outlay.bus.message import BusMessage, Hold
from outlay.errors import BusFailed, ConfigError, Conflict
from outlay.protocols.bus import BusLimits, DeadLetter, Headers, Message
from outlay.values.label import untrusted

_log = logging.getLogger("outlay.bus")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: Characters of a recipient, a key or an id.
_LONGEST = 512
#: The one group of an inbox.
_OWNER = "owner"
_NO_HEADERS = Headers()


class MessageBus:
    """A `Bus`: see `protocols.bus`. `now` is the wall clock, in seconds since the epoch."""

    def __init__(self, broker: Broker, limits: BusLimits, now: Callable[[], float]) -> None:
        self._broker = broker
        self._limits = limits
        self._now = now
        self._closed = False
        self._consumers: weakref.WeakSet[BusConsumer] = weakref.WeakSet()
        self._hold = Hold(broker, limits, now, self._check, lambda message: None)

    async def publish(
        self, topic: str, body: Any, *, key: str | None = None, id: str | None = None, headers: Headers = _NO_HEADERS
    ) -> str:
        return await self._put(_name("topic", topic), body, key, id, headers)

    async def send(
        self,
        recipient: str,
        body: Any,
        *,
        key: str | None = None,
        id: str | None = None,
        headers: Headers = _NO_HEADERS,
    ) -> str:
        return await self._put(_address(recipient), body, key, id, headers)

    async def _put(self, topic: str, body: Any, key: str | None, id: str | None, headers: Headers) -> str:
        self._check()
        id = uuid.uuid4().hex if id is None else _text("id", id)
        key = None if key is None else _text("key", key)
        limit = self._limits.max_bytes
        envelope = seal(topic, id, key, body, headers, published=self._now(), limit=limit)
        empty = 0
        while True:
            seen = self._broker.seen(topic)
            if await self._broker.put(envelope) is not Put.FULL:
                return id
            await self._broker.changed(topic, seen, empty)
            empty += 1
            self._check()

    async def subscribe(self, topic: str, group: str) -> None:
        self._check()
        await self._broker.subscribe(_name("topic", topic), _name("group", group))

    def consume(self, topic: str, *, group: str = "default", max_in_flight: int = 16) -> BusConsumer:
        return self._consumer(_name("topic", topic), _name("group", group), max_in_flight)

    def inbox(self, recipient: str, *, max_in_flight: int = 16) -> BusConsumer:
        return self._consumer(_address(recipient), _OWNER, max_in_flight)

    def _consumer(self, topic: str, group: str, max_in_flight: int) -> BusConsumer:
        self._check()
        consumer = BusConsumer(topic, group, max_in_flight, self._hold)
        self._consumers.add(consumer)
        return consumer

    async def serve(
        self,
        topic: str,
        handle: Callable[[Message], Awaitable[object]],
        *,
        group: str = "default",
        max_in_flight: int = 16,
    ) -> None:
        async with (
            asyncio.TaskGroup() as tasks,
            self.consume(topic, group=group, max_in_flight=max_in_flight) as messages,
        ):
            async for message in messages:
                tasks.create_task(_handle(message, handle))

    async def dead_letters(self, topic: str, *, group: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """`topic` may be `@` and a recipient, as it stands in a direct message."""
        self._check()
        topic = _address(topic[1:]) if topic.startswith("@") else _name("topic", topic)
        return [_letter(buried) for buried in await self._broker.buried(topic, group, limit)]

    async def forget(self, letter: DeadLetter) -> None:
        self._check()
        await self._broker.forget(letter.topic, letter.place)

    async def close(self) -> None:
        if self._closed:
            return
        for consumer in list(self._consumers):
            await consumer.aclose()
        self._closed = True
        await self._broker.close()

    async def __aenter__(self) -> MessageBus:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _check(self) -> None:
        if self._closed:
            raise ConfigError("the bus is closed", hint="keep it open until its publishers and consumers are done")


async def _handle(message: BusMessage, handle: Callable[[Message], Awaitable[object]]) -> None:
    try:
        async with message:
            await handle(message)
    except (Conflict, BusFailed) as error:
        _log.warning("%r: %s", message, error.message)
    except Exception as error:
        # Its text is the reason that the message carries; logs get no contents.
        _log.info("%r was refused: %s", message, type(error).__name__)


def _name(kind: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}",
            hint="use 1 to 64 of A-Z a-z 0-9 _ . - (a recipient of direct messages may be any text)",
        )
    return name


def _address(recipient: str) -> str:
    return "@" + _text("recipient", recipient)


def _text(kind: str, text: str) -> str:
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"a {kind} must be text of 1 to {_LONGEST} characters, not {str(text)[:80]!r}")
    return text


def _letter(buried: Buried) -> DeadLetter:
    try:
        content = unseal(buried.topic, buried.payload)
    except ConfigError:
        content = Content("", None, buried.payload, Headers(label=untrusted("bus")), buried.time)
    return DeadLetter(
        topic=buried.topic,
        group=buried.group,
        id=content.id,
        key=content.key,
        body=content.body,
        headers=content.headers,
        attempts=buried.attempts,
        reason=buried.reason,
        time=buried.time,
        place=buried.place,
    )
