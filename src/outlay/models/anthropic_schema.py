"""The JSON schema of a structured output as the Messages API accepts it.

Objects must be closed, and most constraints on values are refused; what is refused moves into the description, so
that the model may still follow it and our own validation decides. The rules are those of the official SDK's
`transform_schema` (anthropic 2.x), with one difference: an object of free keys becomes an empty one there, silently.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from outlay.errors import ConfigError

_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_Schema = dict[str, Any]


def accepted(schema: _Schema, where: str = "output_type") -> _Schema:
    """The nearest schema that the provider takes. Raises ConfigError for free keys and for untyped fields."""
    rest = dict(schema)
    made: _Schema = {}
    for name in ("$defs", "definitions"):
        if isinstance(found := rest.pop(name, None), dict):
            made[name] = {key: accepted(value, f"{where}.{key}") for key, value in cast("_Schema", found).items()}
    rest.pop("discriminator", None)  # OpenAPI's hint; the variants say the same
    rest.pop("default", None)
    if (ref := rest.pop("$ref", None)) is not None:
        made["$ref"] = ref  # nothing may stand beside a reference
        return made
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(found := rest.pop(name, None), list):
            variants = [accepted(cast("_Schema", one), where) for one in cast("list[Any]", found)]
            made["anyOf" if name == "oneOf" else name] = variants
    for name in ("title", "description", "enum", "const"):
        if name in rest:
            made[name] = rest.pop(name)
    kind = rest.pop("type", None)
    if kind is not None and "enum" not in made and "const" not in made:
        made["type"] = kind
    if not made.keys() & {"type", "anyOf", "allOf", "enum", "const"}:
        raise ConfigError(
            f"{where} may be anything, which Anthropic's structured outputs cannot describe",
            hint="give the field a type",
        )
    if kind == "object":
        _close(made, rest, where)
    elif kind == "array" and isinstance(items := rest.pop("items", None), dict):
        made["items"] = accepted(cast("_Schema", items), f"{where}[]")
    if kind == "array" and rest.get("minItems") in (0, 1):
        made["minItems"] = rest.pop("minItems")
    if kind == "string" and rest.get("format") in _FORMATS:
        made["format"] = rest.pop("format")
    if rest:
        said = ", ".join(f"{name}: {_plain(value)}" for name, value in rest.items())
        made["description"] = f"{made['description']}\n\n{{{said}}}" if made.get("description") else f"{{{said}}}"
    return made


def _close(made: _Schema, rest: _Schema, where: str) -> None:
    properties = rest.pop("properties", None)
    free = rest.pop("additionalProperties", None)
    if not properties and free not in (None, False):
        raise ConfigError(
            f"{where} is a mapping with free keys, which Anthropic's structured outputs cannot describe",
            hint="use a list of objects with a key and a value field",
        )
    found = cast("_Schema", properties or {})
    made["properties"] = {key: accepted(cast("_Schema", value), f"{where}.{key}") for key, value in found.items()}
    made["additionalProperties"] = False
    if "required" in rest:
        made["required"] = rest.pop("required")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
