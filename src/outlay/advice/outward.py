"""What a flow's agents may do to the world."""

from __future__ import annotations

import json
from typing import Any

from outlay.advice.survey import Survey
from outlay.agents.agent import Agent
from outlay.agents.tool import Tool

#: Schema types in which nothing can be written out.
_CLOSED_TYPES = frozenset({"boolean", "integer", "number", "null"})
_CLOSED_FORMATS = frozenset({"date", "date-time", "time", "duration", "uuid"})


def open_effects(survey: Survey) -> list[tuple[Agent[Any], Tool]]:
    """Tools that change the world, with arguments that a model writes freely and nobody approves."""
    return [
        (agent, tool)
        for agent, tool in survey.tools
        if tool.side_effect and not tool.requires_approval and not _is_closed(json.loads(tool.spec.schema))
    ]


def _is_closed(schema: dict[str, Any]) -> bool:
    """No argument of it is free text."""
    definitions: dict[str, Any] = schema.get("$defs", {})
    return all(_value_is_closed(one, definitions) for one in schema.get("properties", {}).values())


def _value_is_closed(schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    if "$ref" in schema:
        return _value_is_closed(definitions.get(schema["$ref"].rpartition("/")[2], {}), {})
    if "enum" in schema or "const" in schema or schema.get("format") in _CLOSED_FORMATS:
        return True
    if "anyOf" in schema:
        return all(_value_is_closed(one, definitions) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return _value_is_closed(schema.get("items", {}), definitions)
    return schema.get("type") in _CLOSED_TYPES
