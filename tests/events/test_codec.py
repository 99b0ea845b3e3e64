"""Events to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay import events
from outlay.events import Custom, Event, TextDelta, Unknown, decode, encode
from outlay.events.codec import kind_of

KINDS = [kind for name in events.__all__ if isinstance(kind := getattr(events, name), type) and kind is not Event]
text = st.text(st.characters(codec="utf-8"), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
st.register_type_strategy(Decimal, st.decimals(0, 10**12, places=8))
OF_FIELD: dict[Any, st.SearchStrategy[Any]] = {
    str: text,
    str | None: st.none() | text,
    int: st.integers(0, 2**53),
    float: st.floats(0, 1e12),
    bool: st.booleans(),
    Decimal: st.decimals(0, 10**12, places=8),
    Decimal | None: st.none() | st.decimals(0, 10**12, places=8),
    int | None: st.none() | st.integers(0, 2**53),
    float | None: st.none() | st.floats(0, 1e12),
    tuple[str, ...]: st.lists(text, max_size=3).map(tuple),
    tuple[dict[str, str], ...]: st.lists(st.dictionaries(text, text, max_size=2), max_size=2).map(tuple),
    Any: json_values,
    tuple[Any, ...]: st.lists(json_values, max_size=3).map(tuple),
    dict[str, str]: st.dictionaries(text, text, max_size=3),
    dict[str, Any]: st.dictionaries(text, json_values, max_size=3),
    dict[str, Any] | None: st.none() | st.dictionaries(text, json_values, max_size=3),
}


def of_kind(kind: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: OF_FIELD[hints[name]] for name in kind.__struct_fields__})


@given(st.sampled_from([kind for kind in KINDS if kind is not Unknown]).flatmap(of_kind))
def test_every_event_survives_the_round_trip(event: Event) -> None:
    """What is read is what was written, with exact money, and is one JSON object."""
    body = encode(event)
    assert decode(body) == event
    assert type(decode(body)) is type(event)
    assert json.loads(body)["kind"] == kind_of(event)


def test_every_kind_has_a_name_of_its_own() -> None:
    """Stored names tell the records apart."""
    names = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(names)) == len(names)


def test_an_event_of_a_newer_version_is_kept_as_it_was_read() -> None:
    """An unknown kind is not dropped and not half understood."""
    body = {"kind": "teleported", "run": "r", "seq": 3, "time": 1.5, "path": "a/b", "to": ["x"]}
    event = decode(json.dumps(body))
    assert event == Unknown(run="r", seq=3, time=1.5, path="a/b", body=body)


def test_new_fields_of_known_events_are_passed_over() -> None:
    """An older version can read a newer version's events."""
    body = {"kind": "text_delta", "run": "r", "seq": 0, "time": 0.0, "text": "hi", "new": 1}
    assert decode(json.dumps(body)) == TextDelta(run="r", seq=0, time=0.0, text="hi")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"kind": "text_delta"',
        b'{"kind": "teleported"}',
        b'{"kind": "teleported", "run": 1, "seq": "x", "time": 0}',
        b'{"kind": ["x"], "run": "r", "seq": 0, "time": 0}',
        b'{"kind": "text_delta", "run": "r", "seq": "0", "time": 0, "text": ""}',
        b'{"kind": "overrun", "run": "r", "seq": 0, "time": 0, "model": "m", "reserved": "much", "cost": "1"}',
    ],
)
def test_garbage_is_refused(body: bytes) -> None:
    """What is not an event is a ValueError, never an event that is half right."""
    with pytest.raises(ValueError):  # noqa: PT011 - each says it in its own words
        decode(body)


def test_what_json_lacks_is_written_as_text() -> None:
    """Facts are for people to read: a path, a set or a type of the user's must not break a paid run."""
    event = Custom(run="r", seq=0, time=0.0, name="n", data={"path": Path("a"), "error": ValueError("x"), 3: object})
    found = decode(encode(event))
    assert isinstance(found, Custom)
    assert found.data["path"] == "a"
    assert found.data["error"] == "x"


def _cyclic() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["me"] = data
    return data


def _hostile() -> Iterator[tuple[str, Any]]:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    yield "half a surrogate pair", {"text": "a\ud800b"}
    yield "a surrogate in a key", {"\udfff": 1}
    yield "a value that cannot be shown", {"x": Broken()}
    yield "a value that holds itself", _cyclic()
    yield "an integer without end", {"x": 10**5000}
    yield "a key that is no text", {(1, 2): 3}


@pytest.mark.parametrize("data", [data for _, data in _hostile()], ids=[name for name, _ in _hostile()])
def test_no_event_is_lost_because_of_what_it_holds(data: dict[Any, Any]) -> None:
    """Whatever user code or a model puts into an event, it is written, and can be read."""
    found = decode(encode(Custom(run="r", seq=7, time=0.0, name="n", data=data)))
    assert isinstance(found, Custom)
    assert (found.seq, found.name) == (7, "n")
