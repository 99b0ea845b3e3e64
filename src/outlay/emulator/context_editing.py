"""Context editing, as the Messages API does it: old tool results are cleared before the model reads the prompt.

The client goes on sending the whole conversation; what is cleared is neither counted nor cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlay.emulator.json import Json, rows, table, text, whole
from outlay.emulator.problems import invalid

_CLEAR_TOOL_USES = "clear_tool_uses_20250919"
#: Taken for what they are and not acted on.
_OTHERS = ("clear_thinking_20251015", "compact_20260112")
_DEFAULT_KEEP = 3
_CLEARED = "[Old tool result content cleared]"


@dataclass(frozen=True, slots=True)
class Edited:
    """The body as the model reads it, and what the answer reports: None where nothing was asked for."""

    body: Json
    applied: list[Json] | None = None


def edited(body: Json) -> Edited:
    """Raises the provider's 400 for an edit that it does not know."""
    edits = [table(edit) for edit in rows(table(body.get("context_management")).get("edits"))]
    if "context_management" not in body:
        return Edited(body)
    applied: list[Json] = []
    for number, edit in enumerate(edits):
        kind = edit.get("type")
        if kind == _CLEAR_TOOL_USES:
            body, cleared = _clear(body, edit, f"context_management.edits.{number}")
            if cleared:
                applied.append({"type": kind, "cleared_tool_uses": len(cleared), "cleared_input_tokens": sum(cleared)})
        elif kind not in _OTHERS:
            raise invalid(f"context_management.edits.{number}: Input tag {kind!r} does not match any expected tag")
    return Edited(body, applied)


def _clear(body: Json, edit: Json, where: str) -> tuple[Json, list[int]]:
    """The body without old results, and about how many tokens each of them had."""
    results = [
        block
        for message in map(table, rows(body.get("messages")))
        for block in map(table, _content(message))
        if block.get("type") == "tool_result"
    ]
    trigger, keep = table(edit.get("trigger")), table(edit.get("keep"))
    if trigger and trigger.get("type") not in ("input_tokens", "tool_uses"):
        raise invalid(f"{where}.trigger.type: Input should be 'input_tokens' or 'tool_uses'")
    kept = whole(keep.get("value"))
    if kept is not None and kept < 0:
        raise invalid(f"{where}.keep.value: Input should be greater than or equal to 0")
    limit = whole(trigger.get("value"))
    size = len(results) if trigger.get("type") == "tool_uses" else len(str(body.get("messages"))) // 4
    if size <= (100_000 if limit is None else limit):
        return body, []
    excluded = {text(name) for name in rows(edit.get("exclude_tools"))}
    names = _names(body)
    old = results[: max(0, len(results) - (_DEFAULT_KEEP if kept is None else kept))]
    gone = {id(block) for block in old if names.get(text(block.get("tool_use_id"))) not in excluded}
    messages = [_without(table(message), gone) for message in rows(body.get("messages"))]
    return {**body, "messages": messages}, [len(str(block.get("content"))) // 4 for block in old if id(block) in gone]


def _names(body: Json) -> dict[str, str]:
    """The tool of each use, by its id."""
    return {
        text(block.get("id")): text(block.get("name"))
        for message in map(table, rows(body.get("messages")))
        for block in map(table, _content(message))
        if block.get("type") == "tool_use"
    }


def _without(message: Json, gone: set[int]) -> Json:
    blocks = _content(message)
    if not any(id(block) in gone for block in blocks):
        return message
    return {**message, "content": [{**b, "content": _CLEARED} if id(b) in gone else b for b in blocks]}


def _content(message: Json) -> list[Any]:
    content = message.get("content")
    return rows(content) if isinstance(content, list) else []
