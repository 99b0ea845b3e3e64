"""Numbers of things as people read them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 row`, `1,460 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
