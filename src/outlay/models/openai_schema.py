"""JSON schemas in the subset that OpenAI's strict mode takes.

Strict mode makes the model unable to leave the schema, but wants every property required, no free-form objects and
few keywords (developers.openai.com/api/docs/guides/structured-outputs). What comes out accepts nothing but values
of the right shape; constraints that the subset lacks (lengths, uniqueness) are left to our own validation afterwards.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

#: Levels of objects and arrays that strict mode takes.
MAX_DEPTH: Final = 10
_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_KEPT: Final = frozenset(
    {"type", "description", "enum", "const", "multipleOf", "maximum", "minimum", "exclusiveMaximum"}
    | {"exclusiveMinimum", "minItems", "maxItems"}
)
#: Say nothing about which values are right, or only a constraint that is checked afterwards.
_DROPPED: Final = frozenset(
    {"title", "default", "examples", "example", "$schema", "$id", "$comment", "deprecated", "readOnly", "writeOnly"}
    | {"discriminator", "minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties", "contentEncoding"}
    | {"contentMediaType"}
)
_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "boolean"),
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (type(None), "null"),
)


class _Loose(Exception):
    """The schema has a part that strict mode cannot express."""


@lru_cache(maxsize=1024)
def strict_schema(schema: str, *, narrow: bool) -> str | None:
    """`schema` for strict mode, None where it cannot be put so.

    `narrow`: optional properties may become required. Right for outputs, where every value is welcome; wrong for
    tools, where leaving an argument out means its default.
    """
    found: Any = msgspec.json.decode(schema)
    if not isinstance(found, dict):
        return None
    root = cast("dict[str, Any]", found)
    if str(root.get("$ref", "")).startswith("#/$defs/"):  # how pydantic writes a type that contains itself
        root = {**root.get("$defs", {}).get(root["$ref"][8:], {}), "$defs": root.get("$defs", {})}
    if root.get("type") != "object" or "anyOf" in root or "oneOf" in root:
        return None
    try:
        return msgspec.json.encode(_strict(root, narrow, 1)).decode()
    except _Loose:
        return None


def _strict(node: Any, narrow: bool, depth: int) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise _Loose
    given = {key: value for key, value in cast("dict[str, Any]", node).items() if key not in _DROPPED}
    out: dict[str, Any] = {}
    for name in ("$defs", "definitions"):
        if name in given:
            out[name] = {key: _strict(value, narrow, 1) for key, value in given.pop(name).items()}
    if "$ref" in given:
        if given.keys() - {"$ref", "description"}:
            raise _Loose
        return {"$ref": given["$ref"], **out}  # strict mode refuses any keyword beside a reference
    if (parts := given.pop("allOf", None)) is not None:
        if len(parts) != 1 or given.keys() - {"description"}:
            raise _Loose
        return {**_strict(parts[0], narrow, depth), **out}
    choices = given.pop("anyOf", None) or given.pop("oneOf", None)
    if choices is not None:
        out["anyOf"] = [_strict(choice, narrow, depth) for choice in choices]
        if given.keys() - {"description"}:
            raise _Loose
        return {**given, **out}
    _shape(given, out, narrow, depth)
    pattern = given.pop("pattern", None)
    if pattern and not re.search(r"\(\?[=!<]", pattern):  # look-around is not in the subset
        out["pattern"] = pattern
    if (kind := given.pop("format", None)) in _FORMATS:
        out["format"] = kind
    if given.keys() - _KEPT:
        raise _Loose
    out = {**given, **out}
    if "type" not in out:
        out["type"] = _type_of(out)
    return out


def _shape(given: dict[str, Any], out: dict[str, Any], narrow: bool, depth: int) -> None:
    """Move what makes an object or an array from `given` to `out`."""
    kinds = given.get("type")
    kinds = cast("list[Any]", kinds) if isinstance(kinds, list) else [kinds]
    if depth > MAX_DEPTH and ("object" in kinds or "array" in kinds):
        raise _Loose
    properties = given.pop("properties", None)
    required = given.pop("required", [])
    if given.pop("additionalProperties", False) is not False:
        raise _Loose
    if "object" in kinds:
        if properties is None or (not narrow and set(properties) - set(required)):
            raise _Loose
        out["properties"] = {key: _strict(value, narrow, depth + 1) for key, value in properties.items()}
        out["required"] = list(properties)
        out["additionalProperties"] = False
    elif properties is not None:
        raise _Loose
    items = given.pop("items", None)
    if "array" in kinds:
        out["items"] = _strict(items, narrow, depth + 1)
    elif items is not None:
        raise _Loose


def _type_of(node: dict[str, Any]) -> str | list[str]:
    """The type of an enum or const that names none."""
    values: list[Any] = node["enum"] if "enum" in node else [node["const"]] if "const" in node else []
    names = list(dict.fromkeys(next((n for t, n in _TYPES if isinstance(v, t)), "") for v in values))
    if not names or "" in names:
        raise _Loose
    return names[0] if len(names) == 1 else names
