"""Recorded traffic of OpenAI's two APIs, replayed through the adapters; what is expected is read from the raw JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from openai_requests import answering, asking, stream_events
from recordings import Interaction, Playback, interactions, recorded

from outlay.errors import AuthFailed, BadRequest, ModelError
from outlay.models.openai import OpenAI
from outlay.models.openai_chat import OpenAIChat
from outlay.values.content import ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.message import Message, user
from outlay.values.request import ModelResponse, ToolSpec
from outlay.values.usage import Usage

RESPONSES = recorded("openai", "responses")
CHAT = recorded("openai", "chat/completions")
PARALLEL = "ruby_llm__chat_function_calling_openai_gpt-5-nano_can_use_parallel_tool_calls.json"


def replay(model: OpenAI | OpenAIChat, recording: Interaction) -> tuple[ModelResponse, str | None]:
    """The adapter's reading of a recording, and the text it streamed."""
    pieces: list[str] = []
    on_text = pieces.append if recording.streamed else None
    response = asyncio.run(model.send(asking(), Playback(recording), on_text))
    return response, "".join(pieces) if recording.streamed else None


def final_response(recording: Interaction) -> dict[str, Any]:
    if not recording.streamed:
        return json.loads(recording.body)
    terminal = ("response.completed", "response.incomplete", "response.failed")
    return next(e["response"] for e in stream_events(recording.body) if e["type"] in terminal)


@pytest.mark.parametrize("recording", [p for p in RESPONSES if p.values[0] is None or p.values[0].status == 200])
def test_a_recorded_response_gives_its_text_calls_stop_and_tokens(recording: Interaction) -> None:
    """Text, tool calls, stop reason and token buckets are those of the final response object."""
    response, streamed = replay(OpenAI("gpt-5", api_key="k"), recording)

    raw = final_response(recording)
    items = raw["output"]
    contents = [c for item in items if item["type"] == "message" for c in item["content"]]
    assert response.message.text == "".join(c.get("text") or c.get("refusal") or "" for c in contents)
    assert streamed in (None, response.message.text)
    assert [(c.id, c.name, c.arguments) for c in response.message.tool_calls] == [
        (item["call_id"], item["name"], item["arguments"]) for item in items if item["type"] == "function_call"
    ]
    assert response.stop == ("tool" if response.message.tool_calls else "end")
    usage, details = raw["usage"], raw["usage"]["input_tokens_details"]
    cached, written = details["cached_tokens"], details.get("cache_write_tokens", 0)
    assert response.usage == Usage(usage["input_tokens"] - cached - written, cached, written, usage["output_tokens"])
    assert response.usage is not None
    assert response.usage.raw == usage
    assert response.usage.total_tokens == usage["total_tokens"]
    assert (response.model, response.tier, response.raw_stop) == (raw["model"], raw["service_tier"], raw["status"])
    assert response.request_id == recording.headers.get("x-request-id", "")
    assert (response.first_token is not None) == any(
        e["type"].endswith(".delta") for e in (stream_events(recording.body) if recording.streamed else ())
    )


@pytest.mark.parametrize("recording", [p for p in RESPONSES if p.values[0] is None or p.values[0].status == 200])
def test_every_output_item_is_kept_in_its_place(recording: Interaction) -> None:
    """Sent back, a recorded answer is its items again, in order; only plain messages and calls are put shorter."""
    response, _ = replay(OpenAI("gpt-5", api_key="k"), recording)

    transport = answering({"input_tokens": 1})
    asyncio.run(OpenAI("gpt-5", api_key="k").count(asking("q", response.message, "go on"), transport))
    sent = transport.request["input"][1:-1]
    expected: list[Any] = []
    for item in final_response(recording)["output"]:
        annotated = any(c.get("annotations") for c in item.get("content") or () if isinstance(c, dict))
        if item["type"] == "message" and not item.get("phase") and not annotated:
            expected.append({"role": "assistant", "content": "".join(c["text"] for c in item["content"])})
        elif item["type"] == "function_call" and not item.get("caller"):
            expected.append({key: item[key] for key in ("type", "call_id", "name", "arguments")})
        elif item["type"] != "reasoning" or item.get("encrypted_content"):
            expected.append(item)
    assert _merged(sent) == _merged(expected)


