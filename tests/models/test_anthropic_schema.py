"""The JSON schema of a structured output, checked against the official SDK's own transformation."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Len
from pydantic import BaseModel, Field, RootModel, TypeAdapter

from outlay.errors import ConfigError
from outlay.models.anthropic_schema import accepted


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Ge(1)] = 9


class Dog(BaseModel):
    """Barks."""

    kind: Literal["dog"] = Field(description="what it is")
    name: Annotated[str, Len(1, 20)] | None = None


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Everything(BaseModel):
    pet: Cat | Dog = Field(discriminator="kind")
    colour: Colour
    born: dt.date
    at: dt.datetime
    price: Decimal
    tags: Annotated[list[str], Len(1, 3)]
    more: Annotated[list[int], Len(2, 5)]
    word: str = Field(pattern="^a+$")
    tree: Tree | None = Field(default=None, description="a tree")
    flag: bool = False


@pytest.mark.parametrize("kind", [Cat, Dog, Tree, Everything, RootModel[Cat], list[Dog]], ids=str)
def test_it_is_what_the_official_sdk_sends(kind: Any) -> None:
    """The same schema as `anthropic.transform_schema` makes, but for defaults, which say nothing to a model."""
    from anthropic import transform_schema

    schema = TypeAdapter(kind).json_schema()
    assert accepted(schema) == transform_schema(without_defaults(schema))


def without_defaults(schema: Any) -> Any:
    """Without `default` and `discriminator`, which the SDK writes into descriptions."""
    if isinstance(schema, dict):
        return {
            name: {key: without_defaults(value) for key, value in found.items()}
            if name in ("properties", "$defs")
            else without_defaults(found)
            for name, found in schema.items()
            if name not in ("default", "discriminator")
        }
    return [without_defaults(one) for one in schema] if isinstance(schema, list) else schema


def test_constraints_move_into_the_description() -> None:
    """What the provider would refuse is still said to the model."""
    schema = {"type": "integer", "minimum": 1, "description": "A number."}
    assert accepted(schema) == {"type": "integer", "description": "A number.\n\n{minimum: 1}"}


@pytest.mark.parametrize(
    ("kind", "said"), [(dict[str, int], "mapping with free keys"), (list[Any], r"output_type\[\] may be anything")]
)
def test_what_cannot_be_described_is_named(kind: Any, said: str) -> None:
    """Before anything is spent, with the place."""
    with pytest.raises(ConfigError, match=said):
        accepted(TypeAdapter(kind).json_schema())


def test_the_given_schema_is_left_alone() -> None:
    """It is cached and shared."""
    schema = TypeAdapter(Everything).json_schema()
    before = repr(schema)
    accepted(schema)
    assert repr(schema) == before
