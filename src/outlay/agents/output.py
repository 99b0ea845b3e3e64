"""Typed output: the schema a model is asked for, and the value its answer decodes to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from outlay.agents import jsontext
from outlay.errors import ConfigError
from outlay.values.request import OutputSpec


@dataclass(frozen=True, slots=True, eq=False)
class OutputCodec:
    """How one output type is asked for (`spec`, None for plain text) and decoded."""

    spec: OutputSpec | None
    adapter: Any = None

    def decode(self, text: str) -> Any:
        """The value in a model's answer. Raises ValueError with what is wrong, fit to be fed back to the model."""
        if self.spec is None:
            if not jsontext.is_text(text):
                raise ValueError(jsontext.NOT_TEXT)
            return text
        from pydantic import ValidationError

        try:
            value = self._unwrap(jsontext.parse(text))
        except ValueError as error:
            if not self.spec.wrapped:
                raise
            value, not_json = text.strip(), error  # a bare word is a fine answer for a Literal or an Enum
        else:
            not_json = None
        try:
            return self.adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            if not_json is not None:
                raise not_json from None
            raise ValueError(_problems(error)) from None

    def _unwrap(self, value: Any) -> Any:
        assert self.spec is not None
        if self.spec.wrapped and isinstance(value, dict) and value.keys() == {"value"}:  # pyright: ignore[reportUnknownMemberType]
            return value["value"]  # pyright: ignore[reportUnknownVariableType]
        return value  # pyright: ignore[reportUnknownVariableType]


TEXT = OutputCodec(None)


def codec_for(output_type: Any, agent: str = "") -> OutputCodec:
    """The codec of an output type. Raises ConfigError for a type that JSON cannot express."""
    if output_type is str:
        return TEXT
    try:
        return _codec_for(output_type)
    except TypeError as error:  # unhashable: no type form is
        raise _not_a_type(output_type, agent, str(error)) from None
    except ConfigError as error:
        raise _not_a_type(output_type, agent, error.message) from None


def _not_a_type(output_type: Any, agent: str, why: str) -> ConfigError:
    return ConfigError(
        f"agent {agent!r}: output_type={output_type!r} cannot be asked of a model: {why}",
        hint="use str, Literal, Enum, a pydantic model, dataclass, TypedDict, or a list or union of these",
    )


@lru_cache(maxsize=1024)
def _codec_for(output_type: Any) -> OutputCodec:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        adapter: Any = TypeAdapter(output_type)
        schema = adapter.json_schema(mode="validation")
    except PydanticUserError as error:
        raise ConfigError(str(error).partition("\n")[0]) from None
    wrapped = schema.get("type") != "object"
    if wrapped:
        definitions = schema.pop("$defs", None)
        schema = {
            "type": "object",
            "properties": {"value": schema},
            "required": ["value"],
            "additionalProperties": False,
        }
        if definitions:
            schema["$defs"] = definitions
    name = getattr(output_type, "__name__", "output")
    return OutputCodec(OutputSpec(name, json.dumps(schema), wrapped), adapter)


def _problems(error: Any) -> str:
    """A pydantic error as a short list: where, and what."""
    lines = [f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors(include_url=False)]
    shown = lines[:8]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more")
    return "; ".join(shown)
