"""The broker for many machines: NATS JetStream keeps, orders, redelivers and clusters; this file asks it to.

See docs/adr/0016-message-bus.md for why a topic has lanes. A claim probes one lane after another with a pull that the
server answers within a millisecond; a hint from whoever published says which lane, so idle consumers need not probe.
"""

# nats-py types its functions but not their keyword arguments.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError
from nats.errors import TimeoutError as NoAnswer
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError, ServiceUnavailableError

from outlay.bus.bells import Bells
from outlay.bus.broker import Buried, Envelope, Lease, Put
from outlay.bus.nats_names import Address, parse, partition, token
from outlay.bus.nats_streams import Streams, Topic
from outlay.errors import BusFailed, ConfigError
from outlay.protocols.bus import BusLimits

_log = logging.getLogger("outlay.bus")
#: Seconds for the server to answer.
_PATIENCE = 5.0
#: Seconds between looks when nothing came of the first one and of many, and between probes of every lane when busy.
_FIRST_LOOK = 0.01
_LAST_LOOK = 0.25
_SWEEP = 1.0
#: "At once or not at all": less than a millisecond counts as one, in nanoseconds.
_PROBE = b'{"batch":1,"expires":1000000}'
#: JetStream's number for "maximum messages exceeded".
_FULL = 10077
#: Bytes beside a payload: the subject, an id, why a letter is dead.
_AROUND = 8 * 2**10
_LONGEST_REASON = 2_000


class _Grave(msgspec.Struct):
    topic: str
    group: str
    attempts: int
    reason: str
    time: float


@dataclass(slots=True)
class _Reader:
    """What this process knows of one group: lanes that may have something, in turn, and those it holds itself."""

    hot: dict[int, bool] = field(default_factory=dict[int, bool])
    held: dict[int, float] = field(default_factory=dict[int, float])
    swept: float = float("-inf")
    warned: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    message: Msg
    lane: int


async def open_nats(url: str, limits: BusLimits, now: Callable[[], float]) -> NatsBroker:
    """Raises ConfigError for a bad address or limits that the server does not allow, BusFailed without an answer."""
    address = parse(url)

    async def note(error: Exception) -> None:
        _log.warning("%s: %s", address.shown, type(error).__name__)

    try:
        async with asyncio.timeout(_PATIENCE):
            client = await nats.connect(
                address.servers, connect_timeout=2, max_reconnect_attempts=1, reconnect_time_wait=0.1, error_cb=note
            )
        # Who was there once is worth waiting for: not before, where an address may be wrong.
        client.options["max_reconnect_attempts"] = -1
    except (Error, OSError, TimeoutError) as error:
        raise BusFailed(
            f"no NATS server answers at {address.shown}",
            hint="start one with JetStream (nats-server -js), or write a path for a bus on this machine",
        ) from error
    broker = NatsBroker(client, address, limits, now)
    try:
        await broker.start()
    except BaseException:
        await client.close()
        raise
    return broker


