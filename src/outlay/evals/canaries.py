"""Canaries: questions about the early part of a conversation, asked before and after it was shortened.

Whether the answer is still there is looked up in what the model would be sent, not asked of a model: a model that is
not sent it cannot know it, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from outlay.agents.checkpoint import found_in
from outlay.agents.survivors import Survivor
from outlay.values.content import Text, ToolCall, ToolResult
from outlay.values.message import Message

#: The field of what the user asked for: it must survive, declared or not.
TASK = "task"
#: Characters of an answer that are looked for.
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Canary:
    """`expected` is what a right answer to `question` holds; `field` the must-survive field that it belongs to."""

    question: str
    expected: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """Was the answer there before, and is it there after? `must`: its field was declared to survive."""

    canary: Canary
    before: bool
    after: bool
    must: bool

    @property
    def lost(self) -> bool:
        """A must-survive field that did not."""
        return self.must and self.before and not self.after


def canaries_in(messages: Sequence[Message], fields: Iterable[Survivor]) -> list[Canary]:
    """Questions about a conversation of which nobody wrote down the answers: what code can find in it."""
    calls = [call for message in messages for call in message.tool_calls]
    found = [Canary("What was asked for?", text, TASK) for text in _tasks(messages)]
    if len(calls) >= 3:
        found.append(Canary("What was the third tool call?", _called(calls[2]), "calls"))
    by_id = {call.id: call for call in calls}
    for result in (result for message in messages for result in message.tool_results if result.is_error):
        call = by_id.get(result.call_id)
        asked = result.name if call is None else _called(call)
        line = next((line for line in result.content.splitlines() if line.strip()), "")
        found.append(Canary(f"What happened when {asked} was called?", line, "errors"))
    for field in fields:
        if field.name not in ("errors", "calls"):
            found += [Canary(f"Which {field.name} were there?", item, field.name) for item in field.found(messages)]
    return [canary for canary in dict.fromkeys(found) if canary.expected.strip()]


def probe(
    canaries: Iterable[Canary], before: Sequence[Message], after: Sequence[Message], fields: Iterable[Survivor]
) -> list[Probe]:
    """Every canary, looked up in both."""
    declared = {TASK, *(field.name for field in fields)}
    was, now = _known(before), _known(after)
    return [
        Probe(canary, _holds(was, canary.expected), _holds(now, canary.expected), canary.field in declared)
        for canary in canaries
    ]


def _known(messages: Sequence[Message]) -> str:
    """All that the model is sent, on one line; notes as their items, not as JSON."""
    texts: list[str] = []
    for message in messages:
        for part in message.parts:
            match part:
                case Text(text):
                    notes = found_in((Message("user", (part,)),))
                    texts += [text] if notes is None else [notes.summary, *_items(notes.fields.values())]
                case ToolCall():
                    texts.append(_called(part))
                case ToolResult(_, name, content):
                    texts.append(f"{name}: {content}")
                case _:
                    pass
    return _flat("\n".join(texts))


def _items(fields: Iterable[Sequence[str]]) -> Iterator[str]:
    for items in fields:
        yield from items


def _holds(known: str, expected: str) -> bool:
    return _flat(expected)[:_LONGEST] in known


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()


def _called(call: ToolCall) -> str:
    return f"{call.name} {call.arguments}"


def _tasks(messages: Sequence[Message]) -> list[str]:
    """The text of the first message, without the notes that may follow it."""
    first = messages[0].parts[:1] if messages else ()
    return [part.text for part in first if isinstance(part, Text) and found_in((Message("user", (part,)),)) is None]