def _merged(items: list[Any]) -> list[Any]:
    """Neighbouring plain assistant messages count as one."""
    out: list[Any] = []
    for item in items:
        plain = set(item) == {"role", "content"}
        if plain and out and set(out[-1]) == {"role", "content"}:
            out[-1] = {"role": "assistant", "content": out[-1]["content"] + item["content"]}
        else:
            out.append(item)
    return out


@pytest.mark.parametrize("recording", [p for p in CHAT if p.values[0] is None or p.values[0].status == 200])
def test_a_recorded_completion_gives_its_text_calls_stop_and_tokens(recording: Interaction) -> None:
    """Text, tool calls, stop reason and token buckets are those of the first choice, whole or put together."""
    response, streamed = replay(OpenAIChat("gpt-4o", api_key="k"), recording)

    text, calls, reason, refused, usage, model = "", dict[int, list[str]](), "", False, None, ""
    chunks = stream_events(recording.body) if recording.streamed else [json.loads(recording.body)]
    for chunk in chunks:
        model, usage = chunk["model"], chunk.get("usage") or usage
        for choice in chunk["choices"]:
            said = choice.get("delta", choice.get("message"))
            text += (said.get("content") or "") + (said.get("refusal") or "")
            refused = refused or bool(said.get("refusal"))
            reason = choice["finish_reason"] or reason
            for i, call in enumerate(said.get("tool_calls") or ()):
                made = calls.setdefault(call.get("index", i), ["", "", ""])
                made[0] += call.get("id") or ""
                made[1] += call["function"].get("name") or ""
                made[2] += call["function"].get("arguments") or ""
    assert response.message.text == text
    assert streamed in (None, text)
    assert [[c.id, c.name, c.arguments] for c in response.message.tool_calls] == list(calls.values())
    ends = {"stop": "tool" if calls else "end", "tool_calls": "tool", "length": "length"}
    assert response.stop == ("refusal" if refused else ends[reason])
    assert response.raw_stop == reason
    if usage is None:
        assert response.usage is None
    else:
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        assert response.usage == Usage(usage["prompt_tokens"] - cached, cached, 0, usage["completion_tokens"])
    assert response.model == model
    assert response.request_id == recording.headers.get("x-request-id", "")


@pytest.mark.parametrize("recording", [p for p in RESPONSES + CHAT if p.values[0] is None or p.values[0].status != 200])
def test_a_recorded_error_is_a_typed_error(recording: Interaction) -> None:
    """A recorded 400 or 401 raises the error of its status, with the provider's words and no key."""
    model = (
        OpenAI("gpt-5", api_key="sk-fake-key")
        if "chat" not in recording.endpoint
        else OpenAIChat("gpt-4o", api_key="sk-fake-key")
    )
    with pytest.raises(ModelError) as caught:
        asyncio.run(model.send(asking(), Playback(recording)))
    assert type(caught.value) is {400: BadRequest, 401: AuthFailed}[recording.status]
    assert caught.value.status == recording.status
    assert not caught.value.retryable
    assert not caught.value.may_be_billed
    assert json.loads(recording.body)["error"]["message"].split("sk-")[0][:40].strip() in str(caught.value)
    assert "sk-fake" not in str(caught.value)


@pytest.mark.parametrize("recording", recorded("openai", "responses/input_tokens"))
def test_a_recorded_count_is_the_count(recording: Interaction) -> None:
    """The token count of the provider is returned as it is, and asked for as it was recorded."""
    request = asking("", system=(recording.request["instructions"],))
    transport = Playback(recording)
    assert asyncio.run(OpenAI("gpt-4.1-mini", api_key="k").count(request, transport)) == 16
    assert transport.sent[0][0] == "https://api.openai.com/v1/responses/input_tokens"
    assert transport.request == recording.request
    assert OpenAI("gpt-4.1-mini").bound(request) >= 16


