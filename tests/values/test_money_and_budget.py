"""Amounts of money, and the limits users give."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay import Budget
from outlay.values.money import LARGEST, show_usd, usd


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        ("0.50", "0.50"),
        (" $1.50 ", "1.50"),
        (0.1, "0.1"),
        (2, "2"),
        (Decimal("0.005"), "0.005"),
        ("1e-6", "0.000001"),
        (0, "0"),
    ],
)
def test_money_is_read_exactly(given: Any, amount: str) -> None:
    """Text, numbers and decimals mean what they print; a float is no binary fraction."""
    assert usd(given) == Decimal(amount)


@pytest.mark.parametrize("given", [-0.01, "-1", "NaN", "inf", math.nan, math.inf, -math.inf, Decimal("sNaN")])
def test_a_limit_of_money_is_finite_and_not_negative(given: Any) -> None:
    """Negative, NaN and infinite amounts are a ValueError."""
    with pytest.raises(ValueError, match="money must"):
        Budget(usd=given)


@pytest.mark.parametrize("given", ["", "ten", "0,50", "$", True, False, [], b"1"])
def test_what_is_not_an_amount_is_refused(given: Any) -> None:
    """The error shows how to write one."""
    with pytest.raises(ValueError, match=r"write it like '0\.50'"):
        Budget(usd=given)


@pytest.mark.parametrize("given", [LARGEST + 1, "1e13", 10**400, 1e300])
def test_absurd_amounts_are_a_slip_of_the_unit(given: Any) -> None:
    """More than a million million dollars is refused."""
    with pytest.raises(ValueError, match="more than any budget"):
        Budget(usd=given)


@pytest.mark.parametrize("name", ["tokens", "calls", "depth", "fan_out"])
@pytest.mark.parametrize("value", [-1, 1.5, math.nan, math.inf, "3", True, Decimal(1)])
def test_counts_are_whole_and_not_negative(name: str, value: Any) -> None:
    """Negative, fractional, infinite or otherwise strange counts are a ValueError that names the limit."""
    with pytest.raises(ValueError, match=name):
        Budget(**{name: value})


@pytest.mark.parametrize("name", ["tokens", "calls", "depth", "fan_out"])
def test_whole_floats_and_huge_counts_are_fine(name: str) -> None:
    """1e6 is how people write a million."""
    assert getattr(Budget(**{name: 1e6}), name) == 1_000_000
    assert isinstance(getattr(Budget(**{name: 1e6}), name), int)
    assert getattr(Budget(**{name: 10**400}), name) == 10**400


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf, -math.inf, "5", True, 10**400, [1]])
def test_seconds_are_finite_and_not_negative(seconds: Any) -> None:
    """Whatever cannot be waited for is a ValueError."""
    with pytest.raises(ValueError, match="seconds"):
        Budget(seconds=seconds)


def test_no_limit_is_none() -> None:
    """A budget without figures limits nothing; zero is a limit."""
    assert Budget().money is None
    assert Budget(usd=0).money == 0
    assert Budget(seconds=0).seconds == 0


def test_what_happens_at_the_end_is_one_of_three() -> None:
    """A slip in `on_exhausted` is found where it is written."""
    for fine in ("finish", "pause", "raise"):
        assert Budget(on_exhausted=fine).on_exhausted == fine  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="'stop'"):
        Budget(on_exhausted="stop")  # pyright: ignore[reportArgumentType]


def test_a_window_needs_its_scope_and_its_length() -> None:
    """`scope` and `per` go together, and a window is a day or a month."""
    assert Budget(usd=5, scope="tenant:acme", per="day").per == "day"
    for half in ({"scope": "tenant:acme"}, {"per": "day"}, {"scope": "tenant:acme", "per": "week"}):
        with pytest.raises(ValueError, match="per"):
            Budget(usd=5, **half)


def test_amounts_are_shown_with_their_small_digits() -> None:
    """Four decimals, because calls cost fractions of a cent; unknown is said and not shown as zero."""
    assert show_usd(Decimal("0.005")) == "$0.0050"
    assert show_usd(Decimal("1234.5"), places=2) == "$1,234.50"
    assert show_usd(None) == "unpriced"


@given(st.decimals(0, 10**12, places=6))
def test_any_amount_survives_being_written_and_read(amount: Decimal) -> None:
    """Reading what was written gives the same amount."""
    assert usd(str(amount)) == amount
