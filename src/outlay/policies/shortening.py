"""How a conversation may be shortened and stay one: results are cleared in place, and cut is only between turns.

Providers refuse a tool result without its call, a call without its result, and a conversation that does not begin with
the user. Whatever these functions give is well formed where what they were given was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from outlay.values.content import Part, ToolResult
from outlay.values.message import Message
from outlay.values.transcript import EMPTY, Transcript

#: Characters from which on clearing a result is worth its stub.
_LEAST_CLEARED: Final = 200


def cleared(transcript: Transcript, keep_turns: int, keep_tools: Collection[str] = ()) -> Transcript:
    """The conversation without the contents of tool results that the model has read and answered.

    Each call stays with its arguments, and so does the pairing. What failed stays, because it is what not to try
    again; so do results in the last `keep_turns` turns, those of `keep_tools`, and short ones. The same transcript
    where there is nothing to clear; what stands before the first change are the same links.
    """
    until = _start_of_tail(transcript.messages, keep_turns)
    return _rewritten(transcript, until, lambda part: _stub(part, keep_tools))


def results_before_tail(transcript: Transcript, keep_turns: int) -> tuple[ToolResult, ...]:
    """All tool results before the last `keep_turns` turns, oldest first."""
    messages = transcript.messages
    return tuple(r for message in messages[: _start_of_tail(messages, keep_turns)] for r in message.tool_results)


def without_first(transcript: Transcript, uses: int) -> Transcript:
    """The conversation without the contents of the first `uses` tool results, whatever they are."""
    left = iter(range(uses))

    def stub(part: Part) -> Part:
        if isinstance(part, ToolResult) and next(left, None) is not None:
            return replace(part, content="[cleared]")
        return part

    return _rewritten(transcript, len(transcript), stub)


def cut_of(transcript: Transcript, keep_turns: int) -> int | None:
    """The index of the first message that stays where all before it becomes a summary; None where nothing would.

    It is the answer that begins the last `keep_turns` turns: its tool calls stay with their results.
    """
    messages = transcript.messages
    cut = _start_of_tail(messages, keep_turns)
    return cut if 1 < cut < len(messages) else None


def replaced(transcript: Transcript, cut: int, opening: Message) -> Transcript:
    """`opening` in the place of everything before `cut`. Its label is the join of all labels that it covers."""
    messages = transcript.messages
    label = opening.label
    for message in messages[:cut]:
        label = label.join(message.label)
    return EMPTY.append(Message(opening.role, opening.parts, label), *messages[cut:])


def _start_of_tail(messages: Sequence[Message], keep_turns: int) -> int:
    """Where the last `keep_turns` turns begin. An answer that was paused and gone on with is one turn."""
    turns = 0
    for index in range(len(messages) - 1, 0, -1):
        if messages[index].role == "assistant" and messages[index - 1].role != "assistant":
            turns += 1
            if turns == keep_turns:
                return index
    return 0


def _rewritten(transcript: Transcript, until: int, change: Callable[[Part], Part]) -> Transcript:
    """The conversation with the parts of its first `until` messages changed; what stands before the first change are
    the same links."""
    messages = transcript.messages
    changed: dict[int, Message] = {}
    for index, message in enumerate(messages[:until]):
        if message.role == "tool":
            parts = tuple(map(change, message.parts))
            if parts != message.parts:
                changed[index] = Message(message.role, parts, message.label)
    if not changed:
        return transcript
    first = min(changed)
    return _link(transcript, first).append(*(changed.get(first + i, m) for i, m in enumerate(messages[first:])))


def _stub(part: Part, keep_tools: Collection[str]) -> Part:
    if not isinstance(part, ToolResult) or part.is_error or part.name in keep_tools:
        return part
    if len(part.content) < _LEAST_CLEARED:
        return part
    return replace(part, content=f"[cleared: {len(part.content):,} characters, read in the turn after this]")


def _link(transcript: Transcript, length: int) -> Transcript:
    """The conversation as it was with its first `length` messages."""
    return next((link for link in transcript.links() if link.length == length), EMPTY)