def test_a_conversation_with_reasoning_and_parallel_calls_goes_back_as_the_api_demands() -> None:
    """After two parallel calls the next body holds the sealed reasoning, both calls and both results, in order."""
    found = [one for one in interactions() if one.file == PARALLEL]
    if not found:
        pytest.skip("no recordings at ../shared/data/recordings")
    first, second = found
    model = OpenAI("gpt-5-nano", api_key="k")
    tools = tuple(
        ToolSpec(tool["name"], tool["description"], json.dumps(tool["parameters"])) for tool in first.request["tools"]
    )
    question = user(first.request["input"][0]["content"])

    transport = Playback(first)
    answer = asyncio.run(model.send(asking(question, tools=tools), transport))
    assert _comparable(transport.request) == _comparable(first.request)

    assert [call.name for call in answer.message.tool_calls] == ["weather", "best_language_to_learn"]
    outputs = [item["output"] for item in second.request["input"] if item.get("type") == "function_call_output"]
    results = tuple(
        ToolResult(call.id, call.name, output) for call, output in zip(answer.message.tool_calls, outputs, strict=True)
    )
    transport = Playback(second)
    asked = asking(question, answer.message, Message("tool", results), tools=tools)
    final = asyncio.run(model.send(asked, transport))
    assert _comparable(transport.request) == _comparable(second.request)
    assert final.stop == "end"
    assert final.usage is not None
    assert model.bound(asked) >= final.usage.all_input_tokens


def _comparable(body: dict[str, Any]) -> dict[str, Any]:
    """What matters of a body: without our cap and tool strictness, and reasoning by its sealed content alone."""
    kept = {key: value for key, value in body.items() if key not in ("max_output_tokens", "tools")}
    kept["tools"] = [{key: tool[key] for key in ("type", "name", "description")} for tool in body["tools"]]
    kept["input"] = [
        {key: item[key] for key in ("type", "encrypted_content", "summary")}
        if item.get("type") == "reasoning"
        else item
        for item in body["input"]
    ]
    return kept


def test_a_recorded_batch_result_reads_like_a_live_answer() -> None:
    """The bodies inside a batch's result file are responses of the same shape."""
    lines = [
        json.loads(line)["response"]
        for one in interactions()
        if one.provider == "openai" and one.endpoint == "files/{id}/content"
        for line in one.body.splitlines()
    ]
    if not lines:
        pytest.skip("no recordings at ../shared/data/recordings")
    for line in lines:
        response = asyncio.run(OpenAI("gpt-5-nano", api_key="k").send(asking(), answering(line["body"])))
        assert response.stop == "end"
        assert response.usage is not None
        assert response.usage.total_tokens == line["body"]["usage"]["total_tokens"]


def test_rate_limit_headers_and_request_ids_come_with_the_answer() -> None:
    """Each recorded answer with rate-limit headers carries what they say."""
    seen = 0
    for param in RESPONSES + CHAT:
        recording = param.values[0]
        if recording is None:
            pytest.skip("no recordings at ../shared/data/recordings")
        left = recording.headers.get("x-ratelimit-remaining-tokens")
        if recording.status != 200 or left is None:
            continue
        model = OpenAIChat("m", api_key="k") if "chat" in recording.endpoint else OpenAI("m", api_key="k")
        response, _ = replay(model, recording)
        assert response.limits is not None
        assert response.limits.tokens_left == int(left)
        assert response.limits.requests_reset is not None
        seen += 1
    assert seen


def test_parts_of_a_recorded_answer_stand_in_its_order() -> None:
    """Commentary with a phase and the final answer stay two messages, each behind the item it came from."""
    found = [one for one in interactions() if one.file == "ai__openai-phase.1.json"]
    if not found:
        pytest.skip("no recordings at ../shared/data/recordings")
    response, _ = replay(OpenAI("gpt-5.3-codex", api_key="k"), found[0])
    kinds = [type(part) for part in response.message.parts]
    assert kinds == [ProviderBlock, Text, ProviderBlock, Text]
    assert not any(isinstance(part, ToolCall) for part in response.message.parts)
    transport = answering({"input_tokens": 1})
    model = OpenAI("gpt-5.3-codex", api_key="k")
    asyncio.run(model.count(asking("q", response.message), transport))
    assert [item.get("phase") for item in transport.request["input"]] == [None, "commentary", "final_answer"]
