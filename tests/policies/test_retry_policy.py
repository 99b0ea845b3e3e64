"""When a model is tried again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import AuthFailed, BadRequest, ModelError, ModelTimeout, Overloaded, RateLimited, Refused
from outlay.policies.retry import RetryPolicy

POLICY = RetryPolicy(attempts=3, base=0.5, cap=20.0, longest_wait=120.0)


def test_attempts_are_few() -> None:
    """Three attempts in all: after the third there is no other."""
    assert [POLICY.delay(Overloaded(), n, 0.5) is not None for n in (1, 2, 3, 4)] == [True, True, False, False]


@pytest.mark.parametrize("error", [AuthFailed(), BadRequest(), Refused(), ModelError(), Overloaded(retryable=False)])
def test_what_cannot_help_is_not_repeated(error: ModelError) -> None:
    """A refused key, a bad request or a refusal is final."""
    assert POLICY.delay(error, 1, 0.5) is None


def test_delays_grow_with_full_jitter() -> None:
    """The delay is drawn from zero up to a bound that doubles with each attempt, and has a cap."""
    assert [POLICY.delay(ModelTimeout(), n, 0.999) for n in (1, 2)] == [0.999 * 0.5, 0.999 * 1.0]
    assert POLICY.delay(ModelTimeout(), 1, 0.0) == 0.0
    patient = RetryPolicy(attempts=100, base=0.5, cap=20.0)
    assert patient.delay(ModelTimeout(), 50, 0.5) == 10.0


def test_what_the_provider_asks_for_is_waited_for() -> None:
    """Retry-After is a floor; a little is added so that callers told the same second do not collide again."""
    delay = POLICY.delay(RateLimited(retry_after=30), 1, 0.5)
    assert delay is not None
    assert 30 <= delay <= 30 + POLICY.base


@pytest.mark.parametrize("asked", [None, -1, -1e9, math.nan, -math.inf, math.inf])
def test_a_senseless_retry_after_is_ignored(asked: float | None) -> None:
    """Absent, negative, not a number or infinite: the own delay counts."""
    assert POLICY.delay(RateLimited(retry_after=asked), 1, 0.5) == 0.25


@pytest.mark.parametrize("asked", [120.1, 1e9])
def test_nobody_waits_for_ages(asked: float) -> None:
    """A provider that asks for longer than anybody would wait is given up on."""
    assert POLICY.delay(RateLimited(retry_after=asked), 1, 0.5) is None


def test_an_hour_is_waited_for_where_a_deadline_has_room_and_nobody_else_could_answer() -> None:
    """Who gave the run two hours has said how long it may wait; with a fallback that would only be slow."""
    hour = RateLimited(retry_after=3600)
    assert POLICY.delay(hour, 1, 0.0, left=7200, alone=True) == 3600
    assert POLICY.delay(hour, 1, 0.0, left=3600, alone=True) is None
    assert POLICY.delay(hour, 1, 0.0, left=7200) is None
    assert POLICY.delay(hour, 1, 0.0, alone=True) is None


def test_who_gives_up_says_why() -> None:
    """A rest that nobody waits for is named, with what to do instead; after one attempt there is nothing to say."""
    assert "asks for 3,600 s of rest" in POLICY.gave_up(RateLimited(retry_after=3600), 1)
    assert "fallback" in POLICY.gave_up(RateLimited(retry_after=3600), 1)
    assert POLICY.gave_up(Overloaded(), 3) == "gave up after 3 attempts"
    assert [POLICY.gave_up(e, 1) for e in (Overloaded(), Overloaded(retry_after=math.inf), BadRequest())] == [""] * 3


def test_a_retry_that_would_miss_the_deadline_is_not_begun() -> None:
    """Better to say so now than to wait until time is up."""
    assert POLICY.delay(RateLimited(retry_after=10), 1, 0.0, left=10) is None
    assert POLICY.delay(RateLimited(retry_after=10), 1, 0.0, left=10.1) == 10
    assert POLICY.delay(Overloaded(), 1, 0.5, left=-1.0) is None


@given(
    st.floats(allow_nan=True, allow_infinity=True) | st.none(),
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True),
    st.floats(-1e9, 1e9) | st.none(),
)
def test_a_delay_is_finite_not_negative_and_within_the_deadline(
    asked: float | None, attempt: int, draw: float, left: float | None
) -> None:
    """Whatever the provider says, a delay can be slept."""
    patient = RetryPolicy(attempts=10_000)
    delay = patient.delay(RateLimited(retry_after=asked), attempt, draw, left)
    if delay is not None:
        assert 0 <= delay <= patient.longest_wait + patient.base
        assert left is None or delay < left
