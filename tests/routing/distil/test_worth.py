"""The advice is no, unless all of it is known to hold."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.routing.distil import Circumstances, worth
from outlay.routing.distil.worth import moved_between

GOOD = Circumstances(
    examples=10_000,
    prompts=1,
    moved=0.02,
    prompted=0.80,
    wanted=0.95,
    accepted=0.7,
    per_month=1_000_000,
    usd_per_call=Decimal("0.0005"),
)


def test_yes_where_everything_holds() -> None:
    verdict = worth(GOOD)
    assert verdict.yes
    assert verdict.saved_a_year == Decimal("4200.0")
    assert verdict.spent_a_year == Decimal("1650.75")  # three times (500 labels at $0.1005, and $500 of work)


@pytest.mark.parametrize(
    ("change", "what", "holds"),
    [
        ({"examples": 1999}, "thousands of examples", False),
        ({"closed": False}, "narrow", False),
        ({"prompts": 2}, "stable", False),
        ({"moved": 0.2}, "stable", False),
        ({"prompts": None}, "stable", None),
        ({"prompted": None}, "prompting exhausted", None),
        ({"prompted": 0.96}, "prompting exhausted", False),
        ({"per_month": 1000}, "the sums pay", False),
        ({"per_month": None}, "the sums pay", None),
        ({"usd_per_call": None}, "the sums pay", None),
        ({"changes": 12}, "the sums pay", False),
    ],
)
def test_one_that_fails_or_is_not_known_makes_it_a_no(change: dict[str, Any], what: str, holds: bool | None) -> None:
    verdict = worth(replace(GOOD, **change))
    assert not verdict.yes
    assert [(reason.what, reason.holds) for reason in verdict.reasons if reason.holds is not True] == [(what, holds)]


@given(
    st.builds(
        Circumstances,
        examples=st.integers(0, 10_000),
        prompted=st.none() | st.floats(0, 1),
        accepted=st.none() | st.floats(0, 1),
        per_month=st.none() | st.floats(0, 1e9),
        usd_per_call=st.none() | st.decimals(0, 10, places=4),
    )
)
def test_more_examples_and_more_calls_never_turn_a_yes_into_a_no(known: Circumstances) -> None:
    more = replace(
        known, examples=known.examples + 1000, per_month=None if known.per_month is None else known.per_month * 2
    )
    assert worth(more).yes >= worth(known).yes


def test_how_far_answers_moved() -> None:
    assert moved_between(["a", "b"], ["b", "a"]) == 0
    assert moved_between(["a", "a"], ["b", "b"]) == 1
    assert moved_between([], ["a"]) is None
