"""JSON out of a model: strict, because what a model wrote is untrusted."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def parse(text: str) -> Any:
    """The value in `text`; a Markdown fence around it is forgiven.

    Raises ValueError saying what is wrong: not JSON, NaN or infinity, a duplicate key, a lone surrogate, nesting
    deeper than Python can hold.
    """
    fenced = _FENCE.match(text)
    if fenced:
        text = fenced[1]
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("the JSON holds half of a surrogate pair, which is not text")
    if _SURROGATE.search(text):
        raise ValueError("the text holds half of a surrogate pair, which is not text")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:80]!r} stands twice in one JSON object")
            seen.add(key)
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value
