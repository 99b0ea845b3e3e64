"""Inputs and results as what a model reads."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from outlay.values.content import File, Image, Part, Text

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def as_parts(value: Any) -> tuple[Part, ...]:
    """The first user message of a value: text as it is, images and files as content, anything else as JSON."""
    if isinstance(value, str):
        return (Text(well_formed(value)),)
    if isinstance(value, Text | Image | File):
        return (value,)
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        if any(isinstance(item, Image | File) for item in items):
            return tuple(part for item in items for part in as_parts(item))
    return (Text(as_text(value)),)


def as_text(value: Any) -> str:
    """Text as it is, anything else as JSON in field order; what JSON lacks as its `str`.

    Raises ValueError for what no JSON holds: a circle, or nesting without end.
    """
    if isinstance(value, str):
        return well_formed(value)
    from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

    try:
        return to_json(value, fallback=str, inf_nan_mode="constants").decode()
    except (
        PydanticSerializationError
    ):  # bytes that are no text, half a surrogate pair: the slower way has words for them
        plain = to_jsonable_python(value, fallback=str, inf_nan_mode="constants", bytes_mode="base64")
        return json.dumps(plain, separators=(",", ":"))


def well_formed(text: str) -> str:
    """Plain text of what may be a subclass, with half surrogate pairs replaced: no provider takes them."""
    text = str.__str__(text)
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
