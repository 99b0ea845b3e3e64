"""The Messages protocol, as the official SDK sees it."""

from __future__ import annotations

import base64
from typing import Any, Literal

import anthropic
import pytest
from pydantic import BaseModel

from outlay.emulator import EmulatedReply, EmulatedRequest, ReplyUsage, ToolCall

MODEL = "claude-haiku-4-5"
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}


CALL = ToolCall("weather", {"city": "Lima"})


class Verdict(BaseModel):
    label: Literal["good", "bad"]
    confidence: float
    reasons: list[str]


async def test_create_returns_the_behaviours_text(connect, hello):
    """A plain answer has the text, the model asked for, an end_turn, and usage by the emulator's counter."""
    c = await connect(behaviour="Four and twenty blackbirds")
    message = await c.anthropic.messages.create(model=MODEL, max_tokens=100, messages=hello)
    assert message.content[0].text == "Four and twenty blackbirds"
    assert (message.model, message.role, message.stop_reason) == (MODEL, "assistant", "end_turn")
    assert (message.usage.output_tokens, message.usage.service_tier) == (7, "standard")
    assert message.id.startswith("msg_")
    assert message._request_id == c.emulator.requests[0].request_id


async def test_a_stream_has_the_events_of_the_real_one_in_their_order(connect, hello):
    """message_start, a block with its deltas, message_delta with the usage, message_stop; pings in between."""
    c = await connect(behaviour="One two three four five.")
    async with c.http.post(
        f"{c.emulator.url}/v1/messages",
        json={"model": MODEL, "max_tokens": 50, "messages": hello, "stream": True},
        headers={"x-api-key": "k", "anthropic-version": "2023-06-01"},
    ) as response:
        assert response.content_type == "text/event-stream"
        lines = (await response.text()).splitlines()
    assert [line.removeprefix("event: ") for line in lines if line.startswith("event: ")] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_a_stream_and_a_plain_answer_are_the_same_message(connect, hello):
    """Streaming changes how an answer arrives and nothing about it."""
    c = await connect()
    plain = await c.anthropic.messages.create(model=MODEL, max_tokens=500, messages=hello)
    async with c.anthropic.messages.stream(model=MODEL, max_tokens=500, messages=hello) as stream:
        said = "".join([text async for text in stream.text_stream])
        streamed = await stream.get_final_message()
    assert said == plain.content[0].text == streamed.content[0].text
    assert streamed.usage.output_tokens == plain.usage.output_tokens
    assert streamed.stop_reason == plain.stop_reason


@pytest.mark.parametrize("streaming", [False, True])
async def test_tool_calls_come_in_parallel_and_their_results_go_back(connect, streaming):
    """Two calls in one turn; the results are seen by the behaviour in the next."""

    def behave(request: EmulatedRequest) -> EmulatedReply | str:
        if request.tool_results:
            return f"It is {request.tool_results[0]} at {request.tool_results[1]}."
        return EmulatedReply("Let me look.", (ToolCall("weather", {"city": "Lima"}), ToolCall("clock")))

    c = await connect(behaviour=behave)
    messages: list[Any] = [{"role": "user", "content": "Weather and time in Lima?"}]
    arguments: dict[str, Any] = {"model": MODEL, "max_tokens": 200, "tools": [WEATHER, CLOCK]}
    if streaming:
        async with c.anthropic.messages.stream(**arguments, messages=messages) as stream:
            turn = await stream.get_final_message()
    else:
        turn = await c.anthropic.messages.create(**arguments, messages=messages)
    assert turn.stop_reason == "tool_use"
    text, weather, clock = turn.content
    assert (text.text, weather.name, weather.input, clock.name) == (
        "Let me look.",
        "weather",
        {"city": "Lima"},
        "clock",
    )
    assert weather.id != clock.id
    results = [
        {"type": "tool_result", "tool_use_id": weather.id, "content": "sunny"},
        {"type": "tool_result", "tool_use_id": clock.id, "content": [{"type": "text", "text": "noon"}]},
    ]
    messages += [{"role": "assistant", "content": turn.content}, {"role": "user", "content": results}]
    final = await c.anthropic.messages.create(**arguments, messages=messages)
    assert final.content[0].text == "It is sunny at noon."


async def test_by_default_a_tool_is_called_only_if_it_is_forced(connect, hello):
    """tool_choice auto talks; any and tool call, with arguments that satisfy the schema."""
    c = await connect()
    ask: dict[str, Any] = {"model": MODEL, "max_tokens": 200, "tools": [CLOCK, WEATHER], "messages": hello}
    assert (await c.anthropic.messages.create(**ask)).stop_reason == "end_turn"
    forced = await c.anthropic.messages.create(**ask, tool_choice={"type": "tool", "name": "weather"})
    assert forced.content[0].name == "weather"
    assert isinstance(forced.content[0].input["city"], str)
    assert (await c.anthropic.messages.create(**ask, tool_choice={"type": "any"})).content[0].name == "clock"


