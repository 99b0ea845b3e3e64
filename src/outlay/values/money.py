"""Money is an exact `Decimal` in US dollars."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

ZERO = Decimal(0)
#: Above this a limit is surely a slip of the unit, and sums would lose exactness at 28 digits.
LARGEST = Decimal(10) ** 12


def usd(value: Decimal | str | int | float) -> Decimal:
    """An amount as `Decimal`. A float is read as it prints (0.1 is 0.1).

    Raises ValueError for a negative, NaN, infinite, absurdly large or unreadable amount.
    """
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"not an amount of money: {value!r}; write it like '0.50'") from None
    if not amount.is_finite():
        raise ValueError(f"money must be finite, not {value!r}")
    if amount < 0:
        raise ValueError(f"money must not be negative: {value!r}")
    if amount > LARGEST:
        raise ValueError(f"{value!r} dollars is more than any budget can hold (at most {LARGEST:,})")
    return amount


def show_usd(amount: Decimal | None, *, places: int = 4) -> str:
    """`$0.0050`, at least `places` decimals; an unknown amount reads `unpriced`."""
    if amount is None:
        return "unpriced"
    return f"${amount:,.{places}f}"


def show_limit(amount: Decimal) -> str:
    """A limit as it was set: `$5.00`, `$0.005`; at least cents, and no digit lost."""
    digits = -int(amount.normalize().as_tuple().exponent)
    return f"${amount:,.{max(2, digits)}f}"
