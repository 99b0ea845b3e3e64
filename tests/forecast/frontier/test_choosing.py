"""Which designs are chosen: laws of the Pareto set, limits, swings, and one call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlay.forecast.frontier.choosing import (
    Limits,
    Measured,
    beats,
    cheapest,
    nearest,
    pareto,
    smallest_better,
    swing,
    widest,
)
from outlay.forecast.frontier.designs import Choice, Design


def measured(dollars: float, seconds: float, success: float, calls: float = 1.0, *, picks: int = 0) -> Measured:
    return Measured(Design((picks,), (Choice(str(picks)),)), dollars, seconds, success, 0.0, calls, 100)


figures = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(0, 4))


@given(st.lists(figures, min_size=1, max_size=12))
def test_the_frontier_is_what_nothing_beats_and_all_else_is_beaten(drawn: list[tuple[int, int, int]]):
    points = [measured(d, s, q / 4, picks=i) for i, (d, s, q) in enumerate(drawn)]
    best = pareto(points)
    assert best
    assert [one for one in points if not any(beats(other, one) for other in points)] == sorted(best, key=points.index)
    assert all(one in best or any(beats(other, one) for other in best) for one in points)


@given(figures, figures, st.floats(0, 0.5))
def test_no_two_designs_beat_each_other(one: tuple[int, int, int], other: tuple[int, int, int], slack: float):
    a, b = measured(*one, picks=0), measured(*other, picks=1)
    assert not (beats(a, b, slack) and beats(b, a, slack))


def test_of_two_that_are_the_same_the_one_with_fewer_changes_stays():
    assert pareto([measured(1, 1, 1, picks=1), measured(1, 1, 1, picks=0)]) == [measured(1, 1, 1, picks=0)]


def test_a_rough_look_drops_only_what_is_clearly_beaten():
    close, far = measured(1.02, 1, 1, picks=1), measured(1.5, 1, 1, picks=2)
    assert pareto([measured(1, 1, 1), close, far], slack=0.03) == [measured(1, 1, 1), close]


POINTS = [measured(1, 9, 0.8, 1), measured(2, 5, 0.9, 2, picks=1), measured(4, 5, 0.99, 4, picks=2)]


def test_the_cheapest_within_the_limits():
    assert cheapest(POINTS, Limits(success=0.85)) == POINTS[1]
    assert cheapest(POINTS, Limits(usd=5, seconds=6, success=0.95)) == POINTS[2]
    assert cheapest(POINTS, Limits(usd=1, seconds=6)) is None
    assert nearest(POINTS, Limits(usd=1.8, seconds=5)) == POINTS[1]
    assert Limits(usd=1.8, success=0.95).broken_by(POINTS[1]) == ["dollars", "success"]


def test_the_lever_that_moves_most_in_either_direction():
    swings = [swing("model", POINTS[1], POINTS[0]), swing("rounds", POINTS[2], POINTS[0])]
    assert [one.dollars for one in swings] == [1.0, 3.0]
    dollars, seconds = widest(swings, "dollars"), widest(swings, "seconds")
    assert dollars is not None
    assert seconds is not None
    assert (dollars.lever, seconds.lever) == ("rounds", "model")
    assert widest([swing("none", measured(1, 9, 0.8, picks=1), POINTS[0])], "success") is None


def test_the_smallest_flow_that_beats_one_call_or_none():
    assert smallest_better(POINTS, {"live": measured(1, 1, 0.3)}) == POINTS[0]
    assert smallest_better(POINTS, {"live": measured(1, 1, 0.79)}) == POINTS[0]
    assert smallest_better(POINTS, {"live": measured(1, 1, 1.0)}) is None


def test_a_flow_by_batch_is_held_against_one_call_by_batch():
    """At half the price of one live call it beats that, and not one call that costs half as well."""
    half = Measured(Design((1,), (Choice("in the batch lane", lane="batch"),)), 0.6, 1_800, 1.0, 0.0, 1.2, 100)
    live = measured(1, 1, 1.0)
    assert smallest_better([half], {"live": live, "batch": live}) == half
    assert smallest_better([half], {"live": live, "batch": measured(0.5, 1_800, 1.0)}) is None
