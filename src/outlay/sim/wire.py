"""A simulated provider's answers as bytes: what a fault breaks is read by the adapter that reads real ones.

The form is Anthropic's Messages API: https://docs.claude.com/en/api/messages and …/messages-streaming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from outlay.values.content import ProviderBlock, Text, ToolCall
from outlay.values.message import Message
from outlay.values.request import ModelResponse, StopKind
from outlay.values.usage import Usage

_STOPS: dict[StopKind, str] = {
    "end": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "pause": "pause_turn",
}
_ERRORS = {404: "not_found_error", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}


def usage_of(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }


def error_body(status: int) -> bytes:
    """The provider's own error object."""
    return _bytes({"type": "error", "error": {"type": _ERRORS[status], "message": "simulated"}})


def plain(response: ModelResponse, usage: dict[str, Any] | None) -> bytes:
    """The answer in one piece; `usage` None leaves the report out."""
    answer = {"type": "message", "role": "assistant", "model": response.model, "content": _blocks(response.message)}
    return _bytes(answer | {"stop_reason": _STOPS[response.stop]} | ({} if usage is None else {"usage": usage}))


def events(response: ModelResponse, usage: dict[str, Any] | None, *, twice: bool = False) -> Iterator[bytes]:
    """The answer as a stream. `twice`: each event that is no delta comes twice; a delta that did would be no duplicate
    but another text, which the protocol leaves nobody a way to tell."""
    for event in _events(response, usage):
        data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        yield data
        if twice and event["type"] != "content_block_delta":
            yield data


def _events(response: ModelResponse, usage: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    # the output is counted at the end: what message_start says of it is not the answer's
    begun = {} if usage is None else {"usage": {k: v for k, v in usage.items() if k != "output_tokens"}}
    yield {"type": "message_start", "message": {"model": response.model, "content": [], **begun}}
    for index, block in enumerate(_blocks(response.message)):
        start, delta = _grown(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        if delta is not None:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {} if usage is None else {"usage": usage}
    yield {"type": "message_delta", "delta": {"stop_reason": _STOPS[response.stop]}, **ended}
    yield {"type": "message_stop"}


def _grown(block: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    if block["type"] == "text":
        return {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
    if block["type"] == "tool_use":
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        return {**block, "input": {}}, delta
    return block, None


def _blocks(message: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case Text(text):
                found.append({"type": "text", "text": text})
            case ToolCall(id, name, arguments):
                found.append({"type": "tool_use", "id": id, "name": name, "input": _object(arguments)})
            case ProviderBlock(_, _, _, thinking) if thinking:
                found.append({"type": "thinking", "thinking": thinking, "signature": "simulated"})
            case _:
                pass
    return found


def _object(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return {"INVALID_JSON": arguments}


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode()
