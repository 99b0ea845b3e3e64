"""The output is this number, more or less."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from outlay.checkers.checker import Checker, named, shown, text_of, too_long
from outlay.errors import ConfigError

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,4})?(?!\d)")


def numeric(
    expected: float | Decimal | str, tolerance: float | Decimal | str = 0, *, relative: bool = False
) -> Checker:
    """Passes an output within `tolerance` of `expected`: absolute, or as a part of it where `relative`.

    Of a text the last number counts, which is where answers stand ("… so 3 + 4 = 7."). Commas may group thousands.
    """
    target, slack = Decimal(str(expected)), Decimal(str(tolerance))
    if not (target.is_finite() and slack.is_finite() and slack >= 0):
        raise ConfigError(f"numeric({expected!r}, {tolerance!r}): both must be finite, the tolerance not negative")
    allowed = abs(target) * slack if relative else slack

    def check(output: Any) -> str | None:
        number = _last_number(output)
        if isinstance(number, str):
            return number
        if _near(number, target, allowed):
            return None
        within = f" ± {allowed}" if allowed else ""
        return f"the answer is {shown(str(number))}, expected {target}{within}"

    return named("numeric", check)


def _last_number(output: Any) -> Decimal | str:
    """The number, or what is wrong."""
    if isinstance(output, (int, float, Decimal)) and not isinstance(output, bool):
        return Decimal(str(output))
    text = text_of(output)
    if (problem := too_long(text)) is not None:
        return problem
    found: list[str] = _NUMBER.findall(text.replace("\N{MINUS SIGN}", "-"))
    if not found:
        return f"there is no number in {shown(text)!r}; end with the number alone"
    return Decimal(found[-1].replace(",", ""))


def _near(number: Decimal, target: Decimal, allowed: Decimal) -> bool:
    if not number.is_finite():
        return False
    try:
        return abs(number - target) <= allowed
    except ArithmeticError:  # out of all range
        return False
