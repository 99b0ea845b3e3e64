"""Which part of a prompt changed, and what kind of change it looks like: the answer to "why did the cache miss?"

A prompt cache finds bytes that are the same from the first on, so the first part that differs is the one to mend.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from outlay.values.request import Prelude, ToolSpec

#: Characters shown around the first difference.
_AROUND: Final = 24
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}:\d\d(:\d\d)?|\b1[6-9]\d{8}(\d{3})?\b")
_ID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-|\b(?=\w*\d)[0-9a-zA-Z_-]{12,}\b")


@dataclass(frozen=True, slots=True)
class PrefixChange:
    """`segment` is where (`tool 3's description`, `system 1`), `cause` what it looks like, `was` and `now` the text
    around the first difference."""

    segment: str
    cause: str
    was: str = ""
    now: str = ""

    def __str__(self) -> str:
        shown = f": {self.was!r} → {self.now!r}" if self.was or self.now else ""
        return f"{self.segment} changed ({self.cause}){shown}"


def first_change(before: Prelude, after: Prelude) -> PrefixChange | None:
    """The first part, in the order in which providers read them, in which two preludes differ."""
    return _tools(before.tools, after.tools) or _output(before, after) or _system(before.system, after.system)


def _tools(before: Sequence[ToolSpec], after: Sequence[ToolSpec]) -> PrefixChange | None:
    names, new_names = [tool.name for tool in before], [tool.name for tool in after]
    if names != new_names:
        if sorted(names) == sorted(new_names):
            return PrefixChange("tools", "the same tools in another order", ", ".join(names), ", ".join(new_names))
        return PrefixChange("tools", "another set of tools", ", ".join(names), ", ".join(new_names))
    for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
        if old.description != new.description:
            return _text(f"tool {number}'s description ({old.name})", old.description, new.description)
        if old.schema != new.schema:
            return _text(f"tool {number}'s schema ({old.name})", old.schema, new.schema)
    return None


def _output(before: Prelude, after: Prelude) -> PrefixChange | None:
    old = "" if before.output is None else before.output.schema
    new = "" if after.output is None else after.output.schema
    return None if old == new else _text("output schema", old, new)


def _system(before: Sequence[str], after: Sequence[str]) -> PrefixChange | None:
    for number, (old, new) in enumerate(zip(before, after, strict=False), 1):
        if old != new:
            return _text(f"system {number}", old, new)
    if len(before) == len(after):
        return None
    same = min(len(before), len(after))
    if len(after) > same:
        return PrefixChange(f"system {same + 1}", "one text more", "", after[same][: 2 * _AROUND])
    return PrefixChange(f"system {same + 1}", "one text less", before[same][: 2 * _AROUND], "")


def _text(segment: str, old: str, new: str) -> PrefixChange:
    if _same_json(old, new):
        return PrefixChange(segment, "the same JSON with its keys in another order", *_around(old, new))
    place = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return PrefixChange(segment, _cause(old, new, place), *_around(old, new))


def _cause(old: str, new: str, place: int) -> str:
    for what, pattern in (("a time", _TIME), ("an id", _ID)):
        if _covers(pattern, old, place) and _covers(pattern, new, place):
            return what
    return "its text"


def _covers(pattern: re.Pattern[str], text: str, place: int) -> bool:
    """Does something of this pattern stand where the texts differ?"""
    start = max(place - 40, 0)
    return any(m.start() <= place - start <= m.end() for m in pattern.finditer(text[start : place + 40]))


def _around(old: str, new: str) -> tuple[str, str]:
    place = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(place - _AROUND, 0)
    return old[start : place + _AROUND], new[start : place + _AROUND]


def _same_json(old: str, new: str) -> bool:
    found = _embedded(old) if sorted(old) == sorted(new) else None
    return found is not None and found == _embedded(new)


def _embedded(text: str) -> Any:
    """The JSON of a text: all of it, or from its first brace to its last."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        return text[:start], json.loads(text[start : end + 1]), text[end + 1 :]
    except (ValueError, RecursionError):
        return None
