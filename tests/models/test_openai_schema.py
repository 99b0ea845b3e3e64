"""Schemas for OpenAI's strict mode: closed, complete, and never wider than what was asked for."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from outlay.models.openai_schema import MAX_DEPTH, strict_schema


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=9, pattern="^a")]
    kind: Literal["x"] = "x"


class Tree(BaseModel):
    colour: Colour
    leaves: list[Leaf] = []
    weight: Annotated[float, Field(ge=0)] | None = None
    child: Tree | None = None


def schema_of(kind: Any) -> str:
    return json.dumps(TypeAdapter(kind).json_schema())


def objects(node: Any) -> list[dict[str, Any]]:
    """Every object schema inside a schema."""
    found: list[dict[str, Any]] = []
    if isinstance(node, dict):
        if node.get("type") == "object":
            found.append(node)
        for value in node.values():
            found.extend(objects(value))
    elif isinstance(node, list):
        for value in node:
            found.extend(objects(value))
    return found


def test_a_pydantic_model_is_closed_and_complete() -> None:
    """Optional fields become required, objects closed; references, enums and unions stay."""
    strict = strict_schema(schema_of(Tree), narrow=True)
    assert strict is not None
    found = json.loads(strict)
    assert "default" not in strict
    assert "minLength" not in strict
    assert '"pattern"' in strict
    for one in objects(found):
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])
    assert {"$ref", "anyOf", "enum"} <= {key for key in ("$ref", "anyOf", "enum") if f'"{key}"' in strict}


def test_what_fits_the_strict_schema_fits_the_type() -> None:
    """A value that strict mode allows is a value of the original type."""
    strict = strict_schema(schema_of(Tree), narrow=True)
    jsonschema = pytest.importorskip("jsonschema")
    value = {"colour": "red", "leaves": [{"name": "ab", "kind": "x"}], "weight": None, "child": None}
    jsonschema.validate(value, json.loads(strict or ""))
    Tree.model_validate(value)
    for wrong in ({**value, "more": 1}, {"colour": "red"}, {**value, "weight": -1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, json.loads(strict or ""))


def test_a_tool_with_a_default_is_not_made_strict() -> None:
    """The model may leave an argument out only where the schema is not strict."""
    assert strict_schema(schema_of(Leaf), narrow=False) is None
    assert strict_schema('{"type":"object","properties":{}}', narrow=False) is not None


@pytest.mark.parametrize(
    "schema",
    [
        '{"type":"object"}',
        '{"type":"object","additionalProperties":{"type":"string"}}',
        '{"type":"object","properties":{"a":{}},"required":["a"]}',
        '{"type":"object","properties":{"a":true},"required":["a"]}',
        '{"type":"object","properties":{"a":{"type":"array"}},"required":["a"]}',
        '{"type":"object","properties":{"a":{"type":"array","prefixItems":[{"type":"string"}]}},"required":["a"]}',
        '{"type":"object","properties":{"a":{"not":{"type":"string"}}},"required":["a"]}',
        '{"type":"object","properties":{},"if":{}}',
        '{"type":"object","properties":{},"patternProperties":{"x":{}}}',
        '{"type":"array","items":{"type":"string"}}',
        '{"anyOf":[{"type":"object","properties":{}}]}',
        "true",
    ],
)
def test_what_strict_mode_cannot_express_is_left_loose(schema: str) -> None:
    """Free-form objects, anything-goes values and conditions are sent as they are, without strict."""
    assert strict_schema(schema, narrow=True) is None


def test_nesting_deeper_than_strict_mode_takes_is_left_loose() -> None:
    """The depth limit is OpenAI's."""
    node: dict[str, Any] = {"type": "string"}
    for _ in range(MAX_DEPTH):
        node = _boxed(node)
        assert strict_schema(json.dumps(node), narrow=True) is not None
    assert strict_schema(json.dumps(_boxed(node)), narrow=True) is None


def _boxed(node: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": node}, "required": ["a"]}


def test_a_description_beside_a_reference_is_dropped_and_a_constraint_is_not() -> None:
    """Strict mode refuses keywords beside a reference; one that narrows it cannot be dropped silently."""
    defs = '"$defs":{"D":{"type":"string"}}'
    said = f'{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/D","description":"d"}}}},"required":["a"],{defs}}}'
    bound = said.replace('"description":"d"', '"enum":["x"]')
    assert json.loads(strict_schema(said, narrow=True) or "")["properties"]["a"] == {"$ref": "#/$defs/D"}
    assert strict_schema(bound, narrow=True) is None


SCALARS = st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(lambda kind: {"type": kind})
SCHEMAS = st.recursive(
    SCALARS | st.lists(st.sampled_from(["a", "b", 1, None]), min_size=1, unique=True).map(lambda e: {"enum": e}),
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items})
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).flatmap(
            lambda properties: st.lists(st.sampled_from([*properties, "a"]), unique=True).map(
                lambda required: {"type": "object", "properties": properties, "required": required, "title": "T"}
            )
        )
        | st.lists(inner, min_size=1, max_size=3).map(lambda choices: {"anyOf": choices})
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("xyz"), SCHEMAS, max_size=3))
def test_every_object_of_a_strict_schema_is_closed_and_complete(properties: dict[str, Any]) -> None:
    """Whatever goes in, what comes out has no open object; and making it strict again changes nothing."""
    strict = strict_schema(json.dumps({"type": "object", "properties": properties}), narrow=True)
    if strict is None:
        return
    for one in objects(json.loads(strict)):
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])
    assert strict_schema(strict, narrow=False) == strict
