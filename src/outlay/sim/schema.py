"""Values that satisfy a JSON schema: what a model under constrained decoding would return.

Covers what the providers' structured outputs accept (objects, arrays, strings with formats, numbers with
bounds, enum, const, anyOf, oneOf, allOf, $ref) and leaves out what they reject. Recursive schemas end: beyond
a depth of `_DEEP`, optional properties are dropped, arrays are as short as they may be, and unions take their
smallest branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from outlay.sim.json import Json, rows, table

_DEEP = 5
_BOTTOMLESS = 100
_MAX_HOPS = 32
_TRIES = 20
"""Draws per item before an array of unique items is given up."""
_WORDS = (
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "inlet",
    "juniper",
    "kestrel",
)
_FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/page",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}


def satisfy(schema: Json, random: Random) -> Any:
    """A value of the schema, drawn with `random`."""
    return _Sampler(schema, random).value(schema, 0)


class _Sampler:
    def __init__(self, root: Json, random: Random) -> None:
        self._root = root
        self._random = random

    def value(self, schema: Any, depth: int) -> Any:
        if depth > _BOTTOMLESS:
            raise ValueError("the schema requires itself; no finite value satisfies it")
        node = self._resolve(table(schema))
        if "const" in node:
            return node["const"]
        if options := rows(node.get("enum")):
            return self._random.choice(options)
        for union in ("anyOf", "oneOf"):
            if branches := rows(node.get(union)):
                rest = {key: value for key, value in node.items() if key != union}
                return self.value(_merge(rest, self._resolve(table(self._branch(branches, depth)))), depth)
        return self._of_type(self._type(node, depth), node, depth)

    def _resolve(self, node: Json) -> Json:
        """The node with its `$ref` and `allOf` folded in."""
        hops = 0
        while isinstance(reference := node.get("$ref"), str):
            if (hops := hops + 1) > _MAX_HOPS:
                raise ValueError(f"the reference {reference!r} leads to itself")
            target: Any = self._root
            for step in reference.lstrip("#").strip("/").split("/"):
                target = table(target).get(step.replace("~1", "/").replace("~0", "~"), {}) if step else target
            node = _merge({key: value for key, value in node.items() if key != "$ref"}, table(target))
        for part in rows(node.get("allOf")):
            node = _merge({k: v for k, v in node.items() if k != "allOf"}, self._resolve(table(part)))
        return node

    def _branch(self, branches: list[Any], depth: int) -> Any:
        if depth < _DEEP:
            return self._random.choice(branches)
        return min(branches, key=lambda branch: self._weight(table(branch)))

    def _weight(self, branch: Json) -> int:
        kind = self._resolve(branch).get("type")
        return {"null": 0, "object": 3, "array": 2}.get(str(kind), 1)

    def _type(self, node: Json, depth: int) -> str:
        declared = node.get("type")
        if options := rows(declared):
            return "null" if depth >= _DEEP and "null" in options else str(self._random.choice(options))
        if isinstance(declared, str):
            return declared
        if "properties" in node:
            return "object"
        return "array" if "items" in node else "string"

    def _of_type(self, kind: str, node: Json, depth: int) -> Any:
        if kind == "object":
            return self._object(node, depth)
        if kind == "array":
            return self._array(node, depth)
        if kind in ("integer", "number"):
            return self._number(node, whole=kind == "integer")
        if kind == "boolean":
            return self._random.random() < 0.5
        return None if kind == "null" else self._string(node)

    def _object(self, node: Json, depth: int) -> Json:
        required = set(rows(node.get("required")))
        properties = table(node.get("properties"))
        made = {
            name: self.value(part, depth + 1) for name, part in properties.items() if depth < _DEEP or name in required
        }
        extra = node.get("additionalProperties")
        for name in required - set(properties):
            made[str(name)] = self.value(extra if isinstance(extra, dict) else {}, depth + 1)
        return made

    def _array(self, node: Json, depth: int) -> list[Any]:
        least = int(node.get("minItems", 0))
        most = int(node.get("maxItems", max(least, 3)))
        length = least if depth >= _DEEP else self._random.randint(max(least, min(1, most)), max(least, min(most, 3)))
        prefix = rows(node.get("prefixItems"))
        items: list[Any] = []
        length = max(length, len(prefix))
        for _ in range(length * _TRIES):
            if len(items) == length:
                break
            made = self.value(prefix[len(items)] if len(items) < len(prefix) else node.get("items", {}), depth + 1)
            if not node.get("uniqueItems") or made not in items:
                items.append(made)
        if len(items) < least:
            raise ValueError(f"no {least} different items could be found for an array")
        return items

    def _number(self, node: Json, *, whole: bool) -> int | float:
        low, high = node.get("minimum"), node.get("maximum")
        above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
        step = node.get("multipleOf", 1 if whole else None)
        if step is not None:
            floor = -(-low // step) if low is not None else None
            if above is not None:
                floor = max(above // step + 1, floor if floor is not None else above // step + 1)
            ceiling = high // step if high is not None else None
            if below is not None:
                ceiling = min(-(-below // step) - 1, ceiling if ceiling is not None else -(-below // step) - 1)
            first = int(floor if floor is not None else min(0, ceiling if ceiling is not None else 0))
            last = int(ceiling if ceiling is not None else first + 100)
            return self._random.randint(first, max(first, last)) * step
        bottom = float(above if above is not None else low if low is not None else min(0.0, _least(high, below) - 1.0))
        top = _least(high, below) if high is not None or below is not None else bottom + 1.0
        return bottom + (top - bottom) * self._random.uniform(0.25, 0.75)

    def _string(self, node: Json) -> str:
        if (form := node.get("format")) in _FORMATS:
            return _FORMATS[str(form)]
        made = " ".join(self._random.choice(_WORDS) for _ in range(3))
        least, most = int(node.get("minLength", 0)), node.get("maxLength")
        while len(made) < least:
            made += " " + self._random.choice(_WORDS)
        return made if most is None else made[: int(most)]


def _least(high: float | None, below: float | None) -> float:
    return min(
        bound
        for bound in (high, below, float("inf") if high is not None or below is not None else 1.0)
        if bound is not None
    )


def _merge(into: Mapping[str, Any], other: Mapping[str, Any]) -> Json:
    """Both constraints: properties and required are joined, anything else of `into` wins."""
    merged = {**other, **into}
    if "properties" in into and "properties" in other:
        merged["properties"] = {**table(other["properties"]), **table(into["properties"])}
    if "required" in into and "required" in other:
        merged["required"] = [*rows(into["required"]), *rows(other["required"])]
    return merged
