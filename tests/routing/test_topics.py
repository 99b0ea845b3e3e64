"""Words that stand together weigh alike, and a router that learned so still holds words only."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.routing.logistic import Logistic, fit
from outlay.routing.topics import Topics

LAW = ("court", "contract", "tort", "statute", "appeal", "clause")
SKY = ("star", "orbit", "comet", "lunar", "solar", "planet")


def texts(count: int, seed: int = 0) -> list[dict[str, float]]:
    """Three words each, all of one subject."""
    draw = random.Random(seed)
    return [dict.fromkeys(draw.sample(draw.choice((LAW, SKY)), 3), 1 / math.sqrt(3)) for _ in range(count)]


def test_what_one_word_of_a_subject_says_counts_for_those_that_no_label_showed() -> None:
    topics = Topics.of(texts(200), topics=2)
    labelled, targets = [{"court": 1.0}, {"star": 1.0}], [1.0, 0.0]

    plain = fit(labelled, targets)
    helped = topics.folded(fit([topics.beside(row) for row in labelled], targets))

    assert plain.probability({"tort": 1.0}) == 0.5, "a word without a label says nothing by itself"
    assert helped.probability({"tort": 1.0}) > 0.5 > helped.probability({"comet": 1.0})


@given(seed=st.integers(0, 50), weights=st.lists(st.floats(-3, 3), min_size=14, max_size=14), bias=st.floats(-2, 2))
def test_folding_keeps_every_probability(seed: int, weights: list[float], bias: float) -> None:
    topics = Topics.of(texts(60, seed), topics=2)
    names = [*LAW, *SKY, "=0", "=1"]
    fitted = Logistic(dict(zip(names, weights, strict=True)), bias)
    for row in texts(5, seed + 1):
        assert topics.folded(fitted).probability(row) == pytest.approx(fitted.probability(topics.beside(row)))


def test_a_folded_fit_names_no_topic() -> None:
    topics = Topics.of(texts(60), topics=2)
    fitted = fit([topics.beside(row) for row in texts(20)], [float("court" in row) for row in texts(20)])
    assert not any(name.startswith("=") for name in topics.folded(fitted).weights)


def test_axes_are_orthogonal_and_of_length_1() -> None:
    axes = list(zip(*Topics.of(texts(200), topics=4).axes.values(), strict=True))
    for i, one in enumerate(axes):
        for j, other in enumerate(axes):
            assert math.fsum(a * b for a, b in zip(one, other, strict=True)) == pytest.approx(float(i == j), abs=1e-9)


def test_the_same_texts_give_the_same_topics() -> None:
    assert Topics.of(texts(2000)).axes == Topics.of(texts(2000)).axes


@pytest.mark.parametrize(
    "seen", [[], [{}], [{"alone": 1.0}], [{"same": 1.0}] * 9], ids=["none", "empty", "rare", "one"]
)
def test_texts_that_hold_no_topics_change_nothing_they_should_not(seen: list[dict[str, float]]) -> None:
    topics = Topics.of(seen)
    fitted = fit([topics.beside({"yes": 1.0}), topics.beside({"no": 1.0})], [1.0, 0.0])
    assert topics.folded(fitted).probability({"yes": 1.0}) > 0.5
