"""How figures of a comparison read, in the terminal and in the memo alike."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from outlay.evals.intervals import Interval

UNKNOWN = "not known"


def dollars(amount: float | Decimal | None, *, signed: bool = False) -> str:
    """`$0.0012`: four decimals, or more where the amount would be lost in them."""
    if amount is None:
        return "unpriced"
    size = abs(float(amount))
    places = 2 if size >= 10 else 4 if size >= 0.01 or not size else 6
    return f"{sign(float(amount), signed)}${size:,.{places}f}"


def seconds(amount: float | None, *, signed: bool = False) -> str:
    if amount is None:
        return UNKNOWN
    size = abs(amount)
    return f"{sign(amount, signed)}{size:,.{1 if size >= 10 else 2 if size >= 0.1 or not size else 4}f} s"


def percent(share: float | None) -> str:
    """`83 %`; one decimal where the whole number would say 0 or 100 of what is neither."""
    if share is None:
        return UNKNOWN
    whole = round(100 * share)
    return f"{100 * share:.1f} %" if whole in (0, 100) and share not in (0.0, 1.0) else f"{whole} %"


def points(difference: float) -> str:
    """A difference of shares in percentage points."""
    return f"{_signed(difference)} points"


def times(factor: float) -> str:
    return f"{factor:,.1f} ×" if factor >= 0.95 else f"{factor:.2g} ×"


def number(amount: float | None) -> str:
    if amount is None:
        return UNKNOWN
    return f"{amount:,.0f}" if abs(amount) >= 100 or amount == round(amount) else f"{amount:,.1f}"


def within(found: Interval, show: Callable[[float], str]) -> str:
    """`(-1.2 … +3.4)`, with each end as `show` writes it."""
    return f"({show(found.low)} … {show(found.high)})"


def points_within(difference: Interval) -> str:
    """`+33.3 points (+8.3 … +66.7)`."""
    return f"{points(difference.value)} {within(difference, _signed)}"


def chance(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.0005 else "p < 0.001"


def _signed(share: float) -> str:
    return f"{sign(round(share, 3), True)}{abs(100 * share):.1f}"


def sign(amount: float, signed: bool) -> str:
    return "−" if amount < 0 else "+" if signed and amount > 0 else ""
