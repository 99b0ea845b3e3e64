"""Answers with something odd about them, whole and streamed, through every adapter over real sockets: what was paid for
is read, and what breaks says who broke it and whether it may have been billed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_bad_answers import CHAT, RESPONSES, every_adapter, http, sent

from outlay.errors import BadResponse, ModelError, Overloaded
from outlay.models import Anthropic, OpenAI
from outlay.values.message import user
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.transcript import EMPTY

NAMED = ("request-id: req_1", "x-request-id: req_1")
ITEM = RESPONSES["output"][0]
#: The good answer of each adapter as a stream, up to its last event.
STREAMS: dict[str, list[dict[str, Any]]] = {
    "claude-haiku-4-5": [
        {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ],
    "gpt-5.4": [
        {"type": "response.created", "response": {"status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}},
        {"type": "response.output_text.delta", "delta": "Hello"},
        {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
        {"type": "response.completed", "response": RESPONSES},
    ],
    "gpt-4o": [
        {"choices": [{"delta": {"content": "Hello"}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": CHAT["usage"]},
    ],
}
#: What each of them says when it fails in the middle of a stream.
FAILURES: dict[str, dict[str, Any]] = {
    "claude-haiku-4-5": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
    "gpt-5.4": {"type": "error", "code": "server_is_overloaded", "message": "busy"},
    "gpt-4o": {"error": {"code": "503", "message": "busy"}},
}
#: How many events come before the model is at work.
IDLE = {"claude-haiku-4-5": 0, "gpt-5.4": 1, "gpt-4o": 0}
#: From this many events on the answer is whole.
WHOLE = {"claude-haiku-4-5": 6, "gpt-5.4": 5, "gpt-4o": 2}


def streaming(events: list[dict[str, Any]]) -> bytes:
    body = "".join(f"event: {event.get('type', 'message')}\ndata: {json.dumps(event)}\n\n" for event in events)
    return http("200 OK", body.encode(), "content-type: text/event-stream", *NAMED)


@every_adapter
@pytest.mark.parametrize(
    "usage",
    [None, "many", [], 7, True, {"input_tokens": "3", "prompt_tokens": "3"}, {"input_tokens": -1, "prompt_tokens": -1}],
    ids=repr,
)
async def test_a_usage_that_makes_no_sense_costs_the_usage_and_not_the_answer(
    adapter: Any, name: str, good: Any, usage: Any
) -> None:
    """Unknown, which is not zero; the answer stands, whole or streamed."""
    events: list[dict[str, Any]] = json.loads(json.dumps(STREAMS[name]))
    for event in events:
        for place in (event, event.get("message"), event.get("response")):
            if place is not None and "usage" in place:
                place["usage"] = usage
    answers = [http("200 OK", json.dumps({**good, "usage": usage}).encode()), streaming(events)]
    for answer, streamed in zip(answers, (False, True), strict=True):
        response, _ = await sent(adapter, name, answer, streamed=streamed)
        assert isinstance(response, ModelResponse)
        assert (response.message.text, response.usage) == ("Hello", None)


@pytest.mark.parametrize("usage", [None, {}, {"output_tokens": None}, {"input_tokens": 3}], ids=repr)
async def test_what_a_stream_counts_at_its_start_is_not_what_it_cost(usage: Any) -> None:
    """Anthropic's first event counts the first token of the answer. Where the last one counts none, it is unknown."""
    events: list[dict[str, Any]] = json.loads(json.dumps(STREAMS["claude-haiku-4-5"]))
    events[-2]["usage"] = usage
    found, _ = await sent(Anthropic, "claude-haiku-4-5", streaming(events), streamed=True)
    assert isinstance(found, ModelResponse)
    assert (found.message.text, found.usage) == ("Hello", None)


@every_adapter
async def test_a_server_that_does_not_stream_has_answered_all_the_same(adapter: Any, name: str, good: Any) -> None:
    """Asked for a stream, a gateway sends the answer whole: it was paid for."""
    answer = http("200 OK", b" \n" + json.dumps(good).encode(), "content-type: application/json", *NAMED)
    response, _ = await sent(adapter, name, answer, streamed=True)
    assert isinstance(response, ModelResponse)
    assert (response.message.text, response.stop, response.request_id) == ("Hello", "end", "req_1")
    assert response.usage is not None


@every_adapter
async def test_a_failure_in_a_stream_is_in_doubt_once_the_model_is_at_work(adapter: Any, name: str, good: Any) -> None:
    """Before that it was refused for nothing; and once the answer is whole, nothing that follows matters."""
    events, failure = STREAMS[name], FAILURES[name]
    for before in range(len(events) + 1):
        found, _ = await sent(adapter, name, streaming([*events[:before], failure]), streamed=True)
        if before >= WHOLE[name]:
            assert isinstance(found, ModelResponse)
            assert found.message.text == "Hello"
        else:
            assert isinstance(found, Overloaded)
            assert (found.retryable, found.may_be_billed, found.request_id) == (True, before > IDLE[name], "req_1")


