"""Events to JSON and back. Nothing is unpickled or imported by name: `kind` picks from the records listed here."""

from __future__ import annotations

from typing import Any, Union

import msgspec

from outlay.events import records
from outlay.events.records import Event, Unknown

#: Written beside stored events; a store of a newer version is refused rather than half understood.
VERSION = 1


def _jsonable(value: Any) -> Any:
    """Facts and custom data may hold what JSON lacks; they are for people to read, so text will do."""
    return str(value)


_KINDS: tuple[type[Event], ...] = tuple(
    kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
)
_encoder = msgspec.json.Encoder(enc_hook=_jsonable)
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Union[_KINDS])  # pyright: ignore  # noqa: UP007


def encode(event: Event) -> bytes:
    """One event as JSON."""
    return _encoder.encode(event)


def decode(body: bytes | str) -> Event:
    """The event in `body`. A kind this version does not know comes back as `Unknown`.

    Raises ValueError where `body` is not an event at all.
    """
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        plain = msgspec.json.decode(body, type=dict[str, Any])
        if not {"run", "seq", "time", "kind"} <= plain.keys() or plain["kind"] in _TAGS:
            raise
        return Unknown(run=plain["run"], seq=plain["seq"], time=plain["time"], path=plain.get("path", ""), body=plain)


_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in _KINDS)


def kind_of(event: Event) -> str:
    """The stored name of the event's kind."""
    return str(event.__struct_config__.tag)
