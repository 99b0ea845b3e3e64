"""When a conversation is shortened: the sums, the moment, and the window that comes before both."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.policies.compaction import Choice, Outlook, Way, choose, expected_turns, worth

#: Sonnet's cache: three tenths of a dollar a million read, three and three quarters written.
READ, WRITE = 0.3e-6, 3.75e-6
SUMMARY = Way("summarise", removed=10_000, added=1_000, behind=2_000, call=0.01, grown=500)
ways = st.builds(
    Way,
    st.sampled_from(["clear", "summarise"]),
    st.integers(0, 100_000),
    st.integers(0, 5_000),
    st.integers(0, 20_000),
    st.floats(0, 1),
    st.floats(0, 5_000),
)
outlooks = st.builds(Outlook, st.floats(0, 200), st.floats(0, 1e-5), st.floats(0, 1e-4))


def test_what_a_summary_saves_is_its_formula() -> None:
    """The call and the rewrite once, against 9,000 tokens fewer in each of 20 requests."""
    found = worth(SUMMARY, Outlook(20, READ, WRITE))
    once = 0.01 + 3_000 * (WRITE - READ)
    assert found.once == pytest.approx(once)
    assert found.each == pytest.approx(9_000 * READ)
    assert found.saves == pytest.approx(20 * 9_000 * READ - once)


def test_it_is_done_from_the_turn_on_at_which_it_pays() -> None:
    """One request fewer than the break-even: nothing; one more: it is done."""
    way = Way("summarise", 10_000, 1_000, 2_000, call=0.01)
    even = worth(way, Outlook(0, READ, WRITE)).once / (9_000 * READ)
    assert choose([way], Outlook(math.floor(even), READ, WRITE), 20_000, None).way == ""
    assert choose([way], Outlook(math.ceil(even), READ, WRITE), 20_000, None).way == "summarise"


@given(st.floats(0.001, 1), st.floats(1, 10_000), st.floats(1e-8, 1e-4), st.floats(1, 1_000))
def test_no_other_rhythm_is_cheaper_than_the_one_waited_for(once: float, grown: float, read: float, n: float) -> None:
    """Every n turns costs once / n + n × g × r / 2 a turn: least where the garbage has come to `least`."""

    def a_turn(turns: float) -> float:
        return once / turns + turns * grown * read / 2

    least = worth(Way("x", 0, 0, 0, once, grown), Outlook(1, read, read)).least
    assert a_turn(least / grown) <= a_turn(n) * (1 + 1e-9)


def test_what_pays_is_still_waited_for() -> None:
    """It would save a little now; with more garbage the same rewrite saves more."""
    now = Way("clear", 3_000, 0, 3_000, grown=3_000)
    assert worth(now, Outlook(50, READ, WRITE)).saves > 0
    assert choose([now], Outlook(50, READ, WRITE), 10_000, None).way == ""
    later = Way("clear", 18_000, 0, 3_000, grown=3_000)
    assert choose([later], Outlook(50, READ, WRITE), 25_000, None).way == "clear"


def test_of_two_that_pay_the_one_that_saves_more_is_done() -> None:
    small, large = Way("clear", 4_000, 0, 100), Way("summarise", 9_000, 500, 100, call=0.0001)
    assert choose([small, large], Outlook(50, READ, WRITE), 20_000, None).way == "summarise"
    assert choose([small, large], Outlook(1.2, READ, WRITE), 20_000, None).way == "clear"


def test_without_a_price_only_the_window_counts() -> None:
    """Unknown is not zero, and not worth anything either."""
    assert choose([SUMMARY], None, 700, 1_000) == Choice("", "the price is unknown: only the context window counts")
    assert choose([SUMMARY], None, 800, 1_000) == Choice("summarise", "800 tokens of at most 1,000")


def test_a_full_window_is_a_reason_at_any_price() -> None:
    """Nothing is expected to come, so nothing is saved, and it is done all the same."""
    chosen = choose([SUMMARY], Outlook(0, READ, WRITE), 90_000, 100_000)
    assert chosen.way == "summarise"
    assert chosen.saves is not None
    assert chosen.saves < 0


def test_in_a_full_window_the_free_way_comes_first_if_it_makes_room() -> None:
    """Else the one that makes most."""
    roomy, tight = Way("clear", 50_000, 0, 0), Way("clear", 5_000, 0, 0)
    summary = Way("summarise", 70_000, 1_000, 0, call=1)
    assert choose([roomy, summary], None, 90_000, 100_000).way == "clear"
    assert choose([tight, summary], None, 90_000, 100_000).way == "summarise"
    assert choose([tight], None, 90_000, 100_000).way == "clear"


@given(st.lists(ways, max_size=3), outlooks, st.integers(0, 200_000))
def test_nothing_is_done_that_is_not_expected_to_save(offered: list[Way], outlook: Outlook, size: int) -> None:
    """Away from the window, what is chosen saves money and makes the conversation shorter."""
    chosen = choose(offered, outlook, size, None)
    if chosen.way:
        assert chosen.saves is not None
        assert chosen.saves > 0
        assert any(way.name == chosen.way and way.shorter > 0 for way in offered)


@given(st.lists(ways, min_size=1, max_size=3), st.one_of(st.none(), outlooks), st.integers(1, 200_000))
def test_a_full_window_is_never_left_as_it_is(offered: list[Way], outlook: Outlook | None, limit: int) -> None:
    """Where any way makes it shorter."""
    chosen = choose(offered, outlook, limit, limit)
    assert bool(chosen.way) == any(way.shorter > 0 for way in offered)


def test_as_many_turns_are_expected_as_there_were() -> None:
    """At most as many as may follow; what the user says of the whole conversation counts instead."""
    assert expected_turns(10, 90) == 10
    assert expected_turns(10, 4) == 4
    assert expected_turns(10, None) == 10
    assert expected_turns(10, 90, stated=40) == 30
    assert expected_turns(50, 90, stated=40) == 0