async def test_parse_gets_an_object_of_the_type_by_default(connect, hello):
    """Structured outputs satisfy their schema without any script."""
    c = await connect()
    parsed = await c.anthropic.messages.parse(model=MODEL, max_tokens=500, messages=hello, output_format=Verdict)
    assert isinstance(parsed.parsed_output, Verdict)


async def test_count_tokens_and_usage_agree(connect):
    """What count_tokens says is what the request is billed for, tools, system and pictures included."""
    c = await connect()
    picture = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"not a png").decode()}
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": picture},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A page."}},
    ]
    prompt: dict[str, Any] = {
        "model": MODEL,
        "system": "Be brief.",
        "tools": [WEATHER],
        "messages": [{"role": "user", "content": content}],
    }
    counted = await c.anthropic.messages.count_tokens(**prompt)
    billed = await c.anthropic.messages.create(**prompt, max_tokens=100)
    assert counted.input_tokens == billed.usage.input_tokens > 1_600


async def test_thinking_is_signed_and_goes_back_unchanged(connect):
    """A thinking block that comes back as it was is accepted, with the tool results that follow it."""
    c = await connect(behaviour=[EmulatedReply("", (ToolCall("clock"),), thinking="I need the time."), "Noon."])
    ask: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 4_000,
        "tools": [CLOCK],
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
    }
    async with c.anthropic.messages.stream(**ask, messages=[{"role": "user", "content": "Time?"}]) as stream:
        turn = await stream.get_final_message()
    thought, call = turn.content
    assert thought.thinking == "I need the time."
    assert turn.usage.output_tokens_details.thinking_tokens == 4
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "12:00"}
    back = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": turn.content},
        {"role": "user", "content": [result]},
    ]
    assert (await c.anthropic.messages.create(**ask, messages=back)).content[0].text == "Noon."


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"thinking": "I need nothing."}, "cannot be modified"),
        ({"signature": "RXZlcg=="}, "Invalid `signature` in `thinking` block"),
    ],
)
async def test_altered_thinking_is_a_400(connect, hello, change, complaint):
    """Neither the text nor the signature of a thinking block may change."""
    c = await connect()
    ask: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 2_000,
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
    }
    turn = await c.anthropic.messages.create(**ask, messages=hello)
    altered = turn.content[0].model_dump() | change
    messages = [
        *hello,
        {"role": "assistant", "content": [altered, turn.content[1]]},
        {"role": "user", "content": "Go on."},
    ]
    with pytest.raises(anthropic.BadRequestError, match=complaint):
        await c.anthropic.messages.create(**ask, messages=messages)


async def test_omitted_thinking_is_billed_and_not_shown(connect, hello):
    """With display omitted the block is empty and signed, and its tokens are still output."""
    c = await connect(behaviour=[EmulatedReply("Yes.", thinking="A long thought indeed.")])
    turn = await c.anthropic.messages.create(
        model="claude-opus-4-8",
        max_tokens=2_000,
        messages=hello,
        thinking={"type": "adaptive", "display": "omitted"},
    )
    assert turn.content[0].thinking == ""
    assert turn.content[0].signature
    assert turn.usage.output_tokens_details.thinking_tokens > 0


async def test_max_tokens_cuts_the_answer(connect, hello):
    """No answer has more output tokens than were allowed."""
    c = await connect(behaviour="x" * 400)
    message = await c.anthropic.messages.create(model=MODEL, max_tokens=10, messages=hello)
    assert (message.stop_reason, message.usage.output_tokens, len(message.content[0].text)) == (
        "max_tokens",
        10,
        40,
    )


async def test_a_stop_sequence_ends_the_answer_and_is_named(connect, hello):
    """The text ends before the stop sequence."""
    c = await connect(behaviour="one, two; three")
    message = await c.anthropic.messages.create(
        model=MODEL, max_tokens=50, messages=hello, stop_sequences=["; ", "three"]
    )
    assert (message.content[0].text, message.stop_reason, message.stop_sequence) == (
        "one, two",
        "stop_sequence",
        "; ",
    )


async def test_a_refusal_is_a_stop_reason(connect, hello):
    """A refusal is an answer with status 200."""
    c = await connect(behaviour=[EmulatedReply(refusal="I cannot help with that.")])
    message = await c.anthropic.messages.create(model=MODEL, max_tokens=50, messages=hello)
    assert (message.stop_reason, message.stop_details.type) == ("refusal", "refusal")


async def test_a_reply_may_claim_any_usage(connect, hello):
    """Usage overrides replace the counts bucket by bucket, in the answer and in the books."""
    claimed = ReplyUsage(input_tokens=7, cache_read_tokens=1_000, output_tokens=3)
    c = await connect(behaviour=[EmulatedReply("Hi", usage=claimed)])
    usage = (await c.anthropic.messages.create(model=MODEL, max_tokens=50, messages=hello)).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (7, 1_000, 3)
    assert c.emulator.billed()[MODEL].prompt_tokens == 1_007


