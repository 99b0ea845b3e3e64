"""Bus: messages between agents and processes, at least once, in order per key.

A message goes to one member of each consumer group of its topic. It is *leased* to that member for the visibility
timeout; what is neither acknowledged nor extended by then is delivered again, and after `max_deliveries` it becomes a
dead letter with the reason. Messages of one key are delivered one after the other within a group: the next one only
when the one before was acknowledged or is dead. Messages without a key have no order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from outlay.values.label import Label, untrusted


@dataclass(frozen=True, slots=True)
class BusLimits:
    """What a bus allows. Processes that share a bus should open it with the same limits.

    `visibility`: seconds that a message is leased to a consumer. `max_deliveries`: after so many it is a dead letter.
    `retry_delay`: seconds before a refused message comes again. `high_water`: messages of a topic that not every group
    has acknowledged; above, `publish` waits. `max_bytes`: of one message, body and headers, encoded. `window`: seconds
    in which an id is remembered, so that a second message with it is the same message.
    """

    visibility: float = 30.0
    max_deliveries: int = 5
    retry_delay: float = 0.0
    high_water: int = 10_000
    max_bytes: int = 256 * 2**10
    window: float = 120.0

    def __post_init__(self) -> None:
        for name, least in (("max_deliveries", 1), ("high_water", 1), ("max_bytes", 1), ("retry_delay", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"BusLimits.{name} must be at least {least}, not {getattr(self, name)!r}")
        for name in ("visibility", "window"):
            if not getattr(self, name) > 0:
                raise ValueError(f"BusLimits.{name} must be above 0 seconds, not {getattr(self, name)!r}")


_NOBODYS = untrusted("bus")


@dataclass(frozen=True, slots=True)
class Headers:
    """What travels beside a body: the sender's path in its flow, the label of the body, and words of your own.

    A body that nobody labelled is untrusted. All of it is the sender's word: whoever may write to the bus can claim
    any path and any label.
    """

    sender: str = ""
    label: Label = _NOBODYS
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a group gave up on. `time` is when, in seconds since the epoch; `place` where the bus keeps it."""

    topic: str
    group: str
    id: str
    key: str | None
    body: Any
    headers: Headers
    attempts: int
    reason: str
    time: float
    place: int


class Message(Protocol):
    """One delivery. As a context manager it acknowledges on success, refuses with the error's text on an error (which
    goes on), and keeps its lease while the block runs.

    `ack`, `nack`, `reject` and `extend` raise Conflict once the lease is over: another consumer may have the message.
    """

    @property
    def id(self) -> str: ...
    @property
    def topic(self) -> str:
        """For direct messages `@` and the recipient."""
        ...

    @property
    def key(self) -> str | None: ...
    @property
    def body(self) -> Any:
        """The bytes, or the JSON value, that was published."""
        ...

    @property
    def headers(self) -> Headers: ...
    @property
    def attempt(self) -> int:
        """1 for the first delivery to this group."""
        ...

    @property
    def published(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def leased_until(self) -> float:
        """Seconds since the epoch."""
        ...

    async def ack(self) -> None:
        """Done: this group will not see it again."""
        ...

    async def nack(self, reason: str = "refused", *, delay: float | None = None) -> None:
        """Not done: deliver it again after `delay` seconds (`retry_delay` if None), or bury it if that was the last."""
        ...

    async def reject(self, reason: str) -> None:
        """Never to be done: a dead letter at once."""
        ...

    async def extend(self) -> None:
        """Lease it for a full visibility timeout from now."""
        ...

    async def __aenter__(self) -> Message: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Consumer(Protocol):
    """The messages for one member of a group, as they come. Waits while `max_in_flight` of them are not settled.

    Ends when the bus or the consumer is closed. `async with` closes it, which returns what nobody took.
    """

    def __aiter__(self) -> Consumer: ...
    async def __anext__(self) -> Message: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Consumer: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Bus(Protocol):
    """Topics, and inboxes of named recipients. All calls raise ConfigError on a closed bus, BusFailed where the file
    or the server cannot do it."""

    async def publish(
        self, topic: str, body: Any, *, key: str | None = None, id: str | None = None, headers: Headers = ...
    ) -> str:
        """Durable on return; gives the id. `body`: bytes, or anything JSON has.

        Waits above the high-water mark. An id that was published within the window changes nothing. Raises
        MessageTooLarge over `max_bytes`, ConfigError for a name or a body that cannot be.
        """
        ...

    async def send(
        self, recipient: str, body: Any, *, key: str | None = None, id: str | None = None, headers: Headers = ...
    ) -> str:
        """`publish` to one named recipient: it waits in the inbox until somebody consumes it."""
        ...

    async def subscribe(self, topic: str, group: str) -> None:
        """Make the group without consuming. The first group of a topic gets all that was published before it, a
        later one what is published from then on."""
        ...

    def consume(self, topic: str, *, group: str = "default", max_in_flight: int = 16) -> Consumer:
        """The topic's messages for a member of this group; makes the group where there is none."""
        ...

    def inbox(self, recipient: str, *, max_in_flight: int = 16) -> Consumer:
        """The direct messages to this recipient."""
        ...

    async def serve(
        self,
        topic: str,
        handle: Callable[[Message], Awaitable[object]],
        *,
        group: str = "default",
        max_in_flight: int = 16,
    ) -> None:
        """Call `handle` for each message, at most `max_in_flight` at once, until the bus is closed or this is
        cancelled. A message whose handler raises is refused with the reason; the others go on."""
        ...

    async def dead_letters(self, topic: str, *, group: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """The oldest dead letters of a topic, of one group or of all. Kept until they are forgotten."""
        ...

    async def forget(self, letter: DeadLetter) -> None:
        """Remove a dead letter."""
        ...

    async def close(self) -> None:
        """Safe to call twice."""
        ...
