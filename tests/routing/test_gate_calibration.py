"""Calibration: what is promised holds over fresh draws of the labels, on data whose truth is known."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import ConfigError
from outlay.routing.calibration import Calibration, binomial_tail, calibrate, platt
from outlay.routing.logistic import sigmoid

REDRAWS = 100


def draw(rng, n):
    """Scores and labels with P(right | score) = sigmoid(6 · score - 2): right 68 % of the time."""
    scores = [rng.random() for _ in range(n)]
    return scores, [float(rng.random() < sigmoid(6 * score - 2)) for score in scores]


def true_errors(calibration: Calibration) -> tuple[float, float]:
    """P(accepted), P(accepted and wrong) of the same distribution, summed over a fine grid of scores."""
    grid = [(i + 0.5) / 1000 for i in range(1000)]
    accepted = [score for score in grid if calibration.accepts(score)]
    return len(accepted) / 1000, math.fsum(1 - sigmoid(6 * score - 2) for score in accepted) / 1000


def redraws(n, **options):
    return [true_errors(calibrate(*draw(random.Random(seed), n), **options)) for seed in range(REDRAWS)]


@pytest.mark.parametrize("target", [0.03, 0.05, 0.1])
def test_accepted_and_wrong_stays_under_its_bound_from_100_labels(target):
    """Conformal risk control: on average over 100 redraws of 100 labels, within what 100 draws can show, and not by
    accepting nothing.
    """
    found = redraws(100, target=target)
    wrong = [wrong for _, wrong in found]
    assert statistics.fmean(wrong) <= target + 2 * statistics.stdev(wrong) / math.sqrt(REDRAWS)
    assert statistics.fmean(share for share, _ in found) > 0.3


def test_the_bound_is_used_up_where_there_are_labels_enough():
    """With 2,000 labels what is accepted and wrong comes close to the 5 % that are allowed."""
    found = [true_errors(calibrate(*draw(random.Random(seed), 2000), target=0.05)) for seed in range(5)]
    assert statistics.fmean(wrong for _, wrong in found) == pytest.approx(0.05, abs=0.01)


def test_learn_then_test_bounds_the_errors_among_the_accepted():
    """In at least 1 - delta of 100 redraws, where it accepts at all."""
    found = redraws(400, target=0.1, method="ltt", delta=0.1)
    broken = [share for share, wrong in found if share and wrong / share > 0.1]
    assert len(broken) <= 0.1 * REDRAWS
    assert statistics.fmean(share for share, _ in found) > 0.1


def test_platt_finds_the_true_sigmoid():
    slope, offset = platt(*draw(random.Random(3), 5000))
    assert (slope, offset) == (pytest.approx(6, abs=0.6), pytest.approx(-2, abs=0.3))


def test_platt_stays_finite_where_the_score_divides_the_labels():
    """Smoothed targets: 20 labels are no proof of certainty."""
    calibration = calibrate([0.0] * 10 + [1.0] * 10, [0.0] * 10 + [1.0] * 10)
    assert 0.8 < calibration.confidence(1.0) < 0.99


def test_a_score_that_says_the_opposite_says_nothing():
    calibration = calibrate([i / 50 for i in range(50)], [float(i < 25) for i in range(50)])
    assert calibration.confidence(0.1) == calibration.confidence(0.9) == pytest.approx(0.5, abs=0.02)


def test_all_right_accepts_all_and_all_wrong_accepts_nothing():
    scores = [i / 100 for i in range(100)]
    assert calibrate(scores, [1.0] * 100).accepted == 1.0
    assert not calibrate(scores, [0.0] * 100, target=0.005 + 1 / 101).accepts(0.99)


def test_equal_scores_are_accepted_together_or_not_at_all():
    calibration = calibrate([0.5] * 40, [1.0] * 30 + [0.0] * 10, target=0.1)
    assert not calibration.accepts(0.5)


@pytest.mark.parametrize(
    ("scores", "labels", "options", "says"),
    [
        ([0.5] * 18, [1] * 18, {}, "18 labels cannot carry a bound of 0.05: it takes at least 19"),
        ([0.5] * 40, [1] * 40, {"method": "ltt"}, "it takes at least 45"),
        ([0.5] * 40, [1] * 39, {}, "40 scores and 39 labels"),
        ([1.5] * 60, [1] * 60, {"method": "ltt"}, "between 0 and 1"),
        ([math.nan] * 40, [1] * 40, {}, "finite"),
        ([0.5] * 40, [2] * 40, {}, "between 0"),
        ([0.5] * 40, [1] * 40, {"method": "isotonic"}, "no calibration"),
        ([0.5] * 40, [1] * 40, {"target": 0}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(scores, labels, options, says):
    with pytest.raises(ConfigError, match=says):
        calibrate(scores, labels, **options)


def test_a_calibration_survives_its_json():
    calibration = calibrate(*draw(random.Random(5), 100))
    assert Calibration(**calibration.as_dict()) == calibration


@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.01, 0.99))
def test_the_binomial_tail_is_the_sum_of_its_terms(most, n, p):
    exact = math.fsum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(min(most, n) + 1))
    assert binomial_tail(most, n, p) == pytest.approx(exact)
