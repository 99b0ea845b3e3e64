"""A conversation retold to somebody else: what was said and what tools gave, as plain text in its order."""

from __future__ import annotations

from typing import Literal

from outlay.values.content import File, Image, Part, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.estimate import estimated_tokens
from outlay.values.label import Label
from outlay.values.message import Message
from outlay.values.transcript import EMPTY, Transcript


def retold(transcript: Transcript) -> Transcript:
    """The same conversation without what only its first agent can send: tool calls and their results become text,
    because a provider refuses calls of tools that an agent does not have; provider-only blocks are left out.
    """
    told: list[tuple[Literal["user", "assistant"], list[Part], Label]] = []
    for message in transcript:
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        parts = [plain for part in message.parts if (plain := _plain(part)) is not None]
        if told and told[-1][0] == role:
            _, earlier, label = told.pop()
            told.append((role, [*earlier, *parts], label.join(message.label)))
        elif parts:
            told.append((role, parts, message.label))
    return EMPTY.append(*(Message(role, tuple(parts), label) for role, parts, label in told))


def tokens_of(transcript: Transcript) -> int:
    """About how many tokens its texts are, at four characters a token; images and files come on top."""
    return estimated_tokens(sum(len(message.text) for message in transcript))


def _plain(part: Part) -> Part | None:
    match part:
        case ToolCall(_, name, arguments):
            return Text(f"[called {name} with {arguments}]")
        case ToolResult(_, name, content, is_error):
            return Text(f"[{name} {'failed' if is_error else 'gave'}: {content}]")
        case ProviderBlock():
            return None
        case Text() | Image() | File():
            return part
