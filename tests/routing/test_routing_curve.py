"""The curve of a router: APGR and CPT as RouteLLM defines them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.routing.curve import Curve, oracle

CHEAP = [1.0, 1.0, 0.0, 0.0]
STRONG = [1.0, 1.0, 1.0, 0.0]
outcomes = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), min_size=1, max_size=40)


def test_a_router_that_knows_recovers_the_gap_with_the_calls_that_matter():
    """One of four questions is worth a strong call."""
    curve = Curve.of([0, 0, 1, 0], CHEAP, STRONG)
    assert (curve.cheap, curve.strong) == (0.5, 0.75)
    assert curve.cpt(1.0) == 0.25
    assert curve.cpt(0.5) == 0.125
    assert curve.apgr == 0.875  # the triangle to 25 %, then all


def test_a_router_that_is_wrong_is_worse_than_random():
    curve = Curve.of([0, 0, -1, 0], CHEAP, STRONG)
    assert curve.apgr == 0.125
    assert curve.cpt(0.5) == 0.875


def test_a_router_that_cannot_tell_is_random():
    """Equal scores go in random order: APGR 0.5, CPT(x) = x."""
    curve = Curve.of([7] * 4, CHEAP, STRONG)
    assert (curve.apgr, curve.cpt(0.5), curve.cpt(0.8)) == pytest.approx((0.5, 0.5, 0.8))


def test_without_a_gap_there_is_nothing_to_recover():
    curve = Curve.of([1, 2, 3, 4], STRONG, CHEAP)
    assert (curve.apgr, curve.cpt(0.5)) == (None, None)
    assert curve.calls_for(0.76) is None
    assert curve.calls_for(0.75) == 0.0


def test_the_oracle_can_be_better_than_always_strong():
    """It keeps the cheap answer where the strong one is wrong."""
    best = oracle([1.0, 0.0, 0.0], [0.0, 1.0, 1.0])
    assert max(quality for _, quality in best.points) == 1.0
    assert best.apgr > 1


@given(outcomes)
def test_no_order_beats_the_oracle(rows):
    scores, cheap, strong = ([float(x) for x in column] for column in zip(*rows, strict=True))
    best, curve = oracle(cheap, strong), Curve.of(scores, cheap, strong)
    for tenth in range(11):
        assert curve.quality_at(tenth / 10) <= best.quality_at(tenth / 10) + 1e-9


@given(outcomes, st.floats(0, 1))
def test_what_is_said_to_reach_a_quality_reaches_it(rows, wanted):
    curve = Curve.of(*([float(x) for x in column] for column in zip(*rows, strict=True)))
    share = curve.calls_for(wanted)
    if share is None:
        assert max(quality for _, quality in curve.points) < wanted
    else:
        assert curve.quality_at(share) >= wanted - 1e-9


def test_random_scores_have_an_apgr_of_one_half():
    rng = random.Random(2)
    cheap = [float(rng.random() < 0.6) for _ in range(4000)]
    strong = [float(rng.random() < 0.9) for _ in range(4000)]
    assert Curve.of([rng.random() for _ in cheap], cheap, strong).apgr == pytest.approx(0.5, abs=0.04)
