"""Which values can be shared, and what becomes of them."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from outlay.errors import ConfigError
from outlay.sharing import State
from outlay.sharing.labels import label_of
from outlay.sharing.packing import pack, plain, unpack
from outlay.stores import MemoryStore
from outlay.values.label import TRUSTED, Integrity, Label

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
LABELS = st.builds(Label, st.sampled_from(Integrity), st.frozensets(TEXT), st.frozensets(TEXT))


@given(value=JSON, label=LABELS)
def test_json_and_its_label_come_back_as_they_were(value: Any, label: Label):
    assert plain(value, "it") == value
    found = unpack(pack(value, label, "it"))
    assert found["value"] == value
    assert label_of(found.get("label")) == label


def test_trust_costs_no_bytes():
    assert pack(1, TRUSTED, "it") == b'{"value":1}'


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    n: int
    colour: Colour = Colour.RED


@dataclasses.dataclass
class Point:
    x: float
    tags: tuple[str, ...] = ("a",)


@pytest.mark.parametrize(
    ("value", "shared"),
    [
        ((1, (2,)), [1, [2]]),
        (Model(n=1), {"n": 1, "colour": "red"}),
        ([Point(0.5)], [{"x": 0.5, "tags": ["a"]}]),
        ({"c": Colour.RED}, {"c": "red"}),
    ],
)
async def test_the_writer_gets_what_everybody_gets(value: Any, shared: Any):
    """Types that JSON lacks are gone on the first use already, not only after a resume."""
    state = State(MemoryStore(), "team")
    assert (await state.overwrite("x", value)).value == (await state.get("x")).value == shared


async def test_a_value_is_a_copy():
    """Changing what was written or read changes nothing that is shared."""
    state, mine = State(MemoryStore(), "team"), {"list": [1]}
    written = await state.overwrite("x", mine)
    mine["list"].append(2)
    written.value["list"].append(3)
    (await state.get("x")).value["list"].append(4)
    assert (await state.get("x")).value == {"list": [1]}


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nan, "nan is no JSON number"),
        ([math.inf], "inf is no JSON number"),
        ({1: "a"}, "the key 1 is a int"),
        ({"a": b"bytes"}, "it holds a bytes"),
        ({1, 2}, "it holds a set"),
        (object(), "it holds a object"),
        (Model, "it holds a ModelMetaclass"),
        ("half \ud800", "surrogate"),
        ({"\udc00": 1}, "surrogate"),
        (circle(), "holds itself"),
        (deep(100_000), "nested too deeply"),
        pytest.param(10**5_000, "digits", id="an integer of 5,000 digits"),
    ],
)
async def test_what_has_no_json_is_refused_before_anything_is_written(value: Any, why: str):
    state = State(MemoryStore(), "team")
    for write in (state.overwrite("x", value), state.log("x").append(value), state.artifacts.put("x", [value])):
        with pytest.raises(ConfigError, match=why):
            await write
    assert await state.list() == []
    assert await state.log("x").end() == 0
    assert await state.artifacts.list() == []


async def test_a_large_value_belongs_into_an_artifact():
    state = State(MemoryStore(), "team")
    assert (await state.overwrite("x", "x" * 2**19)).version == 1
    with pytest.raises(ConfigError, match=r"1,048,5\d\d bytes") as caught:
        await state.overwrite("x", "x" * (2**20 - 10))
    assert "artifact" in caught.value.hint


def test_a_mapping_is_a_dict():
    class Own(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            return {"a": 1}[key]

        def __iter__(self):
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    assert plain(Own(), "it") == {"a": 1}
