"""Figures and texts as every command shows them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from outlay.cli.words import cell, dollars, jsonable, spread
from outlay.values.counted import counted
from outlay.values.money import show_limit


@pytest.mark.parametrize(
    ("amount", "unknown", "shown"),
    [
        ("0", 0, "$0.0000"),
        ("0.000129", 0, "$0.000129"),
        ("1234.5", 0, "$1,234.5000"),
        ("0.5", 2, "≥ $0.5000"),
        ("0", 1, "unpriced"),
    ],
)
def test_dollars(amount: str, unknown: int, shown: str):
    """What is not known is never shown as zero."""
    assert dollars(Decimal(amount), unknown) == shown


@pytest.mark.parametrize(
    ("limit", "shown"), [("5", "$5.00"), ("0.50", "$0.50"), ("0.005", "$0.005"), ("1E+3", "$1,000.00")]
)
def test_a_limit_reads_as_it_was_written(limit: str, shown: str):
    assert show_limit(Decimal(limit)) == shown


def test_counts():
    assert (counted(1, "row"), counted(1460, "row")) == ("1 row", "1,460 rows")


def test_the_spread_of_nothing_is_not_shown():
    assert spread([], "row") == ""
    assert spread([Decimal("0.02")], "row") == "per row P50 $0.0200 · P95 $0.0200"


@pytest.mark.parametrize("text", ["abc", "🙏🙏🙏", "a longer text than the cell", "日本語のテキスト", "\x1b[31mred"])
def test_a_cell_is_as_wide_as_it_says(text: str):
    from rich.cells import cell_len

    assert cell_len(cell(text, 10)) == 10
    assert "\x1b" not in cell(text, 10)


@pytest.mark.parametrize(
    ("value", "found"),
    [(math.nan, None), ([math.inf, 1.5], [None, 1.5]), ({"a": Decimal("0.10")}, {"a": "0.10"}), (True, True)],
)
def test_outputs_become_json(value: Any, found: Any):
    assert jsonable(value) == found