@every_adapter
async def test_a_stream_that_stops_half_way_is_in_doubt_and_named(adapter: Any, name: str, good: Any) -> None:
    """Who it was and which exchange stand in the error, whether the stream ends too early or the connection does."""
    events = STREAMS[name]
    cut = streaming(events)[: -len(json.dumps(events[-1]))]
    for answer in (streaming(events[: WHOLE[name] - 1]), http("200 OK", b"", *NAMED), cut):
        found, _ = await sent(adapter, name, answer, streamed=True, closes=True)
        if name == "gpt-4o" and answer is cut:
            assert isinstance(found, ModelResponse)  # only its report of usage was lost
            continue
        assert isinstance(found, BadResponse)
        assert (found.may_be_billed, found.retryable, found.request_id) == (True, True, "req_1")
        assert found.provider


@every_adapter
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_errors_of_the_transport_say_whose_they_are(adapter: Any, name: str, good: Any, streamed: bool) -> None:
    """It knows hosts only."""
    error, _ = await sent(adapter, name, b"", streamed=streamed, closes=True)
    assert isinstance(error, ModelError)
    provider = {Anthropic: "anthropic", OpenAI: "openai"}.get(adapter, "127.0.0.1")
    assert (error.provider, error.may_be_billed) == (provider, True)


#: What an answer can do without, by adapter: where it stands.
SPARE: dict[str, list[tuple[str | int, ...]]] = {
    "claude-haiku-4-5": [("model",), ("usage",), ("id",), ("stop_sequence",), ("content", 0, "citations")],
    "gpt-5.4": [
        *[(name,) for name in ("model", "usage", "service_tier", "incomplete_details", "id", "metadata")],
        *[("output", 0, name) for name in ("phase", "id", "status")],
        *[("output", 0, "content", 0, name) for name in ("annotations", "logprobs", "refusal")],
        *[("output", 1, name) for name in ("summary", "content", "encrypted_content")],
    ],
    "gpt-4o": [
        *[(name,) for name in ("model", "usage", "service_tier", "system_fingerprint", "id")],
        *[("choices", 0, name) for name in ("logprobs", "index", "finish_reason")],
        *[("choices", 0, "message", name) for name in ("refusal", "reasoning", "reasoning_details", "annotations")],
    ],
}


@every_adapter
@pytest.mark.parametrize("value", [5, {}, {"new": [1]}, [], [{"new": 1}], True, 0.5], ids=repr)
async def test_a_new_kind_of_value_never_breaks_an_answer_that_was_paid_for(
    adapter: Any, name: str, good: Any, value: Any
) -> None:
    """Wherever the answer can do without it, whole or as the last event of a stream."""
    for where in SPARE[name]:
        answer = json.loads(json.dumps(good))
        if name == "gpt-5.4":
            answer["output"].append({"type": "reasoning", "summary": []})
        place = answer
        for step in where[:-1]:
            place = place[step]
        place[where[-1]] = value
        found, _ = await sent(adapter, name, http("200 OK", json.dumps(answer).encode()))
        assert isinstance(found, ModelResponse), (where, str(found))
        assert found.message.text == "Hello"
        if name == "gpt-5.4":
            last = {"type": "response.completed", "response": answer}
            found, _ = await sent(adapter, name, streaming([*STREAMS[name][:-1], last]), streamed=True)
            assert isinstance(found, ModelResponse), (where, str(found))


@every_adapter
async def test_an_event_of_a_new_kind_may_use_the_names_of_old_ones(adapter: Any, name: str, good: Any) -> None:
    """With other values under them."""
    odd = {
        "type": "response.audio.done",
        "message": {"a": 1},
        "code": {},
        "error": {},
        "output_index": "x",
        "index": {},
    }
    if name == "gpt-4o":
        odd = {"type": "ping", "model": {}, "service_tier": [], "error": {}, "choices": None, "usage": "soon"}
    found, _ = await sent(adapter, name, streaming([*STREAMS[name][:2], odd, *STREAMS[name][2:]]), streamed=True)
    assert isinstance(found, ModelResponse), str(found)
    assert found.message.text == "Hello"


@every_adapter
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_half_a_character_costs_that_character_and_not_the_answer(
    adapter: Any, name: str, good: Any, streamed: bool
) -> None:
    """A model that is cut in the middle of an emoji leaves `\\ud83d`, which JSON allows and no text can hold."""
    whole = streaming(STREAMS[name]) if streamed else http("200 OK", json.dumps(good).encode())
    body = whole.partition(b"\r\n\r\n")[2].replace(b"Hello", rb"Hello \ud83d")
    found, _ = await sent(adapter, name, http("200 OK", body), streamed=streamed)
    assert isinstance(found, ModelResponse), str(found)
    assert found.message.text == "Hello \ufffd"


@pytest.mark.parametrize("arguments", ["[" * 100_000, '{"q":' * 100_000, '{"q":' + "[" * 100_000 + "]" * 100_000 + "}"])
async def test_a_call_with_deep_arguments_goes_back_as_it_was_meant(arguments: str) -> None:
    """Streamed to us as text, and sent back as what it is not: an object; the run goes on either way."""
    start = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    events = [
        STREAMS["claude-haiku-4-5"][0],
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": arguments}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    found, _ = await sent(Anthropic, "claude-haiku-4-5", streaming(events), streamed=True)
    assert isinstance(found, ModelResponse)
    model = Anthropic("claude-haiku-4-5", api_key="sk-1234567890", base_url="http://model.invalid")
    question = ModelRequest("a", "a", Prelude(), EMPTY.append(user("Hi"), found.message), 50)
    assert model.bound(question) > 0
    assert found.message.tool_calls[0].arguments == arguments
