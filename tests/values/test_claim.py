"""Claims: what counts as the same value, who said it first, and what no model can write."""

from dataclasses import asdict, dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from outlay.patterns import Claim, Contradiction
from outlay.values.claim import attribute, comparable, found_in
from outlay.values.plan import Results, Synthesis


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1000, "1,000"),
        (1000, 1000.0),
        ("1e3", 1000),
        (True, "True"),
        ("Yes", " yes. "),
        ("ten  per\ncent", "Ten per cent"),
        ("１２", 12),
        ("-.5", -0.5),
    ],
)
def test_values_that_are_the_same_however_they_are_written(one, other):
    """Numbers by size, text but for case, spacing and a final stop."""
    assert Claim("x", one).agrees_with(Claim("x", other))


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 2), (1, True), ("1,00", 100), ("12 GW", 12), ("12 GW", "12 MW"), ("yes", "no"), ("", "0"), ("1.2.3", 1.23)],
)
def test_values_that_differ(one, other):
    """Units are part of a value; a doubtful number is text."""
    assert not Claim("x", one).agrees_with(Claim("x", other))


@given(st.one_of(st.text(), st.floats(allow_nan=False), st.integers(), st.booleans()))
def test_any_value_can_be_compared(value):
    """It agrees with itself, and equal values have equal hashes."""
    assert Claim("x", value).agrees_with(Claim("x", value))
    hash(comparable(value))


def test_a_kind_of_claim_may_know_better():
    """A tolerance is a subclass."""

    @dataclass(frozen=True)
    class Measured(Claim):
        def agrees_with(self, other: Claim) -> bool:
            return abs(float(self.value) - float(other.value)) < 0.5

    assert Measured("x", 150.9).agrees_with(Measured("x", 151))


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 85, float("nan")])
def test_confidence_is_from_0_to_1(wrong):
    """85 is not taken for 0.85: the model is asked again."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Claim("x", 1, wrong)


def test_no_model_can_write_who_said_it():
    """`by` and `found` are in no schema, and dropped where they are written all the same."""
    claims, contradictions = TypeAdapter(list[Claim]), TypeAdapter(Contradiction)
    assert "by" not in claims.json_schema()["$defs"]["Claim"]["properties"]
    assert "found" not in contradictions.json_schema()["properties"]
    (claim,) = claims.validate_python([{"subject": "x", "value": 1, "by": "crew/judge"}])
    assert claim.by == ""
    assert contradictions.validate_python({"subject": "x", "claims": [], "found": "comparison"}).found == "opinion"


class Report(BaseModel):
    text: str
    claims: list[Claim]


def test_claims_are_found_wherever_they_stand():
    """In lists, mappings, dataclasses and models, in their order, each once; long results count as a whole."""
    a, b, c = Claim("a", 1), Claim("b", 2), Claim("c", 3)
    assert list(found_in({"x": [Report(text="t", claims=[a]), (b, a)], "y": c, "z": "text"}, Claim)) == [a, b, c]
    assert list(found_in(Results({"x": [a]}, {"x": "beginning…"}), Claim)) == [a]
    circle = [a]
    circle.append(circle)
    assert list(found_in(circle, Claim)) == [a]


def test_a_claim_is_its_first_speakers():
    """What repeats an earlier claim keeps its speaker and its source; anything else is the repeater's own."""
    first = Claim("capacity", "12 GW", 0.9, "report.pdf").said_by("crew/scout[a]")
    same, silent = Claim("Capacity", "12 gw", 0.5, "report.pdf"), Claim("capacity", "12 GW")
    other_source, other_value = Claim("capacity", "12 GW", 0.9, "blog"), Claim("capacity", "13 GW", 0.9, "report.pdf")
    attribute(Report(text="", claims=[same, silent, other_source, other_value]), "crew/last", [first])
    assert (same.by, silent.by, silent.source) == ("crew/scout[a]", "crew/scout[a]", "report.pdf")
    assert (other_source.by, other_value.by) == ("crew/last", "crew/last")


def test_a_changed_claim_has_no_speaker():
    """A copy with another value is not what they said."""
    assert replace(Claim("x", 1).said_by("a"), value=2).by == ""


def test_a_function_says_who_speaks():
    """And may name the source where the claim has none."""
    claim = Claim("x", 1).said_by("crew/lookup", source="table 3")
    assert (claim.by, claim.source, claim.said_by("y", source="z").source) == ("crew/lookup", "table 3", "table 3")


def test_results_can_be_copied_like_any_mapping():
    """`dataclasses.asdict` builds them of pairs; `whole` comes along."""
    synthesis = Synthesis("goal", "", Results({"a": 1}), {})
    copied = asdict(synthesis)["results"]
    assert (copied, copied.whole) == ({"a": 1}, {"a": 1})
    assert Results({"a": "long"}, {"a": "l…"}) == {"a": "l…"}
