"""The nearest question that may share its answer: threshold, facts, guards, rivals."""

import numpy as np
import pytest

from outlay.errors import ConfigError
from outlay.routing.similar import Embedder
from outlay.routing.similar.index import Index


def on_a_circle(texts):
    """A text that ends in a number of degrees is a vector in that direction; others are near no other."""
    degrees = [float(text.rsplit(maxsplit=1)[1].strip("°")) for text in texts]
    return [(np.cos(np.radians(d)), np.sin(np.radians(d))) for d in degrees]


CIRCLE = Embedder("circle", on_a_circle)


def index(*stored, threshold=0.8, margin=0.1, guards=()):
    """Questions `word degrees` in letters only, so that the degrees are no numbers that could differ."""
    found = Index(Embedder("circle", lambda texts: on_a_circle(map(_spelled, texts))), threshold, margin, guards)
    found.add([(question, f"n{i}", said) for i, (question, said) in enumerate(stored)])
    return found


def _spelled(text):
    """`ask bc` is at 12 degrees: a letter for each digit."""
    word, _, letters = text.partition(" ")
    return f"{word} {''.join(str('abcdefghij'.index(letter)) for letter in letters.split()[0])}"


def test_the_nearest_above_the_threshold_is_given():
    found = index(("ask ba", "A"), ("ask ja", "B")).near("ask bf")  # 15° from one at 10°, one at 90°
    assert found is not None
    assert (found.name, found.similarity) == ("n0", pytest.approx(np.cos(np.radians(5)), abs=1e-6))


def test_at_the_threshold_is_not_above_it():
    """cos 60° is one half, and so is the threshold."""
    assert index(("ask a", "A"), threshold=0.5 + 1e-6).near("ask ga") is None
    assert index(("ask a", "A"), threshold=0.5 - 1e-6).near("ask ga") is not None


def test_a_question_nearly_as_near_with_another_answer_leaves_it_open():
    """The one at 0° says A and the one at 20° says B: at 5° nobody knows, though both are near."""
    assert index(("ask a", "A"), ("ask ca", "B")).near("ask f") is None
    assert index(("ask a", "A"), ("ask ca", "A")).near("ask f") is not None
    assert index(("ask a", "A"), ("ask ca", "B"), margin=0.01).near("ask f") is not None


def test_a_question_that_differs_in_a_fact_is_passed_over_for_the_next():
    """And it is no rival either: its answer is about something else."""
    found = index(("ask b not", "A"), ("ask ba", "B")).look("ask a")
    assert found.near is not None
    assert (found.near.name, found.said) == ("n1", "B")
    assert [(why, near.name) for why, near in found.refused] == [("negations", "n0")]


def test_a_guard_of_yours_is_asked_too():
    def same_product(asked, before):
        return None if ("gold" in asked) == ("gold" in before) else "another product"

    assert index(("ask b gold", "A"), guards=[same_product]).near("ask a") is None
    assert index(("ask b gold", "A"), guards=[same_product]).near("ask c gold") is not None


def test_a_guard_that_raises_gives_nothing_again(caplog):
    def broken(asked, before):
        raise RuntimeError("no")

    assert index(("ask b", "A"), guards=[broken]).near("ask a") is None
    assert "a guard of similar answers raised" in caplog.text


def test_what_is_forgotten_is_not_found_and_what_is_answered_anew_counts_once():
    found = index(("ask a", "A"), ("ask d", "A"))
    found.forget("n0")
    near = found.near("ask a")
    assert near is not None
    assert near.name == "n1"
    found.add([("ask d", "n1", "B")])
    assert (found.look("ask d").said, len(found)) == ("B", 1)


def test_of_more_than_it_may_hold_the_oldest_go():
    """And their room with them: a year of questions is no slower than a day's."""
    found = Index(CIRCLE, 0.5, 0.0, most=3)
    for i in range(2_000):
        found.add([(f"q {i % 360}", f"n{i}", "A")])
    assert len(found) == 3
    assert len(found._entries) < 300
    near = found.near("q 198")  # the last ones stand at 197, 198 and 199 degrees
    assert near is not None
    assert near.name == "n1998"


def test_many_questions_that_differ_in_a_number_do_not_hide_the_one_that_fits():
    found = index(*((f"ask b {n} times", "A") for n in range(40)), ("ask c", "B"))
    near = found.near("ask b")
    assert near is not None
    assert near.name == "n40"


def test_a_text_without_a_known_word_is_like_nothing():
    found = Index(Embedder("zero", lambda texts: [[0.0, 0.0] for _ in texts]), 0.5, 0.1)
    found.add([("x", "n", "A")])
    assert found.near("x") is None


@pytest.mark.parametrize("vectors", [[[float("nan"), 1.0]], [[1.0], [1.0]], [1.0]], ids=["nan", "two", "flat"])
def test_an_embedder_that_gives_nonsense_is_refused(vectors):
    found = Index(Embedder("bad", lambda texts: vectors), 0.5, 0.1)
    with pytest.raises(ConfigError, match="the embedder gave"):
        found.add([("x", "n", "A")])
