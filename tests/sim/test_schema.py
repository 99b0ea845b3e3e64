"""The sampler of JSON schemas, against a validator."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from outlay.sim.schema import satisfy

bounds = st.integers(-1_000, 1_000)


def spans(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """A number with any of the bounds; at least 12 wide, so that every bound and step leaves room."""
    return st.builds(
        lambda low, width, strict, step: {
            "type": kind,
            ("exclusiveMinimum" if strict else "minimum"): low,
            ("exclusiveMaximum" if strict else "maximum"): low + width,
            **({"multipleOf": step} if step and kind == "integer" else {}),
        },
        bounds,
        st.integers(12, 500),
        st.booleans(),
        st.sampled_from([0, 2, 5]),
    )


leaves = st.one_of(
    st.just({"type": "string"}),
    st.builds(lambda n: {"type": "string", "minLength": n, "maxLength": n + 5}, st.integers(0, 40)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": 7}, {"enum": ["a", 2, None]}, {}]),
    st.just({"type": ["string", "null"]}),
    st.sampled_from([{"type": "integer"}, {"type": "number"}, {"type": "integer", "maximum": -5}]),
    st.sampled_from([{"type": "number", "minimum": 3}, {"type": "number", "exclusiveMaximum": -3}]),
    spans("integer"),
    spans("number"),
)


def containers(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.builds(
            lambda parts: {
                "type": "object",
                "properties": parts,
                "required": sorted(parts)[::2],
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4),
        ),
        st.builds(lambda item, n: {"type": "array", "items": item, "minItems": n}, inner, st.integers(0, 4)),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"allOf": [one]}, inner),
    )


@settings(max_examples=100, deadline=None)
@given(st.recursive(leaves, containers, max_leaves=8), st.integers(0, 10))
def test_every_sample_is_valid(schema: dict[str, Any], seed: int) -> None:
    """Whatever the schema and the seed."""
    Draft202012Validator(schema).validate(satisfy(schema, Random(seed)))


def test_a_recursive_schema_comes_to_an_end() -> None:
    """Depth is bounded although the schema's is not."""
    schema = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["next"],
                "additionalProperties": False,
            }
        },
    }
    for seed in range(20):
        Draft202012Validator(schema).validate(satisfy(schema, Random(seed)))


def test_unique_items_are_unique() -> None:
    """As many different ones as were asked for."""
    schema = {"type": "array", "items": {"enum": [1, 2, 3, 4]}, "minItems": 4, "maxItems": 4, "uniqueItems": True}
    assert sorted(satisfy(schema, Random(0))) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True},
        {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
    ],
)
def test_a_schema_that_nothing_satisfies_is_an_error(schema: dict[str, Any]) -> None:
    """Not an endless search."""
    with pytest.raises(ValueError, match=r"leads to itself|different items|requires itself"):
        satisfy(schema, Random(0))
