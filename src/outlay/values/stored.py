"""A message as it is stored: whole, so that a conversation can go on from it.

The canonical bytes are what keys and forks are made of, and leave things out: blocks that only one provider
understands, the contents of files, labels. Where a message has none of these, the canonical bytes are enough.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, cast

from outlay.values.content import File, Image, Part, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.label import TRUSTED, Integrity, Label
from outlay.values.message import DIGEST_SIZE, Message

_ROLES = ("user", "assistant", "tool")


def is_whole(message: Message) -> bool:
    """Do the canonical bytes say everything of it?"""
    return message.label is TRUSTED and all(isinstance(part, Text | ToolCall | ToolResult) for part in message.parts)


def dump(message: Message) -> bytes:
    """The message as JSON: role, parts and label."""
    label = message.label
    plain = [
        message.role,
        [_plain(part) for part in message.parts],
        [label.integrity.name, sorted(label.sources), sorted(label.tags)],
    ]
    return json.dumps(plain, separators=(",", ":")).encode()


def load(stored: bytes) -> Message:
    """The message in what `dump` gave, or in its canonical bytes. Raises ValueError where it is neither."""
    try:
        role, parts, *rest = cast("list[Any]", json.loads(stored))
        if role not in _ROLES:
            raise ValueError(f"no message is of the role {role!r}")
        label = TRUSTED
        if rest:
            name, sources, tags = rest[0]
            label = Label(Integrity[name], frozenset(sources), frozenset(tags))
            label = TRUSTED if label == TRUSTED else label
        return Message(role, tuple(_part(part) for part in parts), label)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a stored message: {error}") from error


def _plain(part: Part) -> Any:
    match part:
        case Text(text):
            return text
        case ToolCall(id, name, arguments):
            return ["call", id, name, arguments]
        case ToolResult(call_id, name, content, is_error):
            return ["result", call_id, name, content, is_error]
        case Image(data, url, media_type):
            return ["image", _base64(data), url, media_type]
        case File(data, url, file_id, name, media_type):
            return ["file", _base64(data), url, file_id, name, media_type]
        case ProviderBlock(dialect, kind, raw, text):
            return ["block", dialect, kind, raw, text]


def _part(plain: Any) -> Part:
    match plain:
        case str(text):
            return Text(text)
        case ["call", str(id), str(name), str(arguments)]:
            return ToolCall(id, name, arguments)
        case ["result", str(call_id), str(name), str(content), bool(is_error)]:
            return ToolResult(call_id, name, content, is_error)
        case ["image", data, url, media_type]:
            return Image(_bytes(data), url, media_type)
        case ["file", data, url, file_id, name, media_type]:
            return File(_bytes(data), url, file_id, name, media_type)
        case ["block", str(dialect), str(kind), str(raw), str(text)]:
            return ProviderBlock(dialect, kind, raw, text)
        case _:
            raise ValueError(f"no part of a message looks like {str(plain)[:80]}")


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(data: str | None) -> bytes | None:
    return None if data is None else base64.b64decode(data, validate=True)


def content_digest(data: bytes) -> bytes:
    """The name of a content in a store."""
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE).digest()
