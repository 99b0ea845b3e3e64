"""Messages to bytes and back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.bus.envelope import seal, unseal
from outlay.errors import ConfigError
from outlay.protocols.bus import Headers
from outlay.values.label import Integrity, Label

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
LABELS = st.builds(Label, st.sampled_from(Integrity), st.frozensets(TEXT), st.frozensets(TEXT))
HEADERS = st.builds(Headers, TEXT, LABELS, st.dictionaries(TEXT, TEXT))


@given(body=st.binary() | JSON, id=TEXT, key=st.none() | TEXT, headers=HEADERS)
def test_what_was_sealed_is_what_is_unsealed(body: Any, id: str, key: str | None, headers: Headers):
    """The label included: a bus must not launder what it carries."""
    envelope = seal("orders", id, key, body, headers, published=1.5, limit=2**20)
    content = unseal("orders", envelope.payload)
    assert (content.body, content.id, content.key, content.headers) == (body, id, key, headers)
    assert type(content.body) is type(body)
    assert content.published == 1.5


@given(st.binary())
def test_bytes_of_somebody_else_are_refused_or_read_but_never_worse(payload: bytes):
    """A stranger on the server cannot make a consumer fall over."""
    with contextlib.suppress(ConfigError):
        unseal("orders", payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}\n1",
        b'{"id":"a","published":1,"json":true}\n' + b"[" * 100_000,
        b'{"id":"a","published":1,"json":true}\n{"a":',
        b'{"id":"a","published":1,"integrity":9}\nx',
    ],
    ids=["nothing", "no id", "too deep", "half", "an unknown level"],
)
def test_what_is_broken_is_refused(payload: bytes):
    with pytest.raises(ConfigError, match="not a message of this bus"):
        unseal("orders", payload)
