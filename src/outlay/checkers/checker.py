"""What all checkers share: a name, and a way to read any output as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol, cast

from pydantic_core import PydanticSerializationError, to_jsonable_python

#: No checker reads more than this: outputs are written by strangers. In characters.
LONGEST = 1_000_000
_FENCE = re.compile(r"^```[^\n`]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Checker(Protocol):
    """A function of an output: None if it is good, else what is wrong and how to mend it, in a line or two.

    `name` is what events call it. A `blocking` one takes long enough that it should not hold up the loop.
    """

    name: str
    blocking: bool

    def __call__(self, output: Any, /) -> str | None: ...


class ContextChecker(Protocol):
    """A checker that also asks the run, by the context rule: its first parameter is the RunContext."""

    name: str
    blocking: bool

    def __call__(self, ctx: Any, output: Any, /) -> str | None: ...


def named(name: str, function: Callable[[Any], str | None], *, blocking: bool = False) -> Checker:
    """Give a function its name; it stays a plain function, so that its signature can be read."""
    checker = cast("Checker", function)
    checker.name, checker.blocking = name, blocking
    return checker


def named_with_context(name: str, function: Callable[[Any, Any], str | None]) -> ContextChecker:
    """The same for a function whose first parameter is the context."""
    checker = cast("ContextChecker", function)
    checker.name, checker.blocking = name, False
    return checker


def text_of(output: Any) -> str:
    """An output as text: a string as it is, an enum by its value, an object with a `text` by that, others as JSON."""
    if isinstance(output, str) and not isinstance(output, Enum):
        return output
    if isinstance(output, Enum):
        return text_of(output.value)
    fields: Any = output
    text: Any = fields.get("text") if isinstance(output, dict) else getattr(fields, "text", None)
    if isinstance(text, str):
        return text
    try:
        return json.dumps(to_jsonable_python(fields), ensure_ascii=False)
    except PydanticSerializationError:
        return str(fields)


def code_of(output: Any) -> str:
    """The fenced code blocks of an output, joined; without any, the whole text."""
    text = text_of(output)
    blocks: list[str] = _FENCE.findall(text)
    return "\n".join(blocks) if blocks else text


def too_long(text: str) -> str | None:
    """The problem with a text that is too long to check."""
    if len(text) <= LONGEST:
        return None
    return f"the output has {len(text):,} characters, more than the {LONGEST:,} that can be checked; make it shorter"


def shown(text: str, most: int = 80) -> str:
    """Text for a message: on one line and cut."""
    line = " ".join(text[: most * 4].split())
    return line if len(line) <= most else line[: most - 1] + "…"
