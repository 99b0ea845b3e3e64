"""The Responses protocol, as the official SDK sees it."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from outlay.emulator import EmulatedReply, EmulatedRequest, ToolCall

MODEL = "gpt-5.4"
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "weather", "description": "", "parameters": CLOSED, "strict": True}
CLOCK = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}


class Verdict(BaseModel):
    label: Literal["good", "bad"]
    confidence: float
    reasons: list[str]


async def test_create_returns_the_behaviours_text(connect):
    """A completed response with the text; input tokens include everything."""
    c = await connect(behaviour="Four and twenty blackbirds")
    response = await c.openai.responses.create(model=MODEL, input="Hello?", instructions="Be brief.")
    assert (response.output_text, response.status, response.model) == ("Four and twenty blackbirds", "completed", MODEL)
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (11, 7, 18)
    assert response._request_id == c.emulator.requests[0].request_id


async def test_a_stream_has_the_events_of_the_real_one_in_their_order(connect):
    """Created, the item, its part, its deltas, each of them done, completed; numbered without gaps."""
    c = await connect(behaviour="One two three four five.")
    stream = await c.openai.responses.create(model=MODEL, input="Count.", stream=True)
    events = [event async for event in stream]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    assert events[-1].response.usage.output_tokens == 6


@pytest.mark.parametrize("streaming", [False, True])
async def test_tool_calls_come_in_parallel_and_their_results_go_back(connect, streaming):
    """Two calls in one response; their outputs are seen by the behaviour in the next."""

    def behave(request: EmulatedRequest) -> EmulatedReply | str:
        if request.tool_results:
            return f"It is {request.tool_results[0]} at {request.tool_results[1]}."
        return EmulatedReply("", (ToolCall("weather", {"city": "Lima"}), ToolCall("clock")))

    c = await connect(behaviour=behave)
    ask: dict[str, Any] = {"model": MODEL, "tools": [WEATHER, CLOCK]}
    items: list[Any] = [{"role": "user", "content": "Weather and time in Lima?"}]
    if streaming:
        async with c.openai.responses.stream(**ask, input=items) as stream:
            response = await stream.get_final_response()
    else:
        response = await c.openai.responses.create(**ask, input=items)
    weather, clock = response.output
    assert (weather.name, weather.arguments, clock.name, clock.arguments) == (
        "weather",
        '{"city":"Lima"}',
        "clock",
        "{}",
    )
    items += [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in response.output]
    items += [
        {"type": "function_call_output", "call_id": weather.call_id, "output": "sunny"},
        {"type": "function_call_output", "call_id": clock.call_id, "output": "noon"},
    ]
    assert (await c.openai.responses.create(**ask, input=items)).output_text == "It is sunny at noon."


async def test_a_conversation_goes_on_from_a_stored_response(connect):
    """previous_response_id brings the earlier items along, and their tokens; without store it is not found."""
    seen: list[list[str]] = []
    c = await connect(behaviour=lambda request: seen.append([m.text for m in request.messages]) or "Yes.")
    first = await c.openai.responses.create(model=MODEL, input="One?")
    second = await c.openai.responses.create(model=MODEL, input="Two?", previous_response_id=first.id)
    assert seen[1] == ["One?", "Yes.", "Two?"]
    assert second.usage.input_tokens > first.usage.input_tokens
    assert (await c.openai.responses.retrieve(first.id)).output_text == "Yes."
    lost = await c.openai.responses.create(model=MODEL, input="Three?", store=False)
    with pytest.raises(openai.BadRequestError) as caught:
        await c.openai.responses.create(model=MODEL, input="Four?", previous_response_id=lost.id)
    assert caught.value.code == "previous_response_not_found"


async def test_parse_gets_an_object_of_the_type_by_default(connect):
    """Structured outputs satisfy their schema without any script."""
    c = await connect()
    parsed = await c.openai.responses.parse(model=MODEL, input="Good?", text_format=Verdict)
    assert isinstance(parsed.output_parsed, Verdict)


async def test_input_tokens_and_usage_agree(connect):
    """What the counting end point says is what the request is billed for."""
    c = await connect()
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
    content: list[Any] = [{"type": "input_text", "text": "What is this?"}, picture]
    prompt: dict[str, Any] = {"model": MODEL, "input": [{"role": "user", "content": content}], "tools": [WEATHER]}
    counted = await c.openai.responses.input_tokens.count(**prompt)
    billed = await c.openai.responses.create(**prompt)
    assert counted.input_tokens == billed.usage.input_tokens > 1_600


async def test_reasoning_is_billed_and_travels_encrypted(connect):
    """The item comes back as it was; an altered one is a 400. The summary is shown only if it was asked for."""
    c = await connect(behaviour=[EmulatedReply("Yes.", thinking="Let me see."), "Again.", "Never."])
    ask: dict[str, Any] = {"model": MODEL, "reasoning": {"effort": "high", "summary": "auto"}, "store": False}
    response = await c.openai.responses.create(**ask, input="Well?")
    reasoning = response.output[0]
    assert reasoning.summary[0].text == "Let me see."
    assert response.usage.output_tokens_details.reasoning_tokens == 3
    item = reasoning.model_dump(exclude_none=True)
    question = {"role": "user", "content": "Well?"}
    assert (await c.openai.responses.create(**ask, input=[question, item])).output_text == "Again."
    item["encrypted_content"] = item["encrypted_content"][:-8] + "AAAAAAA="
    with pytest.raises(openai.BadRequestError) as caught:
        await c.openai.responses.create(**ask, input=[question, item])
    assert caught.value.code == "invalid_encrypted_content"


@pytest.mark.parametrize("streaming", [False, True])
async def test_max_output_tokens_makes_a_response_incomplete(connect, streaming):
    """Status incomplete, the reason, and no token more than allowed."""
    c = await connect(behaviour="x" * 400)
    answer = await c.openai.responses.create(model=MODEL, input="Go.", max_output_tokens=20, stream=streaming)
    if streaming:
        *_, last = [event async for event in answer]
        assert last.type == "response.incomplete"
        answer = last.response
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (answer.usage.output_tokens, len(answer.output_text)) == (20, 80)


async def test_a_refusal_is_a_part_of_its_own(connect):
    """A refusal is not text."""
    c = await connect(behaviour=lambda _: EmulatedReply(refusal="I cannot help with that."))
    response = await c.openai.responses.create(model=MODEL, input="Do it.")
    assert response.output[0].content[0].refusal == "I cannot help with that."
    async with c.openai.responses.stream(model=MODEL, input="Do it.") as stream:
        kinds = [event.type async for event in stream]
    assert "response.refusal.delta" in kinds
    assert "response.refusal.done" in kinds


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"max_output_tokens": 5}, "Expected a value >= 16, but got 5"),
        ({"tool_choice": "required"}, "'tool_choice' is only allowed when 'tools' are specified"),
        (
            {"tools": [WEATHER | {"parameters": {"type": "object", "properties": {}}}]},
            "'additionalProperties' is required to be supplied and to be false",
        ),
        (
            {"tools": [WEATHER | {"parameters": CLOSED | {"required": []}}]},
            "an array including every key in properties. Missing 'city'",
        ),
        (
            {"text": {"format": {"type": "json_object"}}},
            "must contain the word 'json'",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c1", "output": "x"}]},
            "No tool call found for function call output with call_id c1",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{}"}]},
            "No tool output found for function call c1",
        ),
        ({"input": "x" * 4_300_000}, "Your input exceeds the context window of this model"),
    ],
)
async def test_a_malformed_request_is_a_400_that_says_why(connect, change, complaint):
    """The real API's refusals, with its words."""
    c = await connect()
    with pytest.raises(openai.BadRequestError) as caught:
        await c.openai.responses.create(**{"model": MODEL, "input": "Hello?", **change})
    assert complaint in caught.value.message
    assert caught.value.type == "invalid_request_error"


async def test_an_unknown_model_is_refused_as_recorded(connect, hello):
    """Responses says 400 and Chat Completions 404, both with the code model_not_found."""
    c = await connect(models=[MODEL])
    with pytest.raises(openai.BadRequestError, match="The requested model") as caught:
        await c.openai.responses.create(model="gpt-5.2-proo", input="Hello?")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError) as missing:
        await c.openai.chat.completions.create(model="gpt-5.2-proo", messages=hello)
    assert missing.value.code == "model_not_found"
    assert [model.id async for model in c.openai.models.list()] == [MODEL]


async def test_a_key_is_required_and_checked_if_keys_were_given(connect):
    """401 with the provider's own body."""
    c = await connect(api_keys=["right"])
    await c.openai.responses.create(model=MODEL, input="Hello?")
    with pytest.raises(openai.AuthenticationError) as caught:
        await c.openai.with_options(api_key="sk-wrong-key").responses.create(model=MODEL, input="Hello?")
    assert caught.value.code == "invalid_api_key"
    async with c.http.post(f"{c.emulator.openai_url}/responses", json={}) as response:
        assert response.status == 401
        assert "You didn't provide an API key" in (await response.json())["error"]["message"]
