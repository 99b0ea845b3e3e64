"""Shares as people read them."""

from __future__ import annotations

from decimal import Decimal


def percent(share: float | Decimal, places: int = 0, *, signed: bool = False) -> str:
    """`58 %`, with a space as everywhere in the output; `signed` shows a plus, too."""
    return f"{100 * share:{'+' if signed else ''},.{places}f} %"
