"""What must not be lost when a conversation becomes a summary: lists with a name, told to the model, and checked.

Where code can find an item in the conversation (a path that a tool was given, a call that failed), it is carried
whether the model thought of it or not. What only a reader can find is the model's, and an answer without the list is
no summary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from outlay.errors import ConfigError
from outlay.values.content import Text, ToolCall, ToolResult
from outlay.values.message import Message

Finding = Callable[[Sequence[Message]], Iterable[str]]

#: Keys of a summary that are no fields.
RESERVED: Final = frozenset(("summary", "done"))
#: Characters of one item that are carried.
LONGEST_ITEM: Final = 240
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")
_PATH_KEYS: Final = frozenset(("path", "paths", "file", "files", "filename", "file_path", "filepath", "directory"))
_PATH: Final = re.compile(r"(?:\.{0,2}/)?(?:[\w.@-]{1,80}/){1,20}[\w.@-]{1,80}|[\w-]{1,80}\.[A-Za-z][A-Za-z0-9]{0,5}")
_DECISION: Final = re.compile(r"^\W{0,4}(?:decision|decided)\b[\s:*-]{1,4}(.{3,})", re.IGNORECASE | re.MULTILINE)
_OPEN: Final = re.compile(r"^\s{0,8}(?:[-*]\s)?(?:\[ \]|TODO\b:?|open:)\s{0,4}(.{3,})", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Survivor:
    """A list that every summary must hold. `about` tells the model what belongs in it.

    `find` gives the items that code sees in the messages that a summary replaces, oldest first; they are carried word
    for word. `stays`: an item is never taken out again by a later summary (a decision was taken, while a task goes when
    the model says that it is done).
    """

    name: str
    about: str
    find: Finding | None = None
    stays: bool = True

    def __post_init__(self) -> None:
        if not _NAME.match(self.name) or self.name in RESERVED:
            raise ConfigError(
                f"a must-survive field cannot be called {self.name!r}",
                hint="use a short name of a-z, 0-9 and _, as in 'order_ids'",
            )

    def found(self, messages: Sequence[Message]) -> tuple[str, ...]:
        """What code finds, each once and in one line."""
        return distinct(() if self.find is None else self.find(messages))


def distinct(items: Iterable[str]) -> tuple[str, ...]:
    """Each once, on one line, not longer than is carried."""
    lines = (" ".join(item.split())[:LONGEST_ITEM] for item in items)
    return tuple(dict.fromkeys(line for line in lines if line))


def paths(messages: Sequence[Message]) -> Iterator[str]:
    """Files and folders that tools were asked for."""
    for call in _calls(messages):
        for key, value in _strings(call.arguments):
            if key in _PATH_KEYS and value.strip():
                yield value
            else:
                yield from (found for found in _PATH.findall(value) if "/" in found)


def errors(messages: Sequence[Message]) -> Iterator[str]:
    """Calls that failed: the tool, what it was asked, and the first line of what it said."""
    asked = {call.id: call for call in _calls(messages)}
    for message in messages:
        for result in message.tool_results:
            if result.is_error:
                call = asked.get(result.call_id)
                yield f"{_called(result.name, call)}: {_first_line(result)}"


def decisions(messages: Sequence[Message]) -> Iterator[str]:
    """Lines in which the model says that it has decided."""
    yield from _lines(messages, _DECISION)


def open_tasks(messages: Sequence[Message]) -> Iterator[str]:
    """Unchecked boxes and lines with TODO in the model's last list of them: what it ticked off since is done."""
    for message in reversed(messages):
        if listed := list(_lines((message,), _OPEN)):
            yield from listed
            return


def calls(messages: Sequence[Message]) -> Iterator[str]:
    """Every tool call with its arguments, in order. The list grows with the conversation."""
    for call in _calls(messages):
        yield _called(call.name, call)


#: The fields that can be declared by their name.
KNOWN: Final = {
    field.name: field
    for field in (
        Survivor("open_tasks", "what is still to be done, each task in a few words", open_tasks, stays=False),
        Survivor("paths", "every file, folder and address that matters", paths),
        Survivor("errors", "what failed and why, so that it is not tried again", errors),
        Survivor("decisions", "what was decided, and for what reason", decisions),
        Survivor("calls", "the tool calls that were made, with their arguments", calls),
    )
}
DEFAULT: Final = ("open_tasks", "paths", "errors", "decisions")


def survivors_of(declared: Iterable[str | Survivor]) -> tuple[Survivor, ...]:
    """Fields by name or as they are. Raises ConfigError for an unknown name, and for one given twice."""
    found: list[Survivor] = []
    for one in declared:
        if isinstance(one, str) and one not in KNOWN:
            raise ConfigError(
                f"there is no must-survive field {one!r}",
                hint=f"use {', '.join(map(repr, KNOWN))}, or Survivor({one!r}, 'what belongs in it')",
            )
        found.append(KNOWN[one] if isinstance(one, str) else one)
    names = [field.name for field in found]
    if len(set(names)) != len(names):
        raise ConfigError(f"a must-survive field stands twice: {', '.join(names)}")
    return tuple(found)


def _calls(messages: Sequence[Message]) -> Iterator[ToolCall]:
    for message in messages:
        yield from message.tool_calls


def _called(name: str, call: ToolCall | None) -> str:
    return name if call is None else f"{name} {call.arguments}"


def _first_line(result: ToolResult) -> str:
    return next((line for line in result.content.splitlines() if line.strip()), "it failed")


def _lines(messages: Sequence[Message], pattern: re.Pattern[str]) -> Iterator[str]:
    """What follows the pattern where the model said it; what tools gave is somebody else's."""
    for message in messages:
        if message.role == "assistant":
            for part in message.parts:
                if isinstance(part, Text):
                    yield from (found.strip() for found in pattern.findall(part.text))


def _strings(arguments: str) -> Iterator[tuple[str, str]]:
    """Key and text of all strings in a call's arguments; nothing where they are not JSON."""
    try:
        parsed: Any = json.loads(arguments)
    except (ValueError, RecursionError):
        return
    stack: list[tuple[str, Any]] = [("", parsed)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list):
            stack.extend((key, one) for one in reversed(cast("list[Any]", value)))
        elif isinstance(value, dict):
            stack.extend(reversed([*cast("dict[str, Any]", value).items()]))
