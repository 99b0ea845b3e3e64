"""A table and its notes in as many columns as there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlay.analysis.columns import broken, cut, lines

NAMES = st.lists(st.text("abc-", min_size=1, max_size=40), min_size=1, max_size=6)


def test_names_to_the_left_figures_to_the_right():
    assert lines([("agent", "cost"), ("a", "$1.00"), ("router", "$10.00")], names=1, width=80) == [
        "agent     cost",
        "a        $1.00",
        "router  $10.00",
    ]


def test_the_longest_names_are_cut_in_the_middle_first():
    rows = [("agent", "model", "cost"), ("billing-specialist-of-the-north", "claude-haiku-4-5", "$1.00")]
    assert lines(rows, names=2, width=40) == [
        "agent            model              cost",
        "billing…e-north  claude-haiku-4-5  $1.00",
    ]


def test_figures_are_never_cut_and_names_not_to_nothing():
    rows = [("agent", "tokens"), ("billing-specialist", "1,000,000,000")]
    assert lines(rows, names=1, width=1)[1] == "billin…alist  1,000,000,000"


@given(NAMES, st.integers(1, 40))
def test_names_that_differ_still_do(names: list[str], width: int):
    found = cut(names, width)
    assert len(set(found)) == len(set(names))
    assert [a == b for a in found for b in found] == [a == b for a in names for b in names]


@given(NAMES, st.integers(1, 40))
def test_a_name_that_fits_is_left_alone_and_none_grows(names: list[str], width: int):
    for name, shown in zip(names, cut(names, width), strict=True):
        assert shown == name if len(name) <= width else len(shown) <= len(name)


def test_notes_are_broken_between_their_parts():
    assert broken(["one", "two", "three"], 9) == ["one · two", "three"]
    assert broken(["one", "two"], 1) == ["one", "two"]
    assert broken([], 9) == []
