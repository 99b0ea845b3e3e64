"""Shared values as bytes: JSON, with the label of whoever wrote it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from outlay.errors import ConfigError
from outlay.sharing.labels import label_as_json
from outlay.values.label import TRUSTED, Label

#: Of one value. What is larger belongs into an artifact.
MAX_BYTES = 2**20
#: Deeper than any value that people mean, and far from what Python's own reader can hold.
_MAX_DEPTH = 200


def plain(value: Any, what: str) -> Any:
    """`value` as everybody will read it. `what` names it in the ConfigError for one that has no JSON.

    Dataclasses, pydantic models and enums become their JSON; tuples become lists.
    """
    try:
        return json.loads(json.dumps(_plain(value, 0), ensure_ascii=False).encode())
    except (ValueError, RecursionError) as error:  # half a surrogate pair, an integer of thousands of digits
        raise _no_json(what, _reason(error)) from None


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "its text holds half of a surrogate pair"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _no_json(what: str, why: str) -> ConfigError:
    return ConfigError(
        f"{what} cannot be shared: {why}",
        hint="share JSON values: None, bool, finite numbers, text, lists, and dicts with text keys",
    )


def _plain(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError("it holds itself, or is nested too deeply")
    if isinstance(value, Enum):
        return _plain(value.value, depth + 1)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no JSON number")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in cast("list[Any]", value)]
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for key, item in cast("Mapping[Any, Any]", value).items():
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is a {type(key).__name__}, and JSON has text keys only")
            found[key] = _plain(item, depth + 1)
        return found
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)  # a pydantic model, without importing pydantic for everybody else
    if callable(dump) and not isinstance(value, type):
        return _plain(dump(mode="json"), depth + 1)
    raise ValueError(f"it holds a {type(value).__name__}")


def pack(value: Any, label: Label, what: str, limit: int = MAX_BYTES) -> bytes:
    """A plain value and its label. Raises ConfigError above `limit` bytes."""
    body = {"value": value} if label == TRUSTED else {"value": value, "label": label_as_json(label)}
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    if len(data) > limit:
        raise ConfigError(
            f"{what} has {len(data):,} bytes of JSON, at most {limit:,} are shared",
            hint="put it into an artifact (ctx.state.artifacts.put) and share its name",
        )
    return data


def unpack(data: bytes) -> dict[str, Any]:
    """What `pack` made: `value`, and `label` where there is one."""
    return json.loads(data)
