"""When a provider is left alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import AuthFailed, BadResponse, ModelError, ModelTimeout, Overloaded, RateLimited
from outlay.policies.breaker import BreakerPolicy, Circuit, is_outage

POLICY = BreakerPolicy(failures=3, seconds=5.0, probe=10.0)


def opened(at: float = 10.0) -> Circuit:
    circuit = Circuit(POLICY)
    for now in (at - 6.0, at - 3.0, at):
        circuit.failed("down", now)
    assert circuit.state == "open"
    return circuit


def test_it_opens_after_failures_in_a_row_that_last() -> None:
    """Both: enough of them, and for long enough. Then calls are refused at once."""
    circuit = Circuit(POLICY)
    assert [circuit.failed("down", now) for now in (0.0, 0.1, 0.2, 4.9, 5.0)] == [False] * 4 + [True]
    assert not circuit.admits(5.1)
    assert circuit.reason == "down"


def test_a_success_in_between_keeps_it_closed() -> None:
    """Half of the calls failing is the retries' business."""
    circuit = Circuit(POLICY)
    for now in range(100):
        assert not circuit.failed("down", now)
        circuit.failed("down", now + 0.5)
        circuit.succeeded(now)
    assert circuit.admits(100.0)


def test_one_probe_at_a_time() -> None:
    """After the interval one call is let through; while it is under way no other is."""
    circuit = opened(10.0)
    assert [circuit.admits(now) for now in (19.9, 20.0, 20.1, 29.9)] == [False, True, False, False]
    assert circuit.state == "half_open"


def test_a_probe_that_succeeds_closes_it_and_one_that_fails_does_not() -> None:
    """Closed means closed: everybody passes again."""
    circuit = opened(10.0)
    circuit.admits(20.0)
    assert not circuit.failed("still down", 21.0)
    assert (circuit.state, circuit.admits(22.0), circuit.admits(30.0)) == ("open", False, True)
    assert circuit.succeeded(30.0)
    assert all(circuit.admits(31.0) for _ in range(9))


def test_a_probe_that_hangs_does_not_keep_it_shut() -> None:
    """The next one goes after an interval, whatever became of the last."""
    circuit = opened(10.0)
    assert [circuit.admits(now) for now in (20.0, 30.0, 40.0)] == [True] * 3


def test_a_late_answer_of_an_old_call_does_not_close_it() -> None:
    """It was sent before the circuit opened: the provider was up then."""
    circuit = opened(10.0)
    assert not circuit.succeeded(9.0)
    assert circuit.state == "open"


def test_many_failures_in_a_row_look_like_an_outage_before_they_have_lasted() -> None:
    """It has lasted since the first of them was sent, in whatever order they came back; an answer ends it."""
    circuit = Circuit(BreakerPolicy(failures=10, seconds=5.0, suspicious=3))
    circuit.failed("down", 2.0, sent=1.5)
    circuit.failed("down", 2.1, sent=0.5)
    assert circuit.down_since is None
    circuit.failed("down", 2.2, sent=1.0)
    assert circuit.down_since == 0.5
    circuit.succeeded(1.9)
    assert circuit.down_since is None
    circuit.failed("down", 3.0)
    assert circuit.first_sent == 3.0


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (Overloaded("busy"), True),
        (ModelTimeout("late"), True),
        (BadResponse("cut"), True),
        (ModelError("no connection", retryable=True), True),
        (RateLimited("slow"), False),
        (AuthFailed("key"), False),
        (BadResponse("too large", retryable=False), False),
    ],
)
def test_only_a_provider_that_is_down_counts(error: ModelError, outage: bool) -> None:
    """A 429 or a refused key is an answer."""
    assert is_outage(error) is outage


@given(st.lists(st.floats(0.01, 8), min_size=30, max_size=120), st.integers(0, 60))
def test_recovery_takes_at_most_two_probe_intervals(gaps: list[float], back: int) -> None:
    """With a call at least every eight seconds, whenever the provider comes back: closed within 2 × 10 s.
    And while it is down, it is sent at most one call an interval."""
    circuit, now = Circuit(POLICY), 0.0
    sent: list[float] = []
    recovered = float(sum(gaps[:back]))
    for gap in gaps:
        now += gap
        if not circuit.admits(now):
            continue
        if circuit.state == "half_open":
            sent.append(now)
        if now < recovered:
            circuit.failed("down", now)
        else:
            circuit.succeeded(now)
    assert all(b - a >= POLICY.probe for a, b in pairwise(sent) if b < recovered)
    if now >= recovered + 2 * POLICY.probe:
        assert circuit.state == "closed"
