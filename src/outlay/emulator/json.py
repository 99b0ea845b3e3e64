"""JSON as this package handles it: bodies are plain dictionaries, read with helpers that never trust a type.

A request body comes from a stranger. `table`, `rows` and `text` give an empty value where the stranger sent
something else, so that a wire module reads a field in one expression; what must be refused is refused by name
in that module.
"""

from __future__ import annotations

from typing import Any

import msgspec

from outlay.sim.json import Json, rows, table

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode(value: Any) -> bytes:
    """The compact UTF-8 JSON of a value; the order of keys is kept."""
    return _encoder.encode(value)


def encode_text(value: Any) -> str:
    """`encode`, as a string."""
    return _encoder.encode(value).decode()


def decode(data: bytes | str) -> Any:
    """The value of a JSON document; `ValueError` if it is none."""
    return _decoder.decode(data)


def text(value: Any) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def whole(value: Any) -> int | None:
    """The value if it is an integer (a boolean is none), else `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


__all__ = ["Json", "decode", "encode", "encode_text", "rows", "table", "text", "whole"]
