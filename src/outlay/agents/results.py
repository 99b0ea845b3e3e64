"""What an effect gives, as stored JSON and back. First run and replay see the same: what was decoded."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from outlay.agents.content import as_text
from outlay.protocols.signature import globals_of

Encode: TypeAlias = Callable[[Any], bytes | None]
Decode: TypeAlias = Callable[[bytes], Any]


def text_of(value: Any) -> bytes:
    """A tool's result as the model reads it. Raises ValueError for what no JSON holds."""
    return as_text(value).encode()


def as_read(stored: bytes) -> str:
    return stored.decode()


def codec_of(function: Callable[..., Any]) -> tuple[Encode, Decode]:
    """How the results of `function` are stored: as its annotation says, or as plain JSON where it has none.

    Encoding gives None for a value that would not come back as it is: such a result cannot be given again.
    """
    adapter = _adapter(function)
    if adapter is None:
        return plain_json, json.loads

    def encode(value: Any) -> bytes | None:
        try:
            stored = cast(bytes, adapter.dump_json(value, warnings="error"))
            adapter.validate_json(stored)
        except Exception:  # pydantic has many words for no
            return None
        return stored

    return encode, adapter.validate_json


def plain_json(value: Any) -> bytes | None:
    """JSON of a value made of JSON's own kinds (a tuple becomes a list), None for any other."""
    if not _is_plain(value, 0):
        return None
    return json.dumps(value, separators=(",", ":")).encode()


def _is_plain(value: Any, depth: int) -> bool:
    if value is None or isinstance(value, bool | str):
        return type(value) in (bool, str, type(None))
    if isinstance(value, int | float):
        return type(value) in (int, float) and math.isfinite(value)
    if depth > 100:
        return False
    if type(value) in (list, tuple):
        return all(_is_plain(one, depth + 1) for one in cast("list[Any]", value))
    if type(value) is dict:
        items = cast("dict[Any, Any]", value).items()
        return all(type(key) is str and _is_plain(one, depth + 1) for key, one in items)
    return False


def _adapter(function: Callable[..., Any]) -> Any:
    """A pydantic adapter of what the function is annotated to return, None where that says nothing."""
    target = function if hasattr(function, "__annotations__") else getattr(type(function), "__call__", None)  # noqa: B004
    annotation = getattr(target, "__annotations__", {}).get("return")
    if annotation is None or annotation is Any:
        return None
    from pydantic import TypeAdapter

    try:
        if isinstance(annotation, str):
            annotation = typing.get_type_hints(target, globals_of(function), include_extras=True)["return"]
        if annotation in (None, type(None), Any, object):
            return None
        return TypeAdapter(annotation)
    except Exception:  # a name that only type checkers know, a type without a schema
        return None
