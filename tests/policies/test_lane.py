"""What a lane lets through: rates that are configured, taught and guessed, and how many at once."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.policies.bucket import Bucket, rate_of
from outlay.policies.lane import COLD, Lane, LaneLimits, Permit
from outlay.values.request import RateLimitFacts


def burst(lane: Lane, most: int, now: float = 0.0, bound: int = 0) -> list[Permit]:
    """As many calls as may begin at once."""
    permits: list[Permit] = []
    while len(permits) < most and lane.wait(bound, now) == 0:
        permits.append(lane.begin(bound, now))
    return permits


def test_nothing_is_held_back_while_nothing_is_known() -> None:
    """A thousand calls at once, before and after answers that say nothing."""
    lane = Lane()
    permits = burst(lane, 1000)
    for permit in permits:
        lane.end(permit)
        lane.answered(permit, None, 1.0)
    assert len(burst(lane, 1000, 1.0)) == 1000


def test_a_provider_that_will_say_its_limits_is_asked_first() -> None:
    """Fifty calls, until one answer has come; one without headers opens the lane."""
    lane = Lane(cold=True)
    first, *_ = burst(lane, 1000)
    assert lane.in_flight == COLD
    assert lane.wait(0, 5.0) == math.inf
    lane.end(first)
    lane.answered(first, None, 5.0)
    assert len(burst(lane, 1000, 5.0)) == 1000


def test_configured_limits_hold_from_the_start() -> None:
    """Fifty requests at once, then one every 1.2 s (and 2 % of caution); so many tokens; so many at once."""
    lane = Lane(LaneLimits(requests_per_minute=50))
    assert len(burst(lane, 1000)) == 50
    assert lane.wait(0, 0.0) == pytest.approx(1.2 / 0.98)
    assert len(burst(Lane(LaneLimits(tokens_per_minute=1000)), 100, bound=300)) == 3
    assert len(burst(Lane(LaneLimits(concurrency=4)), 100)) == 4


def test_a_call_over_the_limit_waits_for_a_full_bucket() -> None:
    """Its bound is an upper bound: what it really is may fit."""
    lane = Lane(LaneLimits(tokens_per_minute=1000))
    assert lane.wait(5000, 0.0) == 0
    lane.begin(5000, 0.0)
    assert 60 < lane.wait(1, 0.0) < 400


def test_bounds_are_scaled_by_what_calls_really_use() -> None:
    """A bound that is four times too high must not quarter the throughput."""
    lane = Lane(LaneLimits(tokens_per_minute=1000))
    permit = lane.begin(400, 0.0)
    lane.end(permit)
    lane.answered(permit, 100, 1.0)
    assert len(burst(lane, 100, 1.0, bound=400)) == 10


def test_headers_teach_the_limit_and_what_is_left_of_it() -> None:
    """Forty-nine are left of fifty, and the others in flight may or may not be counted yet."""
    lane = Lane(cold=True)
    first, *others = burst(lane, 1000)
    lane.end(first)
    lane.answered(first, None, 1.0)
    lane.learn(RateLimitFacts(requests_left=0, requests_limit=50), first, 1.0)
    assert len(others) == 49
    assert 0 < lane.wait(0, 1.0) < 1.3


@given(st.integers(0, 49), st.integers(0, 49))
def test_a_correction_stays_between_its_bounds(left: int, uncounted: int) -> None:
    """Never more than was said and came back since, never less than was said without what is on its way."""
    for level in (0.0, 25.0, 50.0):
        bucket = Bucket.per_minute(50, 0.0, level)
        bucket.correct(left, 0.0, uncounted, 6.0)
        assert left - uncounted - 1e-9 <= bucket.level <= left + 6 * 50 / 60 + 1e-9


def test_a_limit_by_the_day_refills_by_the_day() -> None:
    """`x-ratelimit-reset-requests` says how long: 864 s for a hundred of ten thousand a day."""
    assert rate_of(10_000, 9_900, 864.0) == pytest.approx(10_000 / 86_400)
    assert rate_of(600, 300, 30.0) == 10
    assert rate_of(600, None, None) == 10


@pytest.mark.parametrize("reset", [0.0, 7200.0, 1e9])
def test_a_clock_that_is_wrong_slows_nothing_down(reset: float) -> None:
    """Anthropic says resets as times of day: a clock two hours late makes each of them two hours away."""
    assert rate_of(50, 49, reset) == 50 / 60


def test_who_is_told_to_wait_tells_all() -> None:
    """A 429 with Retry-After stops the lane; one that asks for ages is not believed."""
    lane = Lane()
    permit = lane.begin(0, 0.0)
    lane.end(permit)
    lane.refused(permit, 7.0, 1.0)
    assert lane.wait(0, 1.0) == 7
    assert lane.wait(0, 8.0) == 0
    lane.refused(lane.begin(0, 8.0), 1e6, 9.0)
    assert lane.wait(0, 9.0) == 0


def test_most_refused_means_that_what_came_through_is_the_limit() -> None:
    """Twenty answers and eighty refusals without a word: twenty a minute, until headers know better."""
    lane = Lane()
    permits = burst(lane, 100)
    for permit in permits[20:]:
        lane.end(permit)
        lane.refused(permit, None, 0.1)
    for permit in permits[:20]:
        lane.end(permit)
        lane.answered(permit, None, 1.0)
    assert lane.requests is not None
    assert lane.requests.rate == pytest.approx(20 / 60, rel=0.05)
    lane.learn(RateLimitFacts(requests_left=500, requests_limit=1000), lane.begin(0, 2.0), 2.0)
    assert lane.requests.capacity == 1000


def test_concurrency_halves_where_calls_go_wrong_together() -> None:
    """Once a round trip, however many of it fail."""
    lane = Lane()
    for permit in burst(lane, 100):
        lane.end(permit)
        lane.congested(permit, 1.0)
    assert lane.window is not None
    halved = len(burst(lane, 1000, 2.0))
    assert 45 <= halved <= 50


def test_a_few_calls_are_never_too_many() -> None:
    """Eight at once that fail say that the provider is down, not that it is crowded."""
    lane = Lane()
    for permit in burst(lane, 8):
        lane.end(permit)
        lane.congested(permit, 1.0)
    assert lane.window is None


def test_one_in_a_hundred_is_no_congestion() -> None:
    """The odd 529 comes at any load: a thousand calls stay a thousand at once."""
    lane, random, now = Lane(), Random(1), 0.0
    for _ in range(20):
        now += 1
        for permit in burst(lane, 1000, now - 1):
            lane.end(permit)
            if random.random() < 0.01:
                lane.congested(permit, now)
            else:
                lane.answered(permit, None, now)
    assert lane.window is None


def test_the_first_to_be_heard_of_are_those_that_went_wrong() -> None:
    """A 529 takes a blink and an answer a minute: five of a thousand are no tenth, though nobody else is back."""
    lane = Lane()
    permits = burst(lane, 1000)
    for permit in permits[:5]:
        lane.end(permit)
        lane.congested(permit, 0.1)
    assert lane.window is None
    for permit in permits[5:150]:  # but a tenth is one
        lane.end(permit)
        lane.congested(permit, 0.2)
    assert lane.window is not None


def test_an_outage_after_hours_without_one_is_noticed_at_once() -> None:
    """What went well long ago is not held against it."""
    lane, now = Lane(), 0.0
    for _ in range(1000):
        now += 10
        for permit in burst(lane, 100, now - 10):
            lane.end(permit)
            lane.answered(permit, None, now)
    now += 100
    for permit in burst(lane, 100, now - 1):
        lane.end(permit)
        lane.congested(permit, now)
    assert lane.window is not None


@pytest.mark.parametrize("calls", [20, 1000, 5000])
def test_what_was_cut_comes_back_in_ten_round_trips(calls: int) -> None:
    """However many there are; each that is answered makes room for the next."""
    lane, now, trips = Lane(), 1.0, 0
    for permit in burst(lane, calls):
        lane.end(permit)
        lane.congested(permit, now)
    assert lane.window is not None
    cut, under_way = lane.window, burst(lane, calls, now)
    while (lane.window or math.inf) < 2 * cut:
        now, trips = now + 1, trips + 1
        answered, under_way = under_way, list[Permit]()
        for permit in answered:
            lane.end(permit)
            lane.answered(permit, None, now)
            under_way += burst(lane, calls - lane.in_flight, now)
    assert 5 <= trips <= 11


def test_a_window_that_holds_nobody_back_is_dropped() -> None:
    """Unlimited again: what happened an hour ago is nobody's business."""
    lane, now = Lane(), 1.0
    for permit in burst(lane, 40):
        lane.end(permit)
        lane.congested(permit, now)
    for _ in range(10):
        now += 1
        permit = lane.begin(0, now)
        lane.end(permit)
        lane.answered(permit, None, now + 0.5)
    assert lane.window is None


def test_the_least_that_an_answer_takes_is_half_of_the_fastest_of_many() -> None:
    """Nothing before there are twenty; what is older than two spells is forgotten."""
    lane = Lane()
    for i in range(20):
        assert lane.least == 0
        lane.took(10.0 + i, float(i))
    assert lane.least == 5.0
    for i in range(40):
        lane.took(30.0, 400.0 + 10 * i)
    assert lane.least == 15.0


@settings(max_examples=50)
@given(st.integers(1, 200), st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(0, 2**32))
def test_no_minute_has_more_than_the_bucket_and_its_refill(limit: int, gaps: list[float], seed: int) -> None:
    """Whatever comes when: in every span at most what is there at once and what comes back in it."""
    lane, now, sent = Lane(LaneLimits(requests_per_minute=limit)), 0.0, list[float]()
    random = Random(seed)
    for gap in gaps:
        now += gap
        for permit in burst(lane, random.randrange(1, 300), now):
            sent.append(now)
            lane.end(permit)
            lane.answered(permit, None, now)
    for i, start in enumerate(sent):
        assert sum(start <= t <= start + 60 for t in sent[i:]) <= 2 * limit + 1e-6
