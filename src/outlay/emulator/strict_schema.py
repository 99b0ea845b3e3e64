"""OpenAI's rules for strict JSON schemas: every object closed, every property required."""

from __future__ import annotations

from typing import Any

from outlay.emulator.json import Json, rows, table
from outlay.emulator.problems import invalid


def check_strict(schema: Json, name: str, param: str) -> None:
    """Refuse a schema that strict mode refuses.

    Raises:
        Problem: the provider's 400, which names the place and the rule.
    """
    if schema.get("type") != "object":
        _refuse(
            name, param, (), f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'"
        )
    _check(schema, name, param, ())


def _check(node: Json, name: str, param: str, at: tuple[str, ...]) -> None:
    if node.get("type") == "object" or "properties" in node:
        properties = table(node.get("properties"))
        if node.get("additionalProperties") is not False:
            _refuse(name, param, at, "'additionalProperties' is required to be supplied and to be false")
        if missing := [key for key in properties if key not in rows(node.get("required"))]:
            _refuse(
                name,
                param,
                at,
                "'required' is required to be supplied and to be an array including every key "
                f"in properties. Missing '{missing[0]}'",
            )
        for key, part in properties.items():
            _check(table(part), name, param, (*at, "properties", key))
    if "items" in node:
        _check(table(node["items"]), name, param, (*at, "items"))
    for index, branch in enumerate(rows(node.get("anyOf"))):
        _check(table(branch), name, param, (*at, "anyOf", str(index)))
    for key, part in table(node.get("$defs")).items():
        _check(table(part), name, param, (*at, "$defs", key))


def _refuse(name: str, param: str, at: tuple[str, ...], rule: str) -> None:
    kind = "function" if param.startswith("tools") else "response_format"
    context: Any = at
    raise invalid(
        f"Invalid schema for {kind} '{name}': In context={context}, {rule}.",
        param=param,
        code="invalid_function_parameters" if kind == "function" else "invalid_json_schema",
    )