class NatsBroker:
    """A `Broker` over one connection, which comes back by itself when the server does."""

    def __init__(self, client: Client, address: Address, limits: BusLimits, now: Callable[[], float]) -> None:
        self._client = client
        self._js = client.jetstream(timeout=_PATIENCE)
        self._address = address
        self._limits = limits
        self._now = now
        self._streams = Streams(self._js, address, limits)
        self._bells = Bells(_FIRST_LOOK, _LAST_LOOK)
        self._readers: dict[tuple[str, str], _Reader] = {}
        self._hinted: set[str] = set()

    async def start(self) -> None:
        most = self._client.max_payload - _AROUND
        if self._limits.max_bytes > most:
            raise ConfigError(
                f"BusLimits(max_bytes={self._limits.max_bytes}) is more than {self._address.shown} takes: {most}",
                hint="lower it, or raise max_payload in the server's configuration",
            )
        with self._asking():
            try:
                await self._streams.make_dead()
            except ServiceUnavailableError as error:
                raise BusFailed(
                    f"the NATS server at {self._address.shown} has no JetStream",
                    hint="start it with -js, or enable jetstream in its configuration",
                ) from error

    async def put(self, envelope: Envelope) -> Put:
        with self._asking():
            topic = await self._streams.topic(envelope.topic)
            lane = topic.loose if envelope.key is None else partition(envelope.key, topic.partitions)
            try:
                done = await self._publish(f"{topic.subject}.{lane}", envelope.payload, token(envelope.id))
            except APIError as error:
                if error.err_code == _FULL:
                    return Put.FULL
                raise
            if done:
                return Put.KNOWN
            await self._client.publish(topic.hint, b"%d" % lane)
            return Put.STORED

    async def _publish(self, subject: str, payload: bytes, id: str) -> bool:
        """Whether it was known already. Asked again if no answer comes: the id makes that harmless."""
        for last in (False, False, True):
            try:
                done = await self._js.publish(subject, payload, headers={"Nats-Msg-Id": id})
                return bool(done.duplicate)
            except (NoAnswer, NoStreamResponseError):
                if last:
                    raise
                await asyncio.sleep(_LAST_LOOK)  # it may be starting
        raise AssertionError

    async def subscribe(self, topic: str, group: str) -> None:
        with self._asking():
            await self._streams.group(await self._streams.topic(topic), group)

    async def claim(self, topic: str, group: str) -> Lease | None:
        with self._asking():
            found = await self._streams.topic(topic)
            await self._listen(found)
            if not self._client.is_connected:
                # It is coming back; who waits for messages goes on waiting.
                return None
            reader = self._readers.setdefault((topic, group), _Reader())
            loop = asyncio.get_running_loop()
            # Also now and then while there is enough to do: a lane of somebody who died gives no hint.
            if loop.time() - reader.swept >= (_SWEEP if reader.hot else _LAST_LOOK):
                reader.swept = loop.time()
                reader.hot |= dict.fromkeys(found.lanes, True)
            for lane in list(reader.hot):
                # Another consumer of this process may have looked there meanwhile.
                if not reader.hot.pop(lane, False):
                    continue
                if reader.held.get(lane, 0) > self._now():
                    continue
                if lease := await self._probe(found, group, reader, lane):
                    return lease
            return None

    async def _probe(self, topic: Topic, group: str, reader: _Reader, lane: int) -> Lease | None:
        until = self._now() + self._limits.visibility
        pull = f"$JS.API.CONSUMER.MSG.NEXT.{topic.stream}.{self._streams.consumer(group, lane)}"
        try:
            # The old style has an inbox for each request: the server answers with the message's own subject.
            message = await self._client.request(pull, _PROBE, timeout=_PATIENCE, old_style=True)
        except NoAnswer:
            return None
        except NoRespondersError:
            # A server that is just starting, or a consumer that somebody removed there.
            if not reader.warned:
                _log.warning("%s: nobody answers for group %s of %s", self._address.shown, group, topic.name)
            reader.warned = True
            return None
        reader.warned = False
        if not message.reply:
            return None
        if lane != topic.loose:
            reader.held[lane] = until
        if message.metadata.num_pending:
            reader.hot[lane] = True
        place = _Place(message, lane)
        return Lease(topic.name, group, message.data, message.metadata.num_delivered, until, place)

    async def ack(self, lease: Lease) -> bool:
        return await self._settle(lease, b"+ACK")

    async def nack(self, lease: Lease, delay: float) -> bool:
        # With a delay, even of nothing, the server redelivers by a timer; without one, at once.
        wait = f" {json.dumps({'delay': int(delay * 1e9)})}".encode() if delay > 0 else b""
        return await self._settle(lease, b"-NAK" + wait)

    async def bury(self, lease: Lease, reason: str) -> bool:
        place: _Place = lease.place
        grave = _Grave(lease.topic, lease.group, lease.attempt, reason[:_LONGEST_REASON], self._now())
        subject = self._streams.dead_subject(lease.topic, lease.group)
        at = place.message.metadata
        with self._asking():
            # First here, then away from there; whoever dies in between does it again under the same id.
            id = f"{at.stream}.{at.consumer}.{at.sequence.stream}"
            await self._publish(subject, msgspec.json.encode(grave) + b"\n" + lease.payload, id)
        return await self._settle(lease, b"+ACK")

    async def _settle(self, lease: Lease, word: bytes) -> bool:
        place: _Place = lease.place
        with self._asking():
            # With an answer: what the caller believes to be done survives his death.
            await self._client.request(place.message.reply, word, timeout=_PATIENCE)
        reader = self._readers[lease.topic, lease.group]
        reader.held.pop(place.lane, None)
        reader.hot[place.lane] = True
        self.ring(lease.topic)
        return True

    async def extend(self, lease: Lease) -> float | None:
        place: _Place = lease.place
        until = self._now() + self._limits.visibility
        with self._asking():
            await self._client.request(place.message.reply, b"+WPI", timeout=_PATIENCE)
        held = self._readers[lease.topic, lease.group].held
        if place.lane in held:
            held[place.lane] = until
        return until

    async def buried(self, topic: str, group: str | None, limit: int) -> list[Buried]:
        found: list[Buried] = []
        place = 0
        with self._asking():
            while len(found) < limit:
                try:
                    raw = await self._js.get_msg(
                        self._streams.dead, seq=place + 1, subject=self._streams.dead_subject(topic, group), next=True
                    )
                except NotFoundError:
                    break
                assert raw.seq is not None
                place = raw.seq
                line, _, payload = (raw.data or b"").partition(b"\n")
                grave = msgspec.json.decode(line, type=_Grave)
                found.append(Buried(grave.topic, grave.group, payload, grave.attempts, grave.reason, grave.time, place))
        return found

    async def forget(self, topic: str, place: int) -> None:
        with self._asking():
            try:
                await self._js.delete_msg(self._streams.dead, place)
            except NotFoundError:
                return

    async def _listen(self, topic: Topic) -> None:
        if topic.name in self._hinted:
            return
        self._hinted.add(topic.name)

        async def hear(message: Msg) -> None:
            lane = int(message.data)
            for (name, _), reader in self._readers.items():
                if name == topic.name and 0 <= lane <= topic.loose:
                    reader.hot[lane] = True
            self.ring(topic.name)

        await self._client.subscribe(topic.hint, cb=hear)

    def ring(self, topic: str) -> None:
        self._bells.ring(topic)

    def seen(self, topic: str) -> int:
        return self._bells.seen(topic)

    async def changed(self, topic: str, since: int, empty: int) -> None:
        await self._bells.wait(topic, since, empty)

    async def close(self) -> None:
        self._bells.ring_all()
        await self._client.close()

    @contextmanager
    def _asking(self) -> Generator[None]:
        try:
            yield
        except (Error, OSError, TimeoutError) as error:
            raise BusFailed(
                f"the bus {self._address.shown} failed: {error or type(error).__name__}",
                hint="look at the server's log; publishing again with the same id is safe",
            ) from error
