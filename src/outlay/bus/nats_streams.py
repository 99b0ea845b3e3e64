"""What a bus keeps on the server: a stream for each topic, a consumer for each partition of each group.

A stream keeps a message until every consumer has acknowledged it (interest retention). As long as a topic has no group
a consumer of nobody holds its messages for the first one to come. Whoever makes the first group marks the stream, then
removes that consumer; whoever makes that consumer looks for the mark afterwards. So in every order it goes, and never
before there is a group.
"""

# nats-py types its functions but not their keyword arguments.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StreamConfig,
)
from nats.js.errors import BadRequestError, NotFoundError, ServerError

from outlay.bus.nats_names import Address, token
from outlay.errors import ConfigError
from outlay.protocols.bus import BusLimits

#: The consumer of nobody.
_FIRST = "first"
#: In the metadata of a stream that has, or had, a group.
_MARK = "grouped"
#: Messages without a key that a group may have in hand at once.
_LOOSE = 10_000


@dataclass(frozen=True, slots=True)
class Topic:
    """`partitions` are numbered from 0; the subject after the last is for messages without a key."""

    name: str
    stream: str
    subject: str
    hint: str
    partitions: int

    @property
    def loose(self) -> int:
        return self.partitions

    @property
    def lanes(self) -> range:
        return range(self.partitions + 1)


class Streams:
    """Makes what is missing and remembers what is there."""

    def __init__(self, js: JetStreamContext, address: Address, limits: BusLimits) -> None:
        self._js = js
        self._address = address
        self._limits = limits
        self._topics: dict[str, Topic] = {}
        self._groups: set[tuple[str, str]] = set()
        self._making = asyncio.Lock()
        self.dead = f"{address.name}-dead"

    def dead_subject(self, topic: str, group: str | None) -> str:
        return f"{self._address.name}.dead.{token(topic)}.{'*' if group is None else token(group)}"

    async def topic(self, name: str) -> Topic:
        if (found := self._topics.get(name)) is not None:
            return found
        async with self._making:
            if name not in self._topics:
                self._topics[name] = await self._make_topic(name)
            return self._topics[name]

    async def _make_topic(self, name: str) -> Topic:
        word, bus = token(name), self._address.name
        stream, subject = f"{bus}-{word}", f"{bus}.bus.{word}"
        try:
            info = await self._js.stream_info(stream)
        except NotFoundError:
            # Several processes may do this at once: whoever is late finds the stream of the first.
            with contextlib.suppress(BadRequestError):
                await self._js.add_stream(self._stream(name, stream, subject))
            info = await self._js.stream_info(stream)
        if not _is_marked(info.config):
            nobody = ConsumerConfig(durable_name=_FIRST, ack_policy=AckPolicy.EXPLICIT)
            await self._js.add_consumer(stream, nobody)
            info = await self._js.stream_info(stream)
            if _is_marked(info.config):
                await self._remove_nobody(stream)
        config = info.config
        _compare(f"topic {name}", "high_water", config.max_msgs, self._limits.high_water)
        _compare(f"topic {name}", "window", config.duplicate_window, self._limits.window)
        partitions = int((config.metadata or {}).get("partitions", "1"))
        return Topic(name, stream, subject, f"{bus}.hint.{word}", partitions)

    def _stream(self, name: str, stream: str, subject: str) -> StreamConfig:
        # An inbox has one reader, who takes one message after another.
        partitions = 1 if name.startswith("@") else self._address.partitions
        return StreamConfig(
            name=stream,
            description=name,
            subjects=[f"{subject}.*"],
            retention=RetentionPolicy.INTEREST,
            discard=DiscardPolicy.NEW,
            max_msgs=self._limits.high_water,
            duplicate_window=self._limits.window,
            num_replicas=self._address.replicas,
            metadata={"partitions": str(partitions)},
        )

    def consumer(self, group: str, partition: int) -> str:
        return f"{token(group)}-{partition}"

    async def group(self, topic: Topic, group: str) -> None:
        """Make the group's consumers where they are missing."""
        if (topic.name, group) in self._groups:
            return
        found = await asyncio.gather(*[self._info(topic.stream, self.consumer(group, i)) for i in topic.lanes])
        for config in filter(None, found):
            _compare(f"group {group} of {topic.name}", "visibility", config.ack_wait, self._limits.visibility)
        stream = (await self._js.stream_info(topic.stream)).config
        policy = DeliverPolicy.NEW if _is_marked(stream) else DeliverPolicy.ALL
        missing = [lane for lane, config in zip(topic.lanes, found, strict=True) if config is None]
        await asyncio.gather(*[self._make_consumer(topic, group, lane, policy) for lane in missing])
        # Only now: from here on the group holds what was waiting for it.
        if not _is_marked(stream):
            stream.metadata = {**(stream.metadata or {}), _MARK: "yes"}
            await self._js.update_stream(stream)
        await self._remove_nobody(topic.stream)
        self._groups.add((topic.name, group))

    async def _remove_nobody(self, stream: str) -> None:
        with contextlib.suppress(NotFoundError):
            await self._js.delete_consumer(stream, _FIRST)

    async def _info(self, stream: str, consumer: str) -> ConsumerConfig | None:
        try:
            return (await self._js.consumer_info(stream, consumer)).config
        except NotFoundError:
            return None

    async def _make_consumer(self, topic: Topic, group: str, lane: int, policy: DeliverPolicy) -> None:
        config = ConsumerConfig(
            durable_name=self.consumer(group, lane),
            filter_subject=f"{topic.subject}.{lane}",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._limits.visibility,
            deliver_policy=policy,
            # The order of a key: the server gives out no second message of a lane before the first is settled.
            max_ack_pending=_LOOSE if lane == topic.loose else 1,
            # Who counts is the bus, which says why.
            max_deliver=-1,
        )
        # Another member of the group was faster, while its topic was still without one.
        with contextlib.suppress(ServerError):
            await self._js.add_consumer(topic.stream, config)

    async def make_dead(self) -> None:
        """The stream of the dead letters of all topics."""
        await self._js.add_stream(
            StreamConfig(
                name=self.dead, subjects=[f"{self._address.name}.dead.*.*"], num_replicas=self._address.replicas
            )
        )


def _is_marked(stream: StreamConfig) -> bool:
    return _MARK in (stream.metadata or {})


def _compare(whose: str, limit: str, theirs: float | None, ours: float) -> None:
    if theirs != ours:
        raise ConfigError(
            f"{whose} has {limit} {theirs:g} on the server, not {ours:g}",
            hint="open the bus with the same BusLimits everywhere, or remove the stream on the server",
        )
