"""Where the prompt cache pays: the break-even, and the laws that a plan keeps whatever is expected."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.policies.cache_plan import Planned, Segment, break_even, plan_cache
from outlay.policies.reuse import Turns, further_turns
from outlay.values.price import Rates

HAIKU = Rates(*map(Decimal, ("1", "5", "0.1", "1.25", "2")))
FLAT = Rates(*map(Decimal, ("1", "5", "1", "1", "1")))


def prefix(tokens: int, soon: float, hour: float = 0.0, *, warm: bool = False) -> Segment:
    return Segment("system", tokens, soon, hour, warm)


def test_five_minutes_pay_at_the_first_read_and_an_hour_at_the_second() -> None:
    """1.25 − 1 over 1 − 0.1, and 2 − 1 over the same: computed from the rates, whatever they are."""
    assert break_even(HAIKU, "5m") == pytest.approx(0.25 / 0.9)
    assert break_even(HAIKU, "1h") == pytest.approx(1 / 0.9)
    assert plan_cache([prefix(30_000, 1)], HAIKU, 1024).marks == ((0, "5m"),)
    assert plan_cache([prefix(30_000, 0, 1)], HAIKU, 1024).marks == ()
    assert plan_cache([prefix(30_000, 0, 2)], HAIKU, 1024).marks == ((0, "1h"),)


def test_twenty_uses_of_a_prefix_cost_a_write_and_nineteen_reads() -> None:
    """1.25 + 19 × 0.1 = 3.15 prefixes instead of 20, so 16.85 of them are saved."""
    planned = plan_cache([prefix(30_000, 19)], HAIKU, 4096)
    assert planned.saves == pytest.approx(16.85 * 0.03)


@pytest.mark.parametrize(
    ("segments", "rates", "mode", "why"),
    [
        ([prefix(4095, 50)], HAIKU, "auto", "the prefix is about 4,095 tokens, the least that is cached is 4,096"),
        ([prefix(9000, 0.1)], HAIKU, "auto", "0.1 further reads are expected, and writing pays from 0.28 on"),
        ([prefix(9000, 50)], FLAT, "auto", "this model has no lower price for cached input"),
        ([prefix(9000, 50)], HAIKU, "off", "switched off for this agent"),
    ],
)
def test_a_plan_of_nothing_says_why(segments, rates, mode, why) -> None:
    """Four reasons for no breakpoint, in words."""
    assert plan_cache(segments, rates, 4096, mode) == Planned((), 0, 0, 0.0, why)


def test_what_is_written_already_is_marked_even_if_nobody_comes_after() -> None:
    """Reading now costs a tenth; without the mark the provider would not look."""
    planned = plan_cache([prefix(9000, 0, warm=True), prefix(500, 0)], HAIKU, 4096)
    assert (planned.marks, planned.warm, planned.writes) == (((0, "5m"),), 9000, 0)


def test_a_part_below_the_minimum_is_cached_with_what_follows_it() -> None:
    """Tools of 600 tokens alone are too short; tools and instructions together are not."""
    planned = plan_cache([prefix(600, 5), prefix(4000, 5)], HAIKU, 4096)
    assert (planned.marks, planned.tokens) == (((1, "5m"),), 4600)


def test_five_places_for_four_marks_keep_the_four_that_save_most() -> None:
    """The one that is left out is the one whose part loses least by being read less often."""
    parts = [prefix(5000, reads) for reads in (9, 8.9, 6, 4, 2)]
    assert [i for i, _ in plan_cache(parts, HAIKU, 1024).marks] == [1, 2, 3, 4]


REUSE = st.floats(0, 40)


@st.composite
def prompts(draw: st.DrawFn) -> list[Segment]:
    """Who reads a longer prefix reads the shorter ones, too; and what is warm comes first."""
    sizes = draw(st.lists(st.integers(0, 20_000), max_size=5))
    soon = sorted(draw(st.lists(REUSE, min_size=len(sizes), max_size=len(sizes))), reverse=True)
    hour = sorted(draw(st.lists(REUSE, min_size=len(sizes), max_size=len(sizes))), reverse=True)
    warm = draw(st.integers(0, len(sizes)))
    return [prefix(size, soon[i], hour[i], warm=i < warm) for i, size in enumerate(sizes)]


def value(segments: list[Segment], marks: tuple[tuple[int, str], ...]) -> float:
    """In input tokens, from the definition: each part at its mark's reads, against sending it anew each time."""
    saved, start = 0.0, 0
    for index, life in marks:
        mark = segments[index]
        reads = mark.reads_5m if life == "5m" else max(mark.reads_5m, mark.reads_1h)
        first = 0.1 if mark.warm else {"5m": 1.25, "1h": 2.0}[life]
        saved += sum(s.tokens for s in segments[start : index + 1]) * ((1 + reads) - (first + reads * 0.1))
        start = index + 1
    return saved


@given(prompts())
def test_no_plan_costs_more_than_it_saves_and_no_other_saves_more(segments: list[Segment]) -> None:
    """Against every set of marks with every order of lives that the provider takes."""
    planned = plan_cache(segments, HAIKU, 1024)
    ends = [sum(s.tokens for s in segments[: i + 1]) for i in range(len(segments))]
    assert value(segments, planned.marks) >= -1e-6
    assert value(segments, planned.marks) == pytest.approx(planned.saves * 1e6, abs=1e-3)
    for size in range(1, 5):
        for chosen in combinations([i for i, end in enumerate(ends) if end >= 1024], size):
            for hours in range(size + 1):
                other = tuple((i, "1h" if n < hours else "5m") for n, i in enumerate(chosen))
                assert value(segments, other) <= planned.saves * 1e6 + 1e-3


@given(prompts())
def test_every_plan_is_one_that_the_provider_takes(segments: list[Segment]) -> None:
    """At most four marks, in order, none below the minimum, no hour after five minutes."""
    planned = plan_cache(segments, HAIKU, 1024)
    places = [i for i, _ in planned.marks]
    lives = [life for _, life in planned.marks]
    assert len(places) <= 4
    assert places == sorted(set(places))
    assert lives == sorted(lives)  # "1h" before "5m"
    assert all(sum(s.tokens for s in segments[: i + 1]) >= 1024 for i in places)


@given(st.lists(st.integers(0, 9000), min_size=1, max_size=4), REUSE, st.floats(0, 5))
def test_more_reuse_never_caches_less(sizes: list[int], reads: float, more: float) -> None:
    """Monotone: in what is cached and in what it saves."""
    less = plan_cache([prefix(size, reads) for size in sizes], HAIKU, 1024)
    better = plan_cache([prefix(size, reads + more) for size in sizes], HAIKU, 1024)
    assert better.tokens >= less.tokens
    assert better.saves >= less.saves


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.booleans(), st.integers(0, 30))
def test_expected_turns_are_bounded_by_what_may_follow(soon, later, ended, likely, left) -> None:
    """Never more than are left, never fewer within the hour than within five minutes."""
    five, hour = further_turns(Turns(soon, later, ended), likely=likely, left=left)
    assert 0 <= five <= hour <= left


def test_what_is_known_of_an_agent_decides_what_is_expected_of_it() -> None:
    """One question and one answer: nothing follows. Tools: one turn. A session that always went on: many."""
    assert further_turns(Turns(), likely=False, left=7) == (0, 0)
    assert further_turns(Turns(), likely=True, left=7) == (1, 1)
    assert further_turns(Turns(soon=20), likely=True, left=7) == (7, 7)
    assert further_turns(Turns(ended=20), likely=True, left=7)[0] < 0.05
    assert further_turns(Turns(later=20), likely=False, left=7) == (0, 7)
