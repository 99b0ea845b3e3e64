"""Contradictions: claims compared by subject and value, between subtasks."""

from hypothesis import given
from hypothesis import strategies as st

from outlay.patterns import Claim, Contradiction, Statement
from outlay.patterns.contradictions import contradictions_of, with_opinions


def between(**results):
    return contradictions_of(results, lambda id: f"worker of {id}")


def test_two_values_of_one_subject_contradict():
    """Each side with its worker, confidence, source, subtask and speaker."""
    a = Claim("Capacity 2030", "12 GW", 0.9, "report.pdf").said_by("crew/scout[a]")
    b = Claim("capacity  2030", "15 GW", 0.4, "https://blog.example")
    (found,) = between(a=[a, Claim("cost", 3)], b=[b, Claim("cost", "3")])
    assert found.subject == "Capacity 2030"
    assert found.claims == [
        Statement("worker of a", "12 GW", 0.9, "report.pdf", "a", "crew/scout[a]"),
        Statement("worker of b", "15 GW", 0.4, "https://blog.example", "b", ""),
    ]
    assert found.found == "comparison"


def test_those_who_agree_are_listed_beside():
    """Two against one is for the reader to weigh."""
    (found,) = between(a=Claim("x", 1), b=Claim("x", 2), c=Claim("x", 1))
    assert [s.value for s in found.claims] == [1, 2, 1]


def test_a_longer_list_does_not_contradict_a_shorter():
    """A subject may have several values; each side has to miss one of the other's."""
    one, two, three = Claim("maker", "A"), Claim("maker", "B"), Claim("maker", "C")
    assert between(a=[one, two], b=[one]) == ()
    assert between(a=[one, two], b=[one, three]) != ()


def test_one_result_does_not_contradict_itself():
    """It is between subtasks."""
    assert between(a=[Claim("x", 1), Claim("x", 2)]) == ()


def test_texts_are_not_compared():
    """What is no claim is nobody's contradiction: no guess is made."""
    assert between(a="It is 12 GW.", b="It is 15 GW.") == ()


values = st.lists(st.builds(Claim, st.sampled_from("xy"), st.integers(0, 2)), max_size=4)


@given(st.dictionaries(st.sampled_from("abcd"), values))
def test_the_order_of_results_does_not_matter(results):
    """The same subjects contradict whoever came first, and only those with two values in different results."""
    found = {c.about for c in between(**results)}
    assert found == {c.about for c in between(**dict(reversed(results.items())))}
    for about in found:
        assert len({c.value for claims in results.values() for c in claims if c.about == about}) > 1


def test_an_opinion_is_listed_as_an_opinion():
    """What only the synthesizer speaks of; what the comparison found is not listed twice."""
    compared = between(a=Claim("x", 1), b=Claim("x", 2))
    output = {"conflicts": [Contradiction("X", []), Contradiction("tone", [Statement("scout", "gloomy")])]}
    listed = with_opinions(compared, output)
    assert [(c["subject"], c["found"]) for c in listed] == [("x", "comparison"), ("tone", "opinion")]
    assert listed[1]["claims"][0]["worker"] == "scout"
