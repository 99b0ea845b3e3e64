"""How many retries a provider is sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import Overloaded, RateLimited
from outlay.policies.recently import Window
from outlay.policies.retry_budget import RetryBudget

DOWN = Overloaded("busy")


def test_a_small_run_may_retry() -> None:
    """The floor: ten retries a minute, whatever the number of requests."""
    budget = RetryBudget()
    budget.first(0.0)
    assert [budget.again(DOWN, 0.0, 0.0) for _ in range(12)] == [True] * 10 + [False] * 2


def test_a_large_run_retries_a_tenth() -> None:
    """An outage under a thousand requests is a hundred retries, not two thousand."""
    budget = RetryBudget()
    for _ in range(1000):
        budget.first(0.0)
    assert sum(budget.again(DOWN, 1.0, 1.0) for _ in range(2000)) == 100


def test_what_is_a_minute_ago_no_longer_counts() -> None:
    """The floor comes back, and old requests allow nothing more."""
    budget = RetryBudget()
    for _ in range(1000):
        budget.first(0.0)
    assert sum(budget.again(DOWN, 61.0, 61.0) for _ in range(100)) == 10
    assert sum(budget.again(DOWN, 122.0, 122.0) for _ in range(100)) == 10


def test_stragglers_have_the_credit_of_those_that_began_with_them() -> None:
    """A thousand began at once; the hundred that time out ten minutes later may all go again, a later call may not."""
    budget = RetryBudget()
    for _ in range(1000):
        budget.first(0.0)
    assert sum(budget.again(DOWN, 600.0, 0.0) for _ in range(200)) == 100
    assert not budget.again(DOWN, 600.0, 599.0)


def test_a_window_that_is_never_asked_forgets_all_the_same() -> None:
    """A provider that never fails is counted for as long as the process lives."""
    window = Window(60.0, 240)
    for second in range(10_000):
        window.add(float(second))
    assert window.total <= 60


def test_a_rate_limit_is_no_outage() -> None:
    """The provider is up and says when: waiting for it amplifies nothing."""
    budget = RetryBudget()
    assert all(budget.again(RateLimited("slow"), 0.0, 0.0) for _ in range(1000))
    assert budget.again(DOWN, 0.0, 0.0)


def test_in_an_outage_neither_the_minute_before_nor_the_floor_is_credit() -> None:
    """Of what was begun since a tenth goes again, and two at least, because one call has three attempts."""
    budget = RetryBudget()
    for _ in range(1000):
        budget.first(0.0)
    for _ in range(40):
        budget.first(30.0)
    assert sum(budget.goes(DOWN, 31.0, 30.0) for _ in range(100)) == 4
    assert sum(budget.goes(DOWN, 50.0, 45.0) for _ in range(100)) == 2
    assert all(budget.goes(DOWN, 51.0, None) for _ in range(100))
    assert all(budget.goes(RateLimited("slow"), 52.0, 52.0) for _ in range(100))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.5)), max_size=100))
def test_in_an_outage_retries_never_exceed_the_share_of_what_was_begun_since(steps: list[tuple[bool, float]]) -> None:
    """However calls and retries come, in an outage of less than a minute."""
    budget, now, firsts, retries = RetryBudget(), 100.0, 0, 0
    for first, gap in steps:
        now += gap
        if first:
            budget.first(now)
            firsts += 1
        elif budget.goes(DOWN, now, 100.0):
            retries += 1
            assert retries <= max(2, 0.1 * firsts)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=300), st.integers(0, 5))
def test_retries_never_exceed_the_share_or_the_floor(steps: list[tuple[bool, float]], floor: int) -> None:
    """At every moment, of the last minute."""
    budget, now = RetryBudget(floor=floor), 0.0
    for first, gap in steps:
        now += gap
        if first:
            budget.first(now)
        elif budget.again(DOWN, now, now):
            assert budget.retries.since(now - 60, now) <= max(floor, 0.1 * budget.firsts.since(now - 60, now))


def test_a_window_counts_what_came_since_a_moment_within_a_slot() -> None:
    """A quarter of a second, here."""
    window = Window(60.0, 240)
    for now in (0.0, 10.0, 10.3, 20.0):
        window.add(now)
    assert [window.since(then, 20.0) for then in (0.0, 9.9, 10.26, 15.0, 21.0)] == [4, 3, 2, 1, 0]
    assert window.since(0.0, 60.1) == 3


@given(st.lists(st.floats(0, 30), max_size=100))
def test_a_window_counts_the_last_span_up_to_a_twelfth(gaps: list[float]) -> None:
    """Never less than what happened in eleven twelfths of it, never more than in the whole."""
    window, now, times = Window(60.0), 0.0, list[float]()
    for gap in gaps:
        now += gap
        window.add(now)
        times.append(now)
        counted = window.count(now)
        assert sum(now - t < 55 for t in times) <= counted <= sum(now - t <= 60 for t in times)
