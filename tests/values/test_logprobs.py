"""Log-probabilities beside an answer: whose tokens they are, and how likely a field's value was."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.values.content import Text
from outlay.values.logprobs import chance_of, logprobs_block, logprobs_of, tokens_of
from outlay.values.message import Message

ANSWER = '{"label": "refund", "to": {"city": "Łódź"}, "n": 12}'


def one_by_one(text: str, unlikely: str = "", value: float = math.log(0.5)) -> list[tuple[int, float]]:
    """A token for each character; those of `unlikely`, where it stands first, have this log-probability."""
    at = text.find(unlikely) if unlikely else len(text)
    return [(len(c.encode()), value if at <= i < at + len(unlikely) else 0.0) for i, c in enumerate(text)]


@pytest.mark.parametrize(("field", "value"), [("label", "refund"), ("to.city", "ódź"), ("n", "12"), ("to", "Łó")])
def test_a_fields_chance_is_the_product_over_the_tokens_of_its_value(field: str, value: str) -> None:
    tokens = one_by_one(ANSWER, value)
    assert chance_of(ANSWER, tokens, [field]) == pytest.approx(0.5 ** len(value))
    others = [name for name in ("label", "n", "to.city") if name != field and not field.startswith(name[:2])]
    assert all(chance_of(ANSWER, tokens, [name]) == 1 for name in others)


def test_several_fields_are_likely_together_and_the_whole_text_is_its_own() -> None:
    tokens = [(size, math.log(0.9)) for size, _ in one_by_one(ANSWER)]
    both, label, n = (chance_of(ANSWER, tokens, fields) for fields in (["label", "n"], ["label"], ["n"]))
    assert both == pytest.approx((label or 0) * (n or 0))
    assert chance_of(ANSWER, tokens) == pytest.approx(0.9 ** len(ANSWER))


def test_the_closing_quote_belongs_to_the_value() -> None:
    """It is what says that the value ends there: refund, and not refund_failed."""
    tokens = [(8, 0.0), (2, 0.0), (7, 0.0), (2, math.log(0.25))]
    assert chance_of('{"label": "refund"}', tokens, ["label"]) == pytest.approx(0.25)


def test_of_a_field_that_stands_there_twice_the_last_counts_as_it_does_for_readers() -> None:
    text = '{"a": "sure", "a": "luck"}'
    assert json.loads(text) == {"a": "luck"}
    assert chance_of(text, one_by_one(text, "luck"), ["a"]) == pytest.approx(0.5**4)


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", '{"b": 1}', '{"label"', '{"to": 3}'])
def test_there_is_no_chance_of_what_is_not_there(text: str) -> None:
    assert chance_of(text, one_by_one(text), ["label" if "to" not in text else "to.city"]) is None


def test_tokens_of_another_text_are_no_ones() -> None:
    """An answer whose text is not what the tokens say (a refusal, a server that cuts) has none."""
    block = logprobs_block("openai", [(3, -0.1)])
    assert logprobs_of(Message("assistant", (Text("abc"), block))) == [(3, -0.1)]
    assert logprobs_of(Message("assistant", (Text("abcd"), block))) is None
    assert logprobs_of(Message("assistant", (Text("abc"),))) is None


def test_they_are_in_no_key_and_no_text() -> None:
    plain = Message("assistant", (Text("abc"),))
    beside = Message("assistant", (Text("abc"), logprobs_block("openai", [(3, -0.1)])))
    assert (beside.canonical, beside.text, beside.thinking) == (plain.canonical, "abc", "")


def test_a_part_of_a_character_is_known_by_its_bytes() -> None:
    entries = [{"token": "\\xc5", "logprob": -0.5, "bytes": [197]}, {"token": "\\x81", "logprob": 0, "bytes": [129]}]
    assert tokens_of(entries) == [(1, -0.5), (1, 0.0)]
    assert tokens_of([{"token": "Ł", "logprob": -0.5, "bytes": None}]) == [(2, -0.5)]


@pytest.mark.parametrize(
    "broken", [1, "a", {}, {"token": "a"}, {"token": 1, "logprob": 0}, {"token": "a", "logprob": "x"}]
)
def test_what_is_of_another_form_is_nothing(broken: object) -> None:
    assert tokens_of([{"token": "a", "logprob": 0.0}, broken]) is None


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.lists(st.text())), min_size=1), st.data())
def test_every_member_of_every_object_is_found_whole(said: dict[str, object], data: st.DataObject) -> None:
    """Whatever the names and values, and however it is written: a token of certain length zero elsewhere."""
    name = data.draw(st.sampled_from(sorted(said)))
    text = json.dumps(said, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    if "." in name:
        return  # a path
    tokens = [(len(c.encode(errors="surrogatepass")), -1.0) for c in text]
    lengths = {len(json.dumps(said[name], ensure_ascii=a, indent=i)) for a in (True, False) for i in (None, 1)}
    chance = chance_of(text, tokens, [name])
    assert chance is not None
    if not isinstance(said[name], list):
        assert round(-math.log(chance)) in lengths
