"""The shape that every provider asks of a conversation: a law for whatever shortens one."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.values.message import Message


def misshapen(messages: Sequence[Message]) -> str | None:
    """Why providers would refuse this conversation, None if they would not."""
    if messages and messages[0].role != "user":
        return f"it begins with {messages[0].role}"
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        results = {result.call_id for result in message.tool_results}
        if results != open_calls:
            return f"message {index + 1}: the results are not those of the calls before it"
        open_calls = {call.id for call in message.tool_calls}
    return "the last calls have no results" if open_calls else None
