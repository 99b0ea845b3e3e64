"""Fields of what a provider sent, read for what they are: of another type is as good as missing."""

from __future__ import annotations

from typing import Any, cast


def string(value: object) -> str:
    return value if isinstance(value, str) else ""


def number(value: object) -> int:
    """A whole number above zero, else zero."""
    return value if isinstance(value, int) and value > 0 else 0


def table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def rows(value: object) -> list[dict[str, Any]]:
    return [table(row) for row in cast("list[Any]", value)] if isinstance(value, list) else []
