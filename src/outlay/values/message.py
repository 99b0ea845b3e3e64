"""One message: frozen, hashed once, encoded once per provider dialect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from outlay.values.content import File, Image, Part, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.label import TRUSTED, Label

Role: TypeAlias = Literal["user", "assistant", "tool"]
DIGEST_SIZE = 16
_encode = msgspec.json.Encoder().encode


class Message:
    """Who said what. Immutable; the two caches (canonical bytes, bytes per dialect) are filled on first use.

    Not a dataclass, because those caches are slots that equality and repr must not see.
    """

    __slots__ = ("_canonical", "_wire", "label", "parts", "role")

    role: Role
    parts: tuple[Part, ...]
    label: Label

    def __init__(self, role: Role, parts: tuple[Part, ...], label: Label = TRUSTED) -> None:
        self.role = role
        self.parts = parts
        self.label = label
        self._canonical: bytes | None = None
        self._wire: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Message({self.role!r}, {self.parts!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.role == other.role and self.parts == other.parts

    def __hash__(self) -> int:
        return hash((self.role, self.parts))

    @property
    def text(self) -> str:
        """All its text, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolResult))

    @property
    def thinking(self) -> str:
        """What the provider lets a person read of the model's thinking."""
        return "\n".join(part.text for part in self.parts if isinstance(part, ProviderBlock) and part.text)

    @property
    def canonical(self) -> bytes:
        """The provider-neutral bytes that keys and forks are made of: provider-only blocks are left out."""
        found = self._canonical
        if found is None:
            parts = [_plain(part) for part in self.parts if not isinstance(part, ProviderBlock)]
            found = self._canonical = _bytes([self.role, parts])
        return found

    def wire(self, dialect: str, encode: Callable[[Message], bytes]) -> bytes:
        """This message as `dialect` sends it, encoded on first use."""
        found = self._wire.get(dialect)
        if found is None:
            found = self._wire[dialect] = encode(self)
        return found


def user(text: str, label: Label = TRUSTED) -> Message:
    """A user message of plain text."""
    return Message("user", (Text(text),), label)


def _bytes(plain: Any) -> bytes:
    try:
        return _encode(plain)
    except UnicodeEncodeError:  # half a surrogate pair, out of a broken file or a model: written as its escape
        return json.dumps(plain).encode()


def _plain(part: Part) -> Any:
    match part:
        case Text(text):
            return text
        case ToolCall(id, name, arguments):
            return ["call", id, name, arguments]
        case ToolResult(call_id, name, content, is_error):
            return ["result", call_id, name, content, is_error]
        case Image(data, url, media_type):
            return ["image", _digest(data) if data is not None else url, media_type]
        case File(data, url, file_id, name, media_type):
            return ["file", _digest(data) if data is not None else url or file_id, name, media_type]
        case ProviderBlock():
            raise TypeError("provider-only blocks have no canonical form")


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE).hexdigest()
