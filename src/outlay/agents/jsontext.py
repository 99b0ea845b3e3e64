"""JSON out of a model: strict, because what a model wrote is untrusted."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

NOT_TEXT = "the answer holds half of a surrogate pair, which is not text"
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def parse(text: str) -> Any:
    """The value in `text`; a Markdown fence around it is forgiven.

    Raises ValueError saying what is wrong: not JSON, NaN or infinity, a duplicate key, a lone surrogate, nesting
    deeper than Python can hold.
    """
    text = _unfenced(text)
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
        halved = "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if halved or not is_text(text):
        raise ValueError(NOT_TEXT)
    return value


def is_text(text: str) -> bool:
    """False where it holds half of a surrogate pair, which no encoding takes."""
    return text.isascii() or not _SURROGATE.search(text)


def _unfenced(text: str) -> str:
    """The inside of a Markdown fence. In linear time: a model may have written anything between the fences."""
    inner = text.strip()
    opening, newline, rest = inner.partition("\n")
    if newline and rest.endswith("```") and opening.rstrip().lower() in ("```", "```json"):
        return rest[:-3]
    return text


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
