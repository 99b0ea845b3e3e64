"""Every recorded exchange with the Messages API goes through `Anthropic`, both ways.

What is expected is computed here from the recorded JSON, by other code than the adapter's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from recordings import Interaction, Playback, interactions, recorded

from outlay.errors import BadRequest, ContextTooLong, ModelError
from outlay.models.anthropic import Anthropic
from outlay.values.content import File, Part, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.message import Message, user
from outlay.values.request import ModelRequest, OutputSpec, Prelude, ToolSpec
from outlay.values.settings import ModelSettings
from outlay.values.transcript import EMPTY
from outlay.values.usage import Usage

STOPS = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tool",
    "max_tokens": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
}


def question(text: str = "Hi", model: str = "claude-haiku-4-5", **changes: Any) -> ModelRequest:
    return replace(ModelRequest("a", "a", Prelude(), EMPTY.append(user(text)), 1024), **changes)


def sayable(recording: Interaction) -> bool:
    """Whether the request was kept, and has no system message inside its conversation, which we do not have."""
    request = recording.request
    return request is not None and all(message["role"] != "system" for message in request["messages"])


def those(wanted: Callable[[Interaction], bool], *endpoints: str) -> list[Any]:
    """Parameters for the recordings that are wanted; the skipped one where there are none."""
    return [one for one in recorded("anthropic", *endpoints) if one.values[0] is None or wanted(one.values[0])]


@pytest.mark.parametrize("recording", recorded("anthropic", "messages"))
async def test_a_recorded_answer_is_read_as_it_was_meant(recording: Interaction) -> None:
    """Text, tool calls, provider blocks, stop and token buckets are those of the raw JSON."""
    seen: list[str] = []
    model = Anthropic("claude-haiku-4-5", api_key="key")
    playback = Playback(recording)
    if recording.status != 200:
        with pytest.raises(ModelError) as caught:
            await model.send(question(), playback)
        raw = json.loads(recording.body)
        assert isinstance(caught.value, BadRequest)
        assert raw["error"]["message"] in str(caught.value)
        assert isinstance(caught.value, ContextTooLong) == ("too long" in raw["error"]["message"])
        assert not caught.value.retryable
        assert not caught.value.may_be_billed
        assert caught.value.status == recording.status
        return
    response = await model.send(question(), playback, seen.append if recording.streamed else None)
    expect(response, answer(recording), recording)
    if recording.streamed:
        assert "".join(seen) == response.message.text
        assert response.first_token is not None
        assert playback.request["stream"] is True
    else:
        assert response.first_token is None
        assert "stream" not in playback.request


def batch_results() -> Iterator[Any]:
    for one in interactions():
        if one.provider == "anthropic" and one.endpoint == "messages/batches/{id}/results":
            for i, line in enumerate(one.body.splitlines()):
                yield pytest.param(one, json.loads(line)["result"]["message"], id=f"{one}.{i}")


@pytest.mark.parametrize(("recording", "message"), list(batch_results()))
async def test_a_recorded_result_of_a_batch_is_read_with_its_tier(recording: Interaction, message: Any) -> None:
    """A batch result is a Messages answer whose tier says batch, which halves its price."""
    one = replace(recording, body=json.dumps(message).encode(), status=200)
    response = await Anthropic("claude-haiku-4-5", api_key="key").send(question(), Playback(one))
    expect(response, message, one)
    assert response.tier == "batch"


@pytest.mark.parametrize("recording", those(lambda one: one.status == 200, "messages"))
async def test_an_answer_goes_back_as_it_came(recording: Interaction) -> None:
    """Sent back in the next turn, every block of a recorded answer is the block that the provider gave."""
    model = Anthropic("claude-haiku-4-5", api_key="key")
    response = await model.send(question(), Playback(recording), (lambda _: None) if recording.streamed else None)
    playback = Playback(recording)
    again = question(transcript=EMPTY.append(user("Hi"), response.message, user("Go on")))
    await model.send(again, playback, lambda _: None)
    sent = playback.request["messages"][1]
    given = [block for block in answer(recording)["content"] if block.get("text", "x").strip()]
    assert sent["role"] == "assistant"
    assert [plain_block(block) for block in sent["content"]] == [plain_block(block) for block in given]


@pytest.mark.parametrize("recording", those(sayable, "messages", "messages/count_tokens"))
async def test_a_recorded_request_can_be_said_in_our_values(recording: Interaction) -> None:
    """The request that a recorded client sent, rebuilt from our values, is the same request."""
    model, request = rebuild(recording.request)
    playback = Playback(recording)
    if recording.endpoint == "messages/count_tokens":
        assert await model.count(request, playback) == json.loads(recording.body)["input_tokens"]
        assert playback.sent[0][0].endswith("/v1/messages/count_tokens")
    else:
        try:
            await model.send(request, playback, (lambda _: None) if recording.streamed else None)
        except ModelError:
            assert recording.status != 200
    assert normal(playback.request) == normal(recording.request)


@pytest.mark.parametrize(
    "recording", those(lambda one: sayable(one) and one.status == 200, "messages", "messages/count_tokens")
)
async def test_the_bound_holds_for_every_recorded_request(recording: Interaction) -> None:
    """`bound` is at least what the provider counted, all buckets together, side work of compactions excepted."""
    model, request = rebuild(recording.request)
    if recording.endpoint == "messages/count_tokens":
        counted = json.loads(recording.body)["input_tokens"]
    else:
        counted = buckets(answer(recording)["usage"]).all_input_tokens
    assert model.bound(request) >= counted


def test_the_recordings_are_all_there() -> None:
    """A reader that silently skipped files would prove nothing."""
    if not interactions():
        pytest.skip("no recordings at ../shared/data/recordings")
    found = [one for one in interactions() if one.provider == "anthropic" and one.endpoint == "messages"]
    assert len(found) >= 55
    assert sum(one.streamed for one in found) >= 12


# ── expectations, from the raw JSON ───────────────────────────────────────────────────────────────────────────


def expect(response: Any, raw: Any, recording: Interaction) -> None:
    blocks = raw["content"]
    assert response.message.role == "assistant"
    assert response.message.text == "".join(block["text"] for block in blocks if block["type"] == "text")
    assert [(call.id, call.name, json.loads(call.arguments)) for call in response.message.tool_calls] == [
        (block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"
    ]
    assert [part.kind if isinstance(part, ProviderBlock) else kind_of(part) for part in response.message.parts] == [
        block["type"] for block in blocks
    ]
    assert response.message.thinking == "\n".join(block["thinking"] for block in blocks if block.get("thinking"))
    assert response.stop == STOPS[raw["stop_reason"]]
    assert response.raw_stop == raw["stop_reason"]
    assert response.model == raw["model"]
    assert response.usage == buckets(raw["usage"])
    assert response.usage.raw["output_tokens"] == raw["usage"]["output_tokens"]
    assert response.tier == raw["usage"].get("service_tier", "")
    assert response.request_id == recording.headers.get("request-id", "")
    left = {
        name: recording.headers.get(f"anthropic-ratelimit-{name}-remaining")
        for name in ("requests", "tokens", "input-tokens", "output-tokens")
    }
    assert (response.limits is None) == (set(left.values()) == {None})
    for name, value in left.items():
        if value is not None:
            assert getattr(response.limits, f"{name.replace('-', '_')}_left") == int(value)


def kind_of(part: Part) -> str:
    return {Text: "text", ToolCall: "tool_use"}[type(part)]


def buckets(usage: Mapping[str, Any]) -> Usage:
    """All reports that this model is billed for: the top one, and compactions, which it leaves out."""
    reports = [usage, *(one for one in usage.get("iterations") or [] if one["type"] == "compaction")]
    return Usage(
        input_tokens=sum(one["input_tokens"] for one in reports),
        cache_read_tokens=sum(one.get("cache_read_input_tokens") or 0 for one in reports),
        cache_write_tokens=sum(one.get("cache_creation_input_tokens") or 0 for one in reports),
        output_tokens=sum(one["output_tokens"] for one in reports),
        cache_write_1h_tokens=sum(
            (one.get("cache_creation") or {}).get("ephemeral_1h_input_tokens", 0) for one in reports
        ),
    )


def answer(recording: Interaction) -> Any:
    """The whole answer; a stream is put together here the slow and obvious way."""
    if not recording.streamed:
        return json.loads(recording.body)
    message: Any = None
    inputs: dict[int, str] = {}
    for line in recording.body.decode().splitlines():
        if not line.startswith("data:"):
            continue
        event = json.loads(line[5:])
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] = delta["signature"]
                    case "input_json_delta":
                        inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
                    case other:
                        raise AssertionError(other)
            case "message_delta":
                message["stop_reason"] = event["delta"]["stop_reason"]
                message["usage"] |= event["usage"]
            case _:
                pass
    for index, text in inputs.items():
        if text:
            message["content"][index]["input"] = json.loads(text)
    return message


# ── a recorded request in our values ──────────────────────────────────────────────────────────────────────────


def rebuild(raw: Any) -> tuple[Anthropic, ModelRequest]:
    system = raw.get("system") or []
    texts = [system] if isinstance(system, str) else [block["text"] for block in system]
    tools = [tool for tool in raw.get("tools") or [] if "input_schema" in tool]
    server_tools = [tool for tool in raw.get("tools") or [] if "input_schema" not in tool]
    form = raw.get("output_format") or (raw.get("output_config") or {}).get("format")
    thinking = raw.get("thinking") or {}
    choice = raw.get("tool_choice") or {}
    known = {"model", "system", "messages", "tools", "max_tokens", "stream", "thinking", "tool_choice"}
    known |= {"output_format", "output_config", "temperature"}
    extra = {name: value for name, value in raw.items() if name not in known}
    if server_tools:
        extra["tools"] = server_tools
    settings = ModelSettings(
        temperature=raw.get("temperature"),
        effort=(raw.get("output_config") or {}).get("effort"),
        thinking=thinking.get("budget_tokens") or ("adaptive" if thinking else None),
        tool_choice={"any": "required", None: None}.get(choice.get("type"), choice.get("type")),
        extra=extra,
    )
    prelude = Prelude(
        tuple(texts),
        tuple(ToolSpec(t["name"], t.get("description", ""), json.dumps(t["input_schema"])) for t in tools),
        OutputSpec("out", json.dumps(form["schema"])) if form else None,
    )
    conversation = EMPTY.append(*(message for one in raw["messages"] for message in rebuilt(one)))
    request = ModelRequest("a", "a", prelude, conversation, raw.get("max_tokens", 1024), settings)
    return Anthropic(raw["model"], api_key="key"), request


def rebuilt(raw: Any) -> list[Message]:
    blocks = raw["content"]
    if isinstance(blocks, str):
        return [Message(raw["role"], (Text(blocks),))]
    parts = tuple(rebuilt_part(block) for block in blocks)
    results = tuple(part for part in parts if isinstance(part, ToolResult))
    return [Message("tool" if results else raw["role"], parts)]


def rebuilt_part(block: Any) -> Part:
    match block:
        case {"type": "text", "text": text}:
            return Text(text)
        case {"type": "tool_use"}:
            return ToolCall(block["id"], block["name"], json.dumps(block["input"]))
        case {"type": "tool_result", "content": [{"type": "text", "text": text}]}:
            return ToolResult(block["tool_use_id"], "?", text, block.get("is_error", False))
        case {"type": "tool_result", "content": str() as text}:
            return ToolResult(block["tool_use_id"], "?", text, block.get("is_error", False))
        case {"type": "document", "source": {"type": "file", "file_id": file_id}}:
            return File(file_id=file_id)
        case _:
            return ProviderBlock("anthropic", block["type"], json.dumps(block))


def normal(raw: Any) -> Any:
    """A request without what only differs in spelling."""
    made = {name: value for name, value in raw.items() if name not in ("stream", "output_format")}
    if "output_format" in raw:
        made["output_config"] = {"format": raw["output_format"]}
    if isinstance(made.get("system"), str):
        made["system"] = [{"type": "text", "text": made["system"]}]
    made["messages"] = [
        {
            "role": message["role"],
            "content": [{"type": "text", "text": message["content"]}]
            if isinstance(message["content"], str)
            else [plain_block(block) for block in message["content"]],
        }
        for message in raw["messages"]
    ]
    if made.get("system"):
        made["system"] = [plain_block(block) for block in made["system"]]
    if made.get("tools"):
        made["tools"] = sorted(
            ({k: v for k, v in tool.items() if (k, v) != ("description", "")} for tool in made["tools"]),
            key=lambda tool: tool["name"],
        )
    if (made.get("thinking") or {}).get("display"):
        made["thinking"] = {k: v for k, v in made["thinking"].items() if k != "display"}
    made.pop("max_tokens", None)
    return made


def plain_block(block: Any) -> Any:
    """A block without cache marks, default values, and what we drop on purpose: citations, callers."""
    made = {
        name: value
        for name, value in block.items()
        if name not in ("cache_control", "citations", "caller") and (name, value) != ("is_error", False)
    }
    if made["type"] == "tool_result" and isinstance(made.get("content"), list):
        texts = [one["text"] for one in made["content"] if one["type"] == "text"]
        if len(texts) == len(made["content"]) == 1:
            made["content"] = texts[0]
    return made
