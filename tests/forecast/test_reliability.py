"""Reliability: more than p to the N, with the well-known formulas as special cases."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.forecast.reliability import Step, at_least, chain, majority, repeated, routed

CHANCE = st.floats(0, 1)


@given(CHANCE, st.integers(0, 60))
def test_steps_that_nothing_mends_give_p_to_the_n(p: float, n: int):
    assert repeated(p, n) == pytest.approx(p**n)


@given(CHANCE, st.integers(0, 10))
def test_a_perfect_check_and_independent_retries_give_one_minus_q_to_the_k(p: float, retries: int):
    assert Step(sound=p, retries=retries).right() == pytest.approx(1 - (1 - p) ** (retries + 1))


@given(CHANCE, st.integers(0, 10))
def test_retries_that_fail_for_the_same_reason_gain_nothing_and_cost_all_the_same(p: float, retries: int):
    step = Step(sound=p, retries=retries, correlation=1.0)
    assert step.right() == pytest.approx(p)
    assert step.attempts() == pytest.approx(1 + retries * (1 - p))


@given(CHANCE, st.integers(1, 10))
def test_what_is_never_noticed_is_never_retried(p: float, retries: int):
    step = Step(sound=p, retries=retries, detection=0.0)
    assert (step.right(), step.attempts()) == (pytest.approx(p), 1)


def test_a_later_step_may_mend_a_flawed_input():
    """0.9 right, and half of the wrong ones put right by the second step: 0.9 · 0.8 + 0.1 · 0.5."""
    assert chain([Step(sound=0.9), Step(sound=0.8, flawed=0.5)]) == pytest.approx(0.77)


def test_the_formula_is_what_playing_it_out_gives():
    """A check that misses, correlated retries, a flawed input: against 200,000 throws."""
    step = Step(sound=0.7, flawed=0.2, detection=0.8, correlation=0.5, retries=2)
    random = Random(7)
    right = attempts = 0
    for _ in range(200_000):
        p = step.sound if random.random() < 0.6 else step.flawed
        for attempt in range(step.retries + 1):
            attempts += 1
            if random.random() < (p if attempt == 0 else p * (1 - step.correlation)):
                right += 1
                break
            if random.random() >= step.detection:
                break
    assert step.right(0.6) == pytest.approx(right / 200_000, abs=0.005)
    assert step.attempts(0.6) == pytest.approx(attempts / 200_000, abs=0.01)


def test_a_routers_success_is_confusion_times_specialists_under_its_accuracy():
    found = routed(
        {"billing": 0.6, "technical": 0.4},
        {"billing": {"billing": 0.9, "technical": 0.1}, "technical": {"technical": 0.8, "billing": 0.2}},
        {"billing": {"billing": 0.95}, "technical": {"technical": 0.9}},
    )
    assert found.accuracy == pytest.approx(0.6 * 0.9 + 0.4 * 0.8)
    assert found.success == pytest.approx(0.6 * 0.9 * 0.95 + 0.4 * 0.8 * 0.9)


@given(CHANCE, CHANCE, CHANCE)
def test_no_router_beats_its_accuracy_where_a_wrong_route_cannot_answer(accuracy: float, one: float, other: float):
    sent = {"a": {"a": accuracy, "b": 1 - accuracy}, "b": {"b": accuracy, "a": 1 - accuracy}}
    found = routed({"a": 0.5, "b": 0.5}, sent, {"a": {"a": one}, "b": {"b": other}})
    assert found.success <= found.accuracy + 1e-12


def test_a_majority_of_three_and_of_an_even_number():
    assert majority(0.9, 3) == pytest.approx(0.972)
    assert majority(0.9, 2) == pytest.approx(0.9)


def test_at_least_so_many_of_unequal_events():
    assert at_least(2, [0.5, 0.5, 1.0]) == pytest.approx(0.75)
    assert at_least(0, []) == 1


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="detection is a probability"):
        Step(sound=0.9, detection=1.5)
