"""Reliability arithmetic holds on the running system, measured on virtual time with a seed.

A chain of N steps that each succeed with chance p succeeds with p^N; a step with k retries succeeds with
1-(1-p)^(k+1). Intervals are Wilson's (Wilson 1927) at four standard errors, which a sound sample leaves once in 16,000.
"""

from math import sqrt

import pytest

from outlay import Agent, run_sync
from outlay.patterns import Pipeline
from outlay.testing import Faults, ScriptedModel, virtual_time


def interval(successes, n, z=4.0):
    """Wilson's score interval of a proportion."""
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def share(flow_of, n=200):
    """How many of `n` runs come to their answer. Each has a loop of its own: what one learns about the provider (an
    open circuit, a retry budget) must not couple the samples.
    """
    done = 0
    for i in range(n):
        with virtual_time():
            done += run_sync(flow_of(i), "x", on_alert=lambda _: None).error is None
    return interval(done, n)


def chain(model, steps, **options):
    return Pipeline(*(Agent(f"step{j}", model, **options) for j in range(steps)), name="chain")


def whole(text: str) -> str | None:
    return None if text.endswith("answer") else "it is cut off"


@pytest.mark.parametrize(("steps", "p"), [(1, 0.9), (4, 0.9), (8, 0.95)])
def test_a_chain_is_as_reliable_as_the_product_of_its_steps(steps, p):
    """Each answer is good with chance p, and a bad one is not corrected: p^N."""

    def flow(i):
        model = Faults(i, quality=p).wrap(ScriptedModel(lambda request: "a whole answer"))
        return chain(model, steps, verify=[whole], output_retries=0)

    low, high = share(flow)
    assert low <= p**steps <= high
    assert high - low < 0.35


@pytest.mark.parametrize(("p", "k"), [(0.5, 1), (0.6, 2)])
def test_an_answer_with_corrections_fails_as_often_as_all_of_them_do(p, k):
    """k corrections: 1-(1-p)^(k+1)."""

    def flow(i):
        model = Faults(i, quality=p).wrap(ScriptedModel(lambda request: "a whole answer"))
        return chain(model, 1, verify=[whole], output_retries=k)

    low, high = share(flow)
    assert low <= 1 - (1 - p) ** (k + 1) <= high


@pytest.mark.parametrize(("steps", "p"), [(1, 0.5), (3, 0.6), (6, 0.7)])
def test_steps_whose_calls_are_tried_again_follow_both_laws(steps, p):
    """Two retries of an overloaded provider: (1-(1-p)^3)^N."""

    def flow(i):
        return chain(Faults(i, {"overloaded": 1 - p}).wrap(ScriptedModel(lambda request: "done")), steps)

    low, high = share(flow)
    assert low <= (1 - (1 - p) ** 3) ** steps <= high