async def test_max_tokens_zero_only_warms_the_cache(connect):
    """A request for no output is answered without content and writes its prefix."""
    c = await connect()
    prompt: dict[str, Any] = {
        "model": "claude-sonnet-4-6",
        "messages": [{"role": "user", "content": "word " * 2_000}],
        "cache_control": {"type": "ephemeral"},
    }
    warmed = await c.anthropic.messages.create(**prompt, max_tokens=0)
    assert (warmed.content, warmed.usage.output_tokens) == ([], 0)
    assert (await c.anthropic.messages.create(**prompt, max_tokens=9)).usage.cache_read_input_tokens > 2_000


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"model": None}, "model: Field required"),
        ({"max_tokens": 64_001}, "64001 > 64000, which is the maximum allowed number of output tokens"),
        ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported on this model"),
        (
            {"model": "claude-opus-4-8", "thinking": {"type": "enabled", "budget_tokens": 1_024}},
            '"thinking.type.enabled" is not supported for this model',
        ),
        ({"output_config": {"effort": "low"}}, "does not support the effort parameter"),
        ({"messages": []}, "at least one message is required"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": ""}]}, "text content blocks must be non-empty"),
        ({"tools": [CLOCK, CLOCK]}, "Tool names must be unique"),
        ({"tool_choice": {"type": "any"}}, "may only be specified while providing tools"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 5_000}},
            "must be greater than `thinking.budget_tokens`",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "t1", "name": "clock", "input": {}}],
                    },
                    {"role": "user", "content": "And?"},
                ]
            },
            "`tool_use` ids were found without `tool_result` blocks immediately after: t1",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "t9", "content": "x"}],
                    }
                ]
            },
            "unexpected `tool_use_id` found in `tool_result` blocks: t9",
        ),
        (
            {"messages": [{"role": "user", "content": "x" * 804_000}]},
            "prompt is too long: 201003 tokens > 200000 maximum",
        ),
    ],
)
async def test_a_malformed_request_is_a_400_that_says_why(connect, hello, change, complaint):
    """The real API's refusals, with its words."""
    c = await connect()
    body = {"model": MODEL, "max_tokens": 100, "messages": hello, **change}
    with pytest.raises(anthropic.BadRequestError) as caught:
        await c.anthropic.post(
            "/v1/messages",
            body={k: v for k, v in body.items() if v is not None},
            cast_to=anthropic.types.Message,
        )
    assert complaint in caught.value.message
    assert caught.value.type == "invalid_request_error"


async def test_an_unknown_model_is_a_404_if_a_list_was_given(connect, hello):
    """Without a list every model exists."""
    c = await connect(models=[MODEL])
    await c.anthropic.messages.create(model=MODEL, max_tokens=9, messages=hello)
    with pytest.raises(anthropic.NotFoundError, match="model: claude-sonet-4-5"):
        await c.anthropic.messages.create(model="claude-sonet-4-5", max_tokens=9, messages=hello)
    assert [model.id async for model in c.anthropic.models.list()] == [MODEL]


async def test_the_sdks_tool_runner_runs_to_the_end(connect):
    """The beta helper calls the tool and sends its result back, until there is an answer."""
    c = await connect(
        behaviour=lambda r: f"It is {r.tool_results[0]}." if r.tool_results else EmulatedReply(tool_calls=(CALL,))
    )

    @anthropic.beta_async_tool
    async def weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    runner = c.anthropic.beta.messages.tool_runner(
        model=MODEL, max_tokens=100, tools=[weather], messages=[{"role": "user", "content": "Lima?"}]
    )
    assert (await runner.until_done()).content[0].text == "It is sunny in Lima."


async def test_a_thread_holds_the_conversation(connect):
    """A turn sends only what is new and is billed for everything; a lost thread is a 404 with its code."""
    seen: list[list[str]] = []
    c = await connect(behaviour=lambda request: seen.append([m.text for m in request.messages]) or "Yes.")
    ask: dict[str, Any] = {"model": MODEL, "max_tokens": 50}
    turn = [{"role": "user", "content": "One?"}]
    first = await c.anthropic.beta.messages.create(**ask, messages=turn, thread={"type": "create"})
    onward = {"type": "continue", "previous_message_id": first.id}
    turn = [{"role": "user", "content": "Two?"}]
    second = await c.anthropic.beta.messages.create(**ask, messages=turn, thread=onward)
    assert seen[1] == ["One?", "Yes.", "Two?"]
    assert second.usage.input_tokens > first.usage.input_tokens
    c.emulator.reset()
    with pytest.raises(anthropic.NotFoundError) as caught:
        await c.anthropic.beta.messages.create(**ask, messages=turn, thread=onward)
    assert caught.value.error_code == "thread_not_found"


async def test_a_key_is_required_and_checked_if_keys_were_given(connect, hello):
    """401 with the provider's own body, for no key and for a wrong one."""
    c = await connect(api_keys=["right"])
    await c.anthropic.messages.create(model=MODEL, max_tokens=9, messages=hello)
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        await c.anthropic.with_options(api_key="wrong").messages.create(model=MODEL, max_tokens=9, messages=hello)
    async with c.http.post(f"{c.emulator.url}/v1/messages", json={}) as response:
        assert response.status == 401
        assert (await response.json())["error"] == {
            "type": "authentication_error",
            "message": "x-api-key header is required",
        }
