"""Whatever a provider answers is an answer or a ModelError, and an answer can be sent back as it was read."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_requests import answering, asking

from outlay.errors import ModelError
from outlay.models import Anthropic, OpenAI, OpenAIChat

KEY = "key-0123456789"
ADAPTERS: dict[str, Any] = {
    "anthropic": Anthropic("claude-haiku-4-5", api_key=KEY),
    "responses": OpenAI("gpt-5.4", api_key=KEY),
    "chat": OpenAIChat("gpt-4o", base_url="http://model.invalid/v1"),
}
#: With thinking, text, citations, tools of ours and of the provider's.
WHOLE: dict[str, Any] = {
    "anthropic": {
        "model": "x",
        "content": [
            {"type": "thinking", "thinking": "a", "signature": "s"},
            {"type": "text", "text": "Hello", "citations": [{"a": 1}]},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"q": 1}},
            {"type": "server_tool_use", "id": "s", "name": "w", "input": {}},
        ],
        "stop_reason": "tool_use",
        "usage": {
            "input_tokens": 3,
            "output_tokens": 2,
            "cache_creation": {"ephemeral_1h_input_tokens": 1},
            "cache_creation_input_tokens": 1,
            "iterations": [{"type": "compaction", "input_tokens": 1, "output_tokens": 1}],
        },
    },
    "responses": {
        "status": "completed",
        "service_tier": "default",
        "incomplete_details": {"reason": "x"},
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "z"},
            {
                "type": "message",
                "phase": "x",
                "content": [
                    {"type": "output_text", "text": "Hello", "annotations": [{}], "logprobs": [{"token": "a"}]},
                    {"type": "refusal", "refusal": ""},
                ],
            },
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "caller": {"a": 1}},
            {"type": "web_search_call", "id": "w"},
        ],
        "usage": {"input_tokens": 3, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 1}},
    },
    "chat": {
        "choices": [
            {
                "message": {
                    "content": [{"type": "text", "text": "Hello"}],
                    "reasoning_content": "r",
                    "reasoning_details": [{"a": 1}],
                    "refusal": None,
                    "tool_calls": [
                        {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"a": 1}}
                    ],
                },
                "finish_reason": "tool_calls",
                "logprobs": {"content": [{"token": "a", "logprob": -1}]},
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
    },
}
STREAMED: dict[str, list[Any]] = {
    "anthropic": [
        {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": "", "citations": None}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "citations_delta", "citation": {"a": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ],
    "responses": [
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}},
        {"type": "response.output_text.delta", "delta": "Hello"},
        {"type": "response.output_item.done", "output_index": 0, "item": WHOLE["responses"]["output"][1]},
        {"type": "response.completed", "response": WHOLE["responses"]},
    ],
    "chat": [
        {"choices": [{"delta": {"content": "x", "reasoning": "r", "tool_calls": [{"index": 0, "id": "a"}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}}]},
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
    ],
}
JUNK: list[Any] = [None, 5, -1, True, 0.5, "", "x", "\ud83d", [], {}, [1], [None], {"a": 1}, [{}], [[]], 10**30]


def damaged(value: Any, random: Random) -> Any:
    """The value with one part of it, anywhere, replaced or left out."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        rest = {name: one for name, one in value.items() if name != key}
        return rest if random.random() < 0.1 else {**value, key: damaged(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.85:
        index = random.randrange(len(value))
        return [*value[:index], damaged(value[index], random), *value[index + 1 :]]
    return random.choice(JUNK)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_it_is_read_or_refused_and_can_be_sent_back(name: str, streamed: bool, seed: int) -> None:
    random, model = Random(seed), ADAPTERS[name]
    events = [json.dumps(damaged(event, random) if random.random() < 0.3 else event) for event in STREAMED[name]]
    body = events if streamed else damaged(WHOLE[name], random)
    heard: list[str] = []
    try:
        found = asyncio.run(model.send(asking(), answering(body), heard.append if streamed else None))
    except ModelError:
        return
    assert all(isinstance(text, str) for text in (found.model, found.tier, found.raw_stop, *heard))
    assert all(isinstance(text, str) for call in found.message.tool_calls for text in (call.id, call.name))
    again = asking("hi", found.message, "go on")
    assert model.bound(again) > 0
    sent = answering(WHOLE[name])
    asyncio.run(model.send(again, sent))
    assert sent.request["messages" if name != "responses" else "input"]


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_undamaged_it_is_an_answer(name: str, streamed: bool) -> None:
    """So that the other test begins from something that works."""
    body = [json.dumps(event) for event in STREAMED[name]] if streamed else WHOLE[name]
    found = asyncio.run(ADAPTERS[name].send(asking(), answering(body), (lambda _: None) if streamed else None))
    assert found.message.tool_calls
    assert found.usage is not None


def test_citations_that_are_no_list_break_no_stream() -> None:
    """Those that follow are kept."""
    events = json.loads(json.dumps(STREAMED["anthropic"]))
    events[1]["content_block"] = {"type": "search_note", "citations": 5}
    events[2]["delta"] = {"type": "citations_delta", "citation": {"a": 1}}
    found = asyncio.run(ADAPTERS["anthropic"].send(asking(), answering(events), lambda _: None))
    assert json.loads(found.message.parts[0].json)["citations"] == [{"a": 1}]
