"""Events to JSON and back. Nothing is unpickled or imported by name: `kind` picks from the records listed here."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Union, cast

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
    """One event as JSON. What user code or a model put into it cannot keep it from being written."""
    try:
        return _encoder.encode(event)
    except Exception:  # half a surrogate pair, a value that holds itself, a `__str__` that raises
        fields = {name: _writable(getattr(event, name), 0) for name in event.__struct_fields__}
        return _encoder.encode(msgspec.structs.replace(event, **fields))


def _writable(value: Any, depth: int) -> Any:
    """The value as far as JSON can hold it."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {_text(key): _writable(inner, depth + 1) for key, inner in items}
    if isinstance(value, list | tuple | set | frozenset):
        inner_values = cast("list[Any]", value)
        return tuple(_writable(inner, depth + 1) for inner in inner_values)
    if value is None or isinstance(value, bool | float | Decimal) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value).encode(errors="replace").decode()
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__} in str()>"


def decode(body: bytes | str) -> Event:
    """The event in `body`. A kind this version does not know comes back as `Unknown`.

    Raises ValueError where `body` is not an event at all.
    """
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        plain = msgspec.json.decode(body, type=dict[str, Any])
        if str(plain.get("kind")) in _TAGS or not all(isinstance(plain.get(k), t) for k, t in _HEAD.items()):
            raise
        return Unknown(
            run=plain["run"], seq=plain["seq"], time=plain["time"], path=str(plain.get("path", "")), body=plain
        )


_HEAD: dict[str, Any] = {"kind": str, "run": str, "seq": int, "time": int | float}
_DEEPEST = 16
_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in _KINDS)


def kind_of(event: Event) -> str:
    """The stored name of the event's kind."""
    return str(event.__struct_config__.tag)
