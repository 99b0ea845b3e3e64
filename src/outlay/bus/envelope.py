"""Messages to bytes and back: one line of JSON about the message, then its body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from outlay.bus.broker import Envelope
from outlay.errors import ConfigError, MessageTooLarge
from outlay.protocols.bus import Headers
from outlay.values.label import Integrity, Label


class _Meta(msgspec.Struct, omit_defaults=True):
    id: str
    published: float
    json: bool = False
    key: str | None = None
    sender: str = ""
    integrity: int = int(Integrity.UNTRUSTED)
    sources: list[str] = []
    tags: list[str] = []
    extra: dict[str, str] = {}


class Content(msgspec.Struct, frozen=True):
    """What a payload says."""

    id: str
    key: str | None
    body: Any
    headers: Headers
    published: float


_meta = msgspec.json.Decoder(_Meta)


def seal(
    topic: str, id: str, key: str | None, body: Any, headers: Headers, *, published: float, limit: int
) -> Envelope:
    """Raises ConfigError for what is neither bytes nor JSON, MessageTooLarge over `limit` bytes."""
    raw = bytes(body) if isinstance(body, bytes | bytearray) else None
    label = headers.label
    meta = _Meta(
        id=id,
        published=published,
        json=raw is None,
        key=key,
        sender=headers.sender,
        integrity=int(label.integrity),
        sources=sorted(label.sources),
        tags=sorted(label.tags),
        extra=_words(headers.extra),
    )
    try:
        line = msgspec.json.encode(meta)
    except (TypeError, UnicodeEncodeError) as error:
        raise ConfigError(f"a message's key, id and headers must be text: {error}", path=topic) from error
    payload = line + b"\n" + (_as_json(body, topic) if raw is None else raw)
    if len(payload) > limit:
        raise MessageTooLarge(
            f"the message has {len(payload):,} bytes with its headers, the bus takes {limit:,}",
            size=len(payload),
            limit=limit,
            path=topic,
            hint="keep the large part as an artifact or a file and send where it is, or raise BusLimits(max_bytes=…)",
        )
    return Envelope(topic, id, key, payload)


def unseal(topic: str, payload: bytes) -> Content:
    """Raises ConfigError for a payload that this bus did not write."""
    line, _, body = payload.partition(b"\n")
    try:
        meta = _meta.decode(line)
        label = Label(Integrity(meta.integrity), frozenset(meta.sources), frozenset(meta.tags))
        value = json.loads(body) if meta.json else body
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not a message of this bus: {error}", path=topic) from error
    return Content(meta.id, meta.key, value, Headers(meta.sender, label, meta.extra), meta.published)


def _words(extra: Mapping[str, str]) -> dict[str, str]:
    if wrong := [name for name, value in extra.items() if not isinstance(value, str)]:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"the header {wrong[0]!r} must be a string", hint="put values into the body")
    return dict(extra)


def _as_json(body: Any, topic: str) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"the body is neither bytes nor JSON: {error}",
            path=topic,
            hint="send bytes, or dicts, lists, strings and numbers",
        ) from error
