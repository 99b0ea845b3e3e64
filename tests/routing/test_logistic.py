"""Logistic regression: the optimum of its objective, whatever the rows."""

import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outlay.routing.logistic import Logistic, _step, fit, sigmoid

features = st.dictionaries(st.sampled_from("abcdef"), st.floats(-2, 2), max_size=5)
tables = st.lists(st.tuples(features, st.floats(0, 1)), min_size=2, max_size=12)


@settings(max_examples=60, deadline=None)
@given(tables, st.sampled_from([0.1, 1.0, 5.0]))
@example([({}, 0.0)] * 7 + [({"d": 2.0}, 0.5), ({"d": 2.0}, 0.0), ({"b": 0.5, "d": -2.0}, 1.0)], 5.0)
def test_the_gradient_of_the_objective_is_zero(table, strength):
    """½ |w|² + strength · Σ loss has one minimum, and this is it."""
    rows, targets = zip(*table, strict=True)
    model = fit(rows, targets, strength)
    errors = [model.probability(row) - target for row, target in table]
    for name in "abcdef":
        slope = model.weights.get(name, 0.0) + strength * sum(
            e * row.get(name, 0.0) for e, row in zip(errors, rows, strict=True)
        )
        assert slope == pytest.approx(0, abs=0.02)


def test_two_rows_that_pull_against_each_other_come_to_rest():
    """Found by the law above: a step that overshot came back to where it had been, and the fit never settled."""
    rows = [{}] * 6 + [{"d": 2.0}, {"d": -2.0}]
    assert fit(rows, [0.0] * 6 + [1.0, 1.0], 5.0).weights.get("d", 0.0) == pytest.approx(0, abs=0.01)


@given(st.floats(-40, 40), st.floats(0, 100), st.floats(0, 1))
def test_a_coordinate_is_solved_however_steep_it_is(rest, square, target):
    a = _step(rest, square, target)
    assert a == pytest.approx(target - sigmoid(rest + a * square), abs=1e-6)


def test_a_feature_that_decides_is_found():
    rng = random.Random(1)
    rows = [{"signal": rng.choice([-1.0, 1.0]), "noise": rng.gauss(0, 1)} for _ in range(300)]
    model = fit(rows, [float(row["signal"] > 0) for row in rows], 10)
    assert model.weights["signal"] > 10 * abs(model.weights["noise"])


def test_without_features_it_is_the_rate():
    assert fit([{}, {}, {}, {}], [1, 0, 0, 0]).probability({}) == pytest.approx(0.25)


def test_a_feature_never_seen_says_nothing():
    model = Logistic({"known": 3.0}, -1.0)
    assert model.probability({"new": 9.0}) == sigmoid(-1.0)


def test_the_same_rows_give_the_same_model():
    rows = [{"a": i / 7, "b": (i % 3) / 2} for i in range(20)]
    targets = [float(i % 2) for i in range(20)]
    assert fit(rows, targets) == fit(rows, targets)


@pytest.mark.parametrize(("rows", "targets"), [([], []), ([{}], [0, 1]), ([{}], [1.5]), ([{}], [math.nan])])
def test_what_is_no_table_is_refused(rows, targets):
    with pytest.raises(ValueError, match="target"):
        fit(rows, targets)


@given(st.floats(-1e6, 1e6))
def test_the_sigmoid_never_overflows(z):
    assert 0 <= sigmoid(z) <= 1
