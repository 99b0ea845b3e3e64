"""What a behaviour sees and says: a request in neutral form, and a reply to be put on the wire.

The three protocols differ in how they write a conversation. A behaviour should not have to care, so every
request is translated to `EmulatedRequest`, and every answer from `EmulatedReply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from outlay.emulator.json import Json

Provider: TypeAlias = Literal["anthropic", "openai"]
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
StopReason: TypeAlias = Literal[
    "end",
    "tool_use",
    "max_tokens",
    "stop_sequence",
    "refusal",
    "pause_turn",
    "context_window",
    "content_filter",
]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool; an empty `id` lets the emulator draw one.

    `arguments` may be a string, to say something that is not JSON (OpenAI sends it as it is; Anthropic, whose
    protocol carries an object, only in a stream).
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict[str, Any])
    id: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the request offers; a provider's own tools have an empty schema."""

    name: str
    description: str
    schema: Json


@dataclass(frozen=True, slots=True)
class EmulatedMessage:
    """One message. A tool result is a message of role `tool` whose `tool_call_id` names the call."""

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class EmulatedRequest:
    """A request for an answer, in neutral form.

    `tool_choice` is `auto`, `none`, `required`, or the name of the tool that is forced. `schema` is the JSON
    schema that the answer must satisfy. `index` counts requests for answers from 0, in order of arrival.
    """

    provider: Provider
    endpoint: str
    model: str
    messages: tuple[EmulatedMessage, ...]
    system: str
    tools: tuple[ToolSpec, ...]
    tool_choice: str
    schema: Json | None
    thinking: bool
    max_tokens: int | None
    body: Json
    index: int = 0

    @property
    def text(self) -> str:
        """The last text that the user said."""
        return next((m.text for m in reversed(self.messages) if m.role == "user" and m.text), "")

    @property
    def tool_results(self) -> tuple[str, ...]:
        """The results that arrived with this request: the tool messages at its end."""
        results: list[str] = []
        for message in reversed(self.messages):
            if message.role != "tool":
                break
            results.append(message.text)
        return tuple(reversed(results))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyUsage:
    """Token counts that replace the emulator's own, bucket by bucket; `None` keeps the count.

    The buckets are disjoint: `input_tokens` are those neither read from nor written to the cache.
    `output_tokens` includes `reasoning_tokens`.
    """

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class EmulatedReply:
    """An answer of the model. `refusal` is a refusal's text; `stop_reason` replaces the one that follows from
    it. `logprobs` are the pieces of `text` as the model's tokens, with the natural logarithm of each one's probability;
    they are sent where the request asks for them.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: str = ""
    refusal: str = ""
    stop_reason: StopReason | None = None
    usage: ReplyUsage | None = None
    logprobs: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.logprobs and "".join(token for token, _ in self.logprobs) != self.text:
            raise ValueError("EmulatedReply: the tokens of logprobs= do not make up its text")
