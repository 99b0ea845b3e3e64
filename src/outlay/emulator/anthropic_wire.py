"""Writing Messages answers: the plain body and the events of a stream, field by field as recorded in 2026."""

from __future__ import annotations

from typing import Any

from outlay.emulator import json
from outlay.emulator.answer import Answer, BilledUsage, Call, arguments_text
from outlay.emulator.anthropic_request import read_messages
from outlay.emulator.context_editing import edited
from outlay.emulator.exchange import Provider, ToolCall
from outlay.emulator.json import Json, table
from outlay.emulator.problems import ErrorAnswer
from outlay.emulator.signatures import Signer
from outlay.emulator.threads import Threads
from outlay.emulator.tokens import count, pieces
from outlay.emulator.wire import Event, Tier, named_event

_STOP = {
    "end": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "content_filter": "refusal",
    "pause_turn": "pause_turn",
    "context_window": "model_context_window_exceeded",
}


class MessagesWire:
    """`POST /v1/messages`."""

    provider: Provider = "anthropic"

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._threads = Threads()

    def clear(self) -> None:
        """Forget all threads."""
        self._threads.clear()

    def read(self, body: Json, *, counting: bool = False) -> Call:
        """See `Wire.read`."""
        return read_messages(self._threads.whole(body), "/v1/messages", self._signer, counting=counting)

    def plain(self, call: Call, answer: Answer, tier: Tier) -> Json:
        """See `Wire.plain`."""
        blocks = self._blocks(call, answer)
        self._threads.hold(call.request.body, answer.id, blocks)
        return _envelope(call, answer) | {
            "content": blocks,
            "stop_reason": _STOP[answer.stop],
            "stop_sequence": answer.stop_sequence,
            "stop_details": _stop_details(answer),
            "usage": _usage(answer.usage, tier) | _thinking_details(call, answer),
            **_edits(call),
        }

    def events(self, call: Call, answer: Answer) -> list[Event]:
        """See `Wire.events`."""
        start = _usage(answer.usage, "standard") | {"output_tokens": min(answer.usage.output_tokens, 1)}
        nothing_yet: Json = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
        message = _envelope(call, answer) | nothing_yet | {"usage": start}
        events = [_event("message_start", message=message)]
        blocks = self._blocks(call, answer)
        self._threads.hold(call.request.body, answer.id, blocks)
        for index, block in enumerate(blocks):
            events += _block_events(index, block, answer)
        events.insert(2, _event("ping"))
        delta = {
            "stop_reason": _STOP[answer.stop],
            "stop_sequence": answer.stop_sequence,
            "stop_details": _stop_details(answer),
        }
        usage = {
            key: value
            for key, value in _usage(answer.usage, "standard").items()
            if key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        }
        usage |= _thinking_details(call, answer)
        events.append(_event("message_delta", delta=delta, usage=usage, **_edits(call)))
        events.append(_event("message_stop"))
        return events

    def error_event(self, error: ErrorAnswer, request_id: str, sent: int) -> bytes:
        """See `Wire.error_event`."""
        return named_event("error", error.body("anthropic", request_id))

    def unknown_event(self) -> bytes:
        """See `Wire.unknown_event`."""
        return named_event("message_weather", {"type": "message_weather", "outlook": "unknown"})

    def _blocks(self, call: Call, answer: Answer) -> list[Json]:
        blocks: list[Json] = []
        if answer.thinking:
            omitted = table(call.request.body.get("thinking")).get("display") == "omitted"
            shown = "" if omitted else answer.thinking
            blocks.append({"type": "thinking", "thinking": shown, "signature": self._signer.sign(shown)})
        if said := answer.text + answer.refusal:
            blocks.append({"type": "text", "text": said})
        blocks += [
            {"type": "tool_use", "id": tool.id, "name": tool.name, "input": _input(tool)} for tool in answer.tool_calls
        ]
        return blocks


def _envelope(call: Call, answer: Answer) -> Json:
    return {"model": call.request.model, "id": answer.id, "type": "message", "role": "assistant"}


def _edits(call: Call) -> Json:
    applied = edited(call.request.body).applied
    return {} if applied is None else {"context_management": {"applied_edits": applied}}


def _usage(usage: BilledUsage, tier: Tier) -> Json:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": tier,
        "inference_geo": "not_available",
    }


def _thinking_details(call: Call, answer: Answer) -> Json:
    if not call.request.thinking and not answer.usage.reasoning_tokens:
        return {}
    return {"output_tokens_details": {"thinking_tokens": answer.usage.reasoning_tokens}}


def _stop_details(answer: Answer) -> Json | None:
    if answer.stop != "refusal":
        return None
    return {"type": "refusal", "category": None, "explanation": answer.refusal or None}


def _input(tool: ToolCall) -> Json:
    """The arguments as an object; a call that was cut in its middle has none yet."""
    try:
        return table(json.decode(tool.arguments)) if isinstance(tool.arguments, str) else dict(tool.arguments)
    except ValueError:
        return {}


def _event(kind: str, tokens: int = 0, **data: Any) -> Event:
    return Event(named_event(kind, {"type": kind, **data}), tokens)


def _block_events(index: int, block: Json, answer: Answer) -> list[Event]:
    kind = block["type"]
    if kind == "thinking":
        opened = block | {"thinking": "", "signature": ""}
        deltas: list[tuple[Json, int]] = [
            ({"type": "thinking_delta", "thinking": part}, count(part)) for part in pieces(block["thinking"])
        ]
        deltas.append(({"type": "signature_delta", "signature": block["signature"]}, 0))
    elif kind == "text":
        opened = block | {"text": ""}
        deltas = [({"type": "text_delta", "text": part}, count(part)) for part in pieces(block["text"])]
    else:
        no_input: Json = {"input": {}}
        opened = block | no_input
        call = next(tool for tool in answer.tool_calls if tool.id == block["id"])
        parts = ["", *pieces(arguments_text(call))]
        deltas = [({"type": "input_json_delta", "partial_json": part}, count(part)) for part in parts]
        deltas[0] = (deltas[0][0], count(call.name))
    return [
        _event("content_block_start", index=index, content_block=opened),
        *(_event("content_block_delta", tokens, index=index, delta=delta) for delta, tokens in deltas),
        _event("content_block_stop", index=index),
    ]
