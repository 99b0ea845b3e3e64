"""Chat Completions, both ways: reading its requests, writing its completion objects and chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from outlay.emulator import json
from outlay.emulator.answer import Answer, BilledUsage, Call, arguments_text
from outlay.emulator.exchange import EmulatedMessage, EmulatedRequest, Provider, Role, ToolCall
from outlay.emulator.json import Json, rows, table, text
from outlay.emulator.logprobs import asked_in_chat, by_piece, check, entries
from outlay.emulator.openai_prompt import (
    REASONING_MODEL,
    Part,
    answer_schema,
    cache_ttl,
    check_window,
    content_parts,
    encoded_tools,
    missing,
    model_name,
    output_limit,
    prompt_of,
    said_in,
    tool_choice,
    tool_specs,
)
from outlay.emulator.problems import ErrorAnswer, invalid
from outlay.emulator.tokens import count, pieces
from outlay.emulator.wire import Event, Tier, data_event

_ROLES: dict[str, Role] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_FINISH = {
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "context_window": "length",
    "content_filter": "content_filter",
}
_FINGERPRINT = "fp_emulator"


class ChatWire:
    """`POST /v1/chat/completions`."""

    provider: Provider = "openai"

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def read(self, body: Json, *, counting: bool = False) -> Call:
        """See `Wire.read`."""
        model = model_name(body)
        messages = [table(message) for message in rows(body.get("messages"))]
        if "messages" not in body:
            raise missing("messages")
        if not messages:
            raise invalid(
                "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array "
                "instead.",
                param="messages",
                code="empty_array",
            )
        if body.get("n") not in (None, 1):
            raise invalid("emulator: only one choice (n=1) is emulated.", param="n")
        check(body, model, body.get("reasoning_effort"), asked=asked_in_chat(body))
        _check_tool_messages(messages)
        neutral = tuple(_messages(messages))
        tools = tool_specs(body, nested=True)
        form = table(body.get("response_format"))
        schema_form = table(form.get("json_schema")) | {"type": form.get("type")}
        request = EmulatedRequest(
            provider="openai",
            endpoint="/v1/chat/completions",
            model=model,
            messages=tuple(message for message in neutral if message.role != "system"),
            system="\n\n".join(message.text for message in neutral if message.role == "system"),
            tools=tools,
            tool_choice=tool_choice(body, tools, nested=True),
            schema=answer_schema(schema_form, "response_format", " ".join(message.text for message in neutral)),
            thinking=body.get("reasoning_effort") in ("low", "medium", "high", "xhigh", "max"),
            max_tokens=_limit(body, model),
            body=body,
        )
        prompt = prompt_of(body, list(_parts(body, messages)))
        check_window(model, prompt)
        stop = body.get("stop")
        stops = (stop,) if isinstance(stop, str) else tuple(map(text, rows(stop)))
        return Call(request, prompt, body.get("stream") is True, stops, cache_ttl(body))

    def plain(self, call: Call, answer: Answer, tier: Tier) -> Json:
        """See `Wire.plain`."""
        message: Json = {
            "role": "assistant",
            "content": answer.text or None,
            "refusal": answer.refusal or None,
            "annotations": [],
        }
        if answer.tool_calls:
            message["tool_calls"] = [_tool_call(tool) for tool in answer.tool_calls]
        elif not answer.refusal:
            message["content"] = answer.text
        said = {"content": entries(answer), "refusal": None} if asked_in_chat(call.request.body) else None
        choice = {"index": 0, "message": message, "logprobs": said, "finish_reason": _finish(answer)}
        return self._envelope(call, answer, "chat.completion") | {
            "choices": [choice],
            "usage": usage_body(answer.usage),
            "service_tier": "default",
            "system_fingerprint": _FINGERPRINT,
        }

    def events(self, call: Call, answer: Answer) -> list[Event]:
        """See `Wire.events`."""
        envelope = self._envelope(call, answer, "chat.completion.chunk") | {
            "service_tier": "default",
            "system_fingerprint": _FINGERPRINT,
        }
        with_usage = table(call.request.body.get("stream_options")).get("include_usage") is True
        unknown_yet = {"usage": None} if with_usage else {}
        events: list[Event] = []
        likely = by_piece(answer, pieces(answer.text)) if asked_in_chat(call.request.body) else iter(())
        for delta, tokens, finish in _deltas(answer):
            said = next(likely, None) if delta.get("content") else None
            logprobs = None if said is None else {"content": said, "refusal": None}
            choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            events.append(Event(data_event(envelope | {"choices": [choice]} | unknown_yet), tokens))
        if with_usage:
            events.append(Event(data_event(envelope | {"choices": [], "usage": usage_body(answer.usage)})))
        events.append(Event(b"data: [DONE]\n\n"))
        return events

    def error_event(self, error: ErrorAnswer, request_id: str, sent: int) -> bytes:
        """See `Wire.error_event`."""
        return data_event(error.body("openai", request_id))

    def unknown_event(self) -> bytes:
        """See `Wire.unknown_event`: a chunk without choices, as this protocol has no event names."""
        return data_event(
            {
                "id": "chatcmpl-weather",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": "",
                "choices": [],
                "outlook": "unknown",
            }
        )

    def _envelope(self, call: Call, answer: Answer, kind: str) -> Json:
        return {"id": answer.id, "object": kind, "created": int(self._clock()), "model": call.request.model}


def usage_body(usage: BilledUsage) -> Json:
    """Usage as Chat Completions writes it: `prompt_tokens` includes what was cached."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _limit(body: Json, model: str) -> int | None:
    if body.get("max_tokens") is not None and REASONING_MODEL.match(model):
        raise invalid(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    return output_limit(body, "max_completion_tokens", 1) or output_limit(body, "max_tokens", 1)


def _check_tool_messages(messages: list[Json]) -> None:
    """Every tool call is answered right after it, and nothing else is."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        role = text(message.get("role"))
        if role not in _ROLES:
            raise invalid(
                f"Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'tool', and "
                f"'developer'.",
                param=f"messages[{index}].role",
                code="invalid_value",
            )
        if role == "tool":
            if text(message.get("tool_call_id")) not in waiting:
                raise invalid(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"messages.[{index}].role",
                )
            waiting.remove(text(message["tool_call_id"]))
            continue
        _check_none_waiting(waiting, index)
        waiting = [text(table(call).get("id")) for call in rows(message.get("tool_calls"))]
    _check_none_waiting(waiting, len(messages))


def _check_none_waiting(waiting: list[str], index: int) -> None:
    if waiting:
        raise invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param=f"messages.[{index}].role",
        )


def _messages(messages: list[Json]) -> Iterator[EmulatedMessage]:
    for message in messages:
        calls = tuple(
            ToolCall(text(function.get("name")), text(function.get("arguments")), text(table(call).get("id")))
            for call in rows(message.get("tool_calls"))
            if (function := table(table(call).get("function")))
        )
        role = _ROLES[text(message.get("role"))]
        yield EmulatedMessage(role, said_in(message.get("content")), calls, text(message.get("tool_call_id")))


def _parts(body: Json, messages: list[Json]) -> Iterator[Part]:
    yield from encoded_tools(body)
    if form := table(body.get("response_format")):
        yield Part("format", json.encode_text(form))
    for message in messages:
        role = text(message.get("role"))
        yield from content_parts(role, message.get("content"))
        for call in rows(message.get("tool_calls")):
            yield Part(role, json.encode_text(call))


def _finish(answer: Answer) -> str:
    return _FINISH.get(answer.stop, "stop")


def _tool_call(tool: ToolCall) -> Json:
    return {
        "id": tool.id,
        "type": "function",
        "function": {"name": tool.name, "arguments": arguments_text(tool)},
    }


def _deltas(answer: Answer) -> Iterator[tuple[Json, int, str | None]]:
    """Each chunk's delta, the tokens in it, and the finish reason."""
    opened: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    if answer.refusal or (answer.tool_calls and not answer.text):
        opened = {"role": "assistant", "content": None, "refusal": "" if answer.refusal else None}
    yield opened, answer.usage.reasoning_tokens, None
    for piece in pieces(answer.text):
        yield {"content": piece}, count(piece), None
    for piece in pieces(answer.refusal):
        yield {"refusal": piece}, count(piece), None
    for index, tool in enumerate(answer.tool_calls):
        head = {
            "index": index,
            "id": tool.id,
            "type": "function",
            "function": {"name": tool.name, "arguments": ""},
        }
        yield {"tool_calls": [head]}, count(tool.name), None
        for piece in pieces(arguments_text(tool)):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, count(piece), None
    yield {}, 0, _finish(answer)
