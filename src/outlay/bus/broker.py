"""The seam between the bus and what carries it: a broker keeps, leases and settles envelopes, and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class Put(Enum):
    """What became of an envelope: stored, known already by its id, or refused above the high-water mark."""

    STORED = "stored"
    KNOWN = "known"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as a broker sees it: `payload` is opaque (see `envelope.py`)."""

    topic: str
    id: str
    key: str | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """A payload in the hands of one consumer. `until`: seconds since the epoch, never later than the broker's own.

    `place` is what the broker needs to settle it.
    """

    topic: str
    group: str
    payload: bytes
    attempt: int
    until: float
    place: Any


@dataclass(frozen=True, slots=True)
class Buried:
    """A dead letter as a broker keeps it."""

    topic: str
    group: str
    payload: bytes
    attempts: int
    reason: str
    time: float
    place: int


class Broker(Protocol):
    """Settling (`ack`, `nack`, `bury`, `extend`) gives False where the lease is known to be another's by now."""

    async def put(self, envelope: Envelope) -> Put: ...
    async def subscribe(self, topic: str, group: str) -> None: ...
    async def claim(self, topic: str, group: str) -> Lease | None:
        """The next message that may be delivered, None if there is none now."""
        ...

    async def ack(self, lease: Lease) -> bool: ...
    async def nack(self, lease: Lease, delay: float) -> bool: ...
    async def extend(self, lease: Lease) -> float | None:
        """The new `until`, or None."""
        ...

    async def bury(self, lease: Lease, reason: str) -> bool:
        """Make it a dead letter: the group is done with it."""
        ...

    async def buried(self, topic: str, group: str | None, limit: int) -> list[Buried]: ...
    async def forget(self, topic: str, place: int) -> None: ...
    def ring(self, topic: str) -> None:
        """Wake who waits for this topic in this process."""
        ...

    def seen(self, topic: str) -> int:
        """How often something changed in this topic, as far as this process knows."""
        ...

    async def changed(self, topic: str, since: int, empty: int) -> None:
        """Return when `seen` is no longer `since`, or when it is time to look anyway after `empty` looks in vain."""
        ...

    async def close(self) -> None: ...
