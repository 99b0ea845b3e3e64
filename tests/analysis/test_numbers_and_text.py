"""Percentiles, means, and text made fit to be shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.analysis.percentiles import mean, percentile
from outlay.analysis.text import one_line, plain

SOME = st.lists(st.floats(0, 1e6), min_size=1)


@pytest.mark.parametrize(("percent", "value"), [(0, 15), (5, 15), (30, 20), (40, 20), (50, 35), (95, 50), (100, 50)])
def test_nearest_rank_on_the_textbook_example(percent: float, value: float):
    assert percentile([50, 15, 20, 35, 40], percent) == value


def test_seven_per_cent_of_a_hundred_is_the_seventh():
    """0.07 * 100 is 7.000000000000001 in floating point."""
    assert percentile(list(range(1, 101)), 7) == 7


@given(SOME, st.floats(0, 100))
def test_a_percentile_is_one_of_the_values_and_enough_are_below_it(values: list[float], percent: float):
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-6


@given(SOME)
def test_the_mean_lies_between_the_extremes(values: list[float]):
    found = mean(values)
    assert found is not None
    assert min(values) - 1e-6 <= found <= max(values) + 1e-6


def test_of_nothing_there_is_neither():
    assert mean([]) is None
    assert percentile([], 95) is None


def test_a_percentile_beyond_100_is_refused():
    with pytest.raises(ValueError, match="from 0 to 100"):
        percentile([1], 950)


@pytest.mark.parametrize(
    ("wild", "tame"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x1bPsecret\x1b\\b", "ab"),
        ("a\x9b31mb", "ab"),
        ("a\x1b]never ended\nb", "a\nb"),
        ("over\rwritten\x08\x07", "overwritten"),
        ("\u202eabc\u2066d\u200f", "abcd"),
        ("tab\tand\nline stay", "tab\tand\nline stay"),
        ("née 日本 👩‍💻", "née 日本 👩‍💻"),
        ("half \ud83d", "half "),
    ],
)
def test_plain_leaves_nothing_that_a_terminal_obeys(wild: str, tame: str):
    assert plain(wild) == tame


@given(
    st.text(st.characters(codec=None))
    | st.lists(st.sampled_from("\x1b[]P;1m\x07\\\x9bab\n\u202e"), max_size=30).map("".join)
)
def test_plain_is_free_of_controls_and_stable(text: str):
    found = plain(text)
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in found)
    assert plain(found) == found


@given(st.text(), st.integers(2, 50))
def test_one_line_is_one_line_and_no_longer_than_asked(text: str, width: int):
    found = one_line(text, width)
    assert len(found) <= width
    assert len(found.splitlines()) <= 1
