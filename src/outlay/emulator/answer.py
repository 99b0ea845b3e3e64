"""From a reply to a billed answer: cut to the limits of the request, counted, its prompt tokens put in
buckets.

The order of output is the order of the wire: thinking, text, tool calls. Whatever does not fit into
`max_tokens` is cut in that order, and a tool call that is cut keeps the beginning of its arguments, as with
the real providers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from outlay.emulator import json
from outlay.emulator.cache import CachePlan, Prompt
from outlay.emulator.exchange import EmulatedReply, EmulatedRequest, ReplyUsage, StopReason, ToolCall
from outlay.emulator.tokens import count, cut


@dataclass(frozen=True, slots=True)
class Call:
    """A request for an answer, read from the wire: its neutral form and what the provider needs beside it."""

    request: EmulatedRequest
    prompt: Prompt
    stream: bool
    stop: tuple[str, ...] = ()
    cache_ttl: float = 600.0
    """Life time of automatically cached prefixes, in seconds."""


@dataclass(frozen=True, slots=True)
class BilledUsage:
    """What one answer is billed for, in disjoint buckets; `reasoning_tokens` is part of `output_tokens`."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def cache_write_tokens(self) -> int:
        """Writes of both life times."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def prompt_tokens(self) -> int:
        """The whole prompt, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    def __add__(self, other: BilledUsage) -> BilledUsage:
        return BilledUsage(
            self.input_tokens + other.input_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_5m_tokens + other.cache_write_5m_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it goes on the wire."""

    id: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    thinking: str
    refusal: str
    stop: StopReason
    stop_sequence: str | None
    usage: BilledUsage
    logprobs: tuple[tuple[str, float], ...] = ()
    """The reply's tokens, of which the text may have been cut."""


def arguments_text(call: ToolCall) -> str:
    """The arguments of a call as JSON text (or as the text that was given)."""
    return call.arguments if isinstance(call.arguments, str) else json.encode_text(call.arguments)


def compose(call: Call, reply: EmulatedReply, plan: CachePlan, answer_id: str) -> Answer:
    """Cut the reply to the request's limits and count it. Tool calls must have their ids already."""
    text, stop_sequence = _until_stop(reply.text, call.stop)
    tool_calls = () if stop_sequence is not None else reply.tool_calls
    left = call.request.max_tokens if call.request.max_tokens is not None else 1 << 40
    reasoning = min(count(reply.thinking), left)
    left -= reasoning
    said = count(text) + count(reply.refusal)
    stop: StopReason = "tool_use" if tool_calls else "stop_sequence" if stop_sequence is not None else "end"
    if reply.refusal:
        stop = "refusal"
    if reasoning + said > reasoning + left or reasoning < count(reply.thinking):
        text, tool_calls, said, stop, stop_sequence = cut(text, left), (), left, "max_tokens", None
    left -= said
    kept: list[ToolCall] = []
    calls = 0
    for tool_call in tool_calls:
        arguments = arguments_text(tool_call)
        size = count(tool_call.name) + count(arguments)
        if size > left - calls:
            stop = "max_tokens"
            if (room := left - calls - count(tool_call.name)) > 0:
                kept.append(replace(tool_call, arguments=cut(arguments, room)))
                calls = left
            break
        kept.append(tool_call)
        calls += size
    output = max(reasoning + said + calls, 0 if call.request.max_tokens == 0 else 1)
    usage = BilledUsage(plan.uncached, plan.read, plan.write_5m, plan.write_1h, output, reasoning)
    return Answer(
        id=answer_id,
        text=text,
        tool_calls=tuple(kept),
        thinking=cut(reply.thinking, reasoning),
        refusal=reply.refusal,
        stop=reply.stop_reason or stop,
        stop_sequence=stop_sequence,
        usage=_replaced(usage, reply.usage),
        logprobs=reply.logprobs,
    )


def _until_stop(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """The text before the earliest stop sequence, and which one that was."""
    found = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return text, None
    at, stop = min(found)
    return text[:at], stop


def _replaced(usage: BilledUsage, given: ReplyUsage | None) -> BilledUsage:
    if given is None:
        return usage
    write = given.cache_write_tokens
    return BilledUsage(
        usage.input_tokens if given.input_tokens is None else given.input_tokens,
        usage.cache_read_tokens if given.cache_read_tokens is None else given.cache_read_tokens,
        usage.cache_write_5m_tokens if write is None else write,
        usage.cache_write_1h_tokens if write is None else 0,
        usage.output_tokens if given.output_tokens is None else given.output_tokens,
        usage.reasoning_tokens if given.reasoning_tokens is None else given.reasoning_tokens,
    )
