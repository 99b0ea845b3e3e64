"""Inputs and results as what a model reads."""

from __future__ import annotations

from typing import Any

from outlay.values.content import File, Image, Part, Text


def as_parts(value: Any) -> tuple[Part, ...]:
    """The first user message of a value: text as it is, images and files as content, anything else as JSON."""
    if isinstance(value, str):
        return (Text(value),)
    if isinstance(value, Text | Image | File):
        return (value,)
    if isinstance(value, list | tuple) and any(isinstance(item, Image | File) for item in value):  # pyright: ignore[reportUnknownVariableType]
        return tuple(part for item in value for part in as_parts(item))  # pyright: ignore[reportUnknownVariableType]
    return (Text(as_text(value)),)


def as_text(value: Any) -> str:
    """Text as it is, anything else as JSON in field order; what JSON lacks as its `str`."""
    if isinstance(value, str):
        return value
    from pydantic_core import to_json

    return to_json(value, fallback=str, inf_nan_mode="constants").decode(errors="replace")
