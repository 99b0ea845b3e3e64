"""Typed output: the schema a model is asked for, and the value its answer decodes to."""

from __future__ import annotations

import json
import sys
import typing
from dataclasses import dataclass
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, MethodType, UnionType
from typing import Annotated, Any, NotRequired, cast

from typing_extensions import TypedDict

from outlay.agents import jsontext
from outlay.errors import ConfigError
from outlay.values.request import OutputSpec

#: What begins like this is meant as JSON, not as a bare word.
_STRUCTURED = ("{", "[", '"', "```")


@dataclass(frozen=True, slots=True, eq=False)
class OutputCodec:
    """How one output type is asked for (`spec`, None for plain text) and decoded.

    `type` is the output type in a spelling that pydantic takes.
    """

    spec: OutputSpec | None
    adapter: Any = None
    type: Any = str

    def decode(self, text: str) -> Any:
        """The value in a model's answer. Raises ValueError with what is wrong, fit to be fed back to the model."""
        if self.spec is None:
            if not jsontext.is_text(text):
                raise ValueError(jsontext.NOT_TEXT)
            return text
        from pydantic import ValidationError

        readings: list[Any] = []
        wrong: ValueError | None = None
        try:
            parsed = jsontext.parse(text)
            # as it stands second: it may be a model whose only field is `value`
            readings = [_unwrapped(parsed), parsed] if self.spec.wrapped else [parsed]
        except ValueError as error:
            wrong = error
        if self.spec.wrapped and not text.lstrip().startswith(_STRUCTURED):
            readings.append(text.strip())  # a bare word is a fine answer for a Literal or an Enum
        for reading in readings:
            try:
                return self.adapter.validate_json(json.dumps(reading))
            except ValidationError as error:
                wrong = wrong or ValueError(_problems(error))
            except RecursionError:
                wrong = wrong or ValueError("the JSON is nested too deeply")
        assert wrong is not None
        raise wrong


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"value"}:  # pyright: ignore[reportUnknownMemberType]
        return value["value"]  # pyright: ignore[reportUnknownVariableType]
    return value  # pyright: ignore[reportUnknownVariableType]


TEXT = OutputCodec(None)


def codec_for(output_type: Any, agent: str = "") -> OutputCodec:
    """The codec of an output type. Raises ConfigError for a type that JSON cannot express."""
    if output_type is str:
        return TEXT
    if isinstance(output_type, FunctionType | MethodType | BuiltinFunctionType):
        raise _not_a_type(output_type, agent, "it is a function")
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

    output_type = portable(output_type)
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
    return OutputCodec(OutputSpec(name, json.dumps(schema), wrapped), adapter, output_type)


def portable(kind: Any) -> Any:
    """A type with each `typing.TypedDict` in it as one of `typing_extensions`: before Python 3.12 pydantic takes no
    other. Fields of models and dataclasses are left as they are.
    """
    if sys.version_info >= (3, 12):
        return kind
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = {name: portable(hint) for name, hint in hints.items()}
        for name in kind.__optional_keys__:
            fields[name] = fields[name] if typing.get_origin(fields[name]) is NotRequired else NotRequired[fields[name]]
        return cast(Any, TypedDict)(kind.__name__, fields)
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if not inside or origin is typing.Literal:
        return kind
    changed = tuple(portable(one) for one in inside)
    if all(new is old for new, old in zip(changed, inside, strict=True)):
        return kind
    if origin in (typing.Union, UnionType):
        return typing.Union[changed]  # noqa: UP007 - built from a tuple
    return Annotated[changed] if origin is Annotated else origin[changed]


def _problems(error: Any) -> str:
    """A pydantic error as a short list: where, and what."""
    lines = [f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors(include_url=False)]
    shown = lines[:8]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more")
    return "; ".join(shown)
