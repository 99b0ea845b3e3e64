"""Half a character in an answer is read as U+FFFD, and every other escape as what it is."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.models.surrogates import read_whole, whole_characters

#: Texts of whole characters, halves, and what looks like the escape of one.
texts = st.lists(st.sampled_from(["\ud83d", "\ude00", "\U0001f600", "a", "\\", "\\ud83d", '"', "\n", "é"])).map("".join)


@given(texts)
def test_only_halves_are_replaced(text: str) -> None:
    """Two that stand side by side are a whole, as in UTF-16, where this comes from."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    for said in (json.dumps(text), json.dumps(text).upper().replace("\\U", "\\u").replace("\\N", "\\n")):
        read = json.loads(whole_characters(said))
        assert read == whole or read.lower() == whole.lower()
    assert whole_characters(json.dumps(text).encode()) == whole_characters(json.dumps(text)).encode()
    assert whole_characters(json.dumps(whole)) == json.dumps(whole)


@pytest.mark.parametrize("body", [b'{"a": "x \\ud83d y"}', '{"a": "x \\ud83d y"}'])
def test_what_is_refused_for_a_half_is_read_again(body: bytes | str) -> None:
    assert read_whole(msgspec.json.decode, body) == {"a": "x \ufffd y"}


def test_what_is_wrong_otherwise_stays_wrong() -> None:
    for body in (b'{"a": ', b'{"a": "\\ud83d'):
        with pytest.raises(msgspec.DecodeError):
            read_whole(msgspec.json.decode, body)
