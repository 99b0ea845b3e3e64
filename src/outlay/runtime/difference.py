"""What has changed in a call since the run was last worked on: the part that a person would look for."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from outlay.events.records import CallStarted
from outlay.protocols.model import Model
from outlay.protocols.store import Store
from outlay.runtime.recorder import prelude_bytes
from outlay.values.request import ModelRequest


async def difference(store: Store | None, before: CallStarted, model: Model, request: ModelRequest) -> str:
    """The first part of the call that is no longer what it was: model, instructions, tools, output type, messages,
    settings."""
    if before.model != model.id:
        return f"the model, {before.model} before and {model.id} now"
    if before.prelude != request.prelude.digest.hex():
        return await _in_prelude(store, before, request)
    if before.head != request.transcript.head.hex():
        return "its messages"
    return "its settings or output cap"


async def _in_prelude(store: Store | None, before: CallStarted, request: ModelRequest) -> str:
    key = bytes.fromhex(before.prelude)
    stored = {} if store is None else await store.blobs((key,))
    if key not in stored:
        return "its instructions, tools or output type"
    old, new = (
        cast("dict[str, Any]", msgspec.json.decode(content))
        for content in (stored[key], request.prelude.wire("stored", prelude_bytes))
    )
    if old["system"] != new["system"]:
        return f"its instructions ({_first(old['system'], new['system'])})"
    tools_before, tools_now = ({tool["name"]: tool for tool in prelude["tools"]} for prelude in (old, new))
    for name in sorted(tools_before.keys() | tools_now.keys()):
        if name not in tools_now:
            return f"its tools: {name} is gone"
        if name not in tools_before:
            return f"its tools: {name} is new"
        if tools_before[name] != tools_now[name]:
            return f"its tool {name}"
    return "its output type" if old["output"] != new["output"] else "the schema of a tool"


def _first(old: list[str], new: list[str]) -> str:
    """Where two lists of texts part, shortened."""
    for was, now in zip(old, new, strict=False):
        if was != now:
            at = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
            start = max(0, at - 10)
            return f"{was[start : at + 30]!r} before, {now[start : at + 30]!r} now"
    return f"{len(old)} parts before, {len(new)} now"
