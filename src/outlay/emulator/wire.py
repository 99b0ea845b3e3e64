"""The seam between the emulator and its protocols: a wire reads one kind of request and writes its answers."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias

from outlay.emulator import json
from outlay.emulator.answer import Answer, Call
from outlay.emulator.exchange import Provider
from outlay.emulator.json import Json
from outlay.emulator.problems import ErrorAnswer

Tier: TypeAlias = Literal["standard", "batch"]


class Event(NamedTuple):
    """One event of a stream as bytes, and the output tokens that it carries (for pace and billing)."""

    data: bytes
    tokens: int = 0


class Wire(Protocol):
    """One protocol's requests for answers."""

    @property
    def provider(self) -> Provider:
        """Whose protocol it is."""
        ...

    def read(self, body: Json, *, counting: bool = False) -> Call:
        """The call that a body makes. `counting`: only its prompt matters.

        Raises:
            Problem: what the provider answers to a body that it refuses.
        """
        ...

    def plain(self, call: Call, answer: Answer, tier: Tier) -> Json:
        """The body of a plain answer."""
        ...

    def events(self, call: Call, answer: Answer) -> list[Event]:
        """The events of a streamed answer, in order."""
        ...

    def error_event(self, error: ErrorAnswer, request_id: str, sent: int) -> bytes:
        """An error in the middle of a stream, after so many events."""
        ...

    def unknown_event(self) -> bytes:
        """An event that no client knows yet."""
        ...


def named_event(name: str, data: Json) -> bytes:
    """A server-sent event with a name."""
    return b"event: " + name.encode() + b"\ndata: " + json.encode(data) + b"\n\n"


def data_event(data: Json) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + json.encode(data) + b"\n\n"
