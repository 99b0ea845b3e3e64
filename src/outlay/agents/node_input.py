"""What a node takes, as a model that calls it as a tool is shown it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlay.agents.output import portable
from outlay.errors import ConfigError
from outlay.protocols.node import Node

_FREE_TEXT = {"type": "string", "description": "What to hand over, complete in itself."}


@dataclass(frozen=True, slots=True, eq=False)
class NodeInput:
    """A node's input as the arguments of a tool call: the fields of a typed object, else one argument `input`."""

    schema: Mapping[str, Any]
    adapter: Any = None
    is_object: bool = False

    def decode(self, arguments: Mapping[str, Any]) -> Any:
        """The node's input. Raises ValueError with what is wrong, fit for the model."""
        if not self.is_object and "input" not in arguments:
            raise ValueError("missing: input")
        given = arguments if self.is_object else arguments["input"]
        if self.adapter is None:
            if not isinstance(given, str):
                raise ValueError("input: must be text")
            return given
        from pydantic import ValidationError

        try:
            return self.adapter.validate_json(json.dumps(given))
        except ValidationError as error:
            found = (f"{'.'.join(map(str, e['loc'])) or 'input'}: {e['msg']}" for e in error.errors(include_url=False))
            raise ValueError("; ".join([*found][:8])) from None
        except RecursionError:
            raise ValueError("the arguments are nested too deeply") from None


def input_of(node: Node[Any, Any]) -> NodeInput:
    """The input of a node: by its type where it has one, text where not. Raises ConfigError for a type that JSON
    cannot express.
    """
    kind = node.input_type
    if kind is None or kind is str:
        return NodeInput(_one(_FREE_TEXT))
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        adapter: Any = TypeAdapter(portable(kind))
        schema: dict[str, Any] = adapter.json_schema(mode="validation")
    except PydanticUserError as error:
        raise ConfigError(
            f"{node.name} cannot be a tool: no schema says what {kind!r} is: {str(error).partition(chr(10))[0]}",
            hint=f"annotate the input of {node.name} with a type that JSON can express, or wrap it in a function",
        ) from None
    if schema.get("type") == "object" and schema.get("properties"):
        return NodeInput({"additionalProperties": False, **schema}, adapter, is_object=True)
    definitions = schema.pop("$defs", None)
    return NodeInput(_one(schema) | ({"$defs": definitions} if definitions else {}), adapter)


def _one(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"input": schema}, "required": ["input"], "additionalProperties": False}
