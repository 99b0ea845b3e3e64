"""The Chat Completions protocol, as the official SDK sees it."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from outlay.emulator import EmulatedReply, EmulatedRequest, ToolCall

MODEL = "gpt-5.4-mini"
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Verdict(BaseModel):
    label: Literal["good", "bad"]
    reasons: list[str]


async def test_create_returns_the_behaviours_text(connect, hello):
    """One choice with the text, and usage whose prompt tokens include everything."""
    c = await connect(behaviour="Four and twenty blackbirds")
    completion = await c.openai.chat.completions.create(model=MODEL, messages=hello)
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Four and twenty blackbirds", "stop")
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (5, 7)


async def test_a_stream_ends_with_its_usage_if_that_was_asked_for(connect, hello):
    """Role first, then pieces, then the finish reason, then a chunk without choices and with usage."""
    c = await connect(behaviour="One two three four five.")
    ask: dict[str, Any] = {"model": MODEL, "messages": hello, "stream": True}
    chunks = [c async for c in await c.openai.chat.completions.create(**ask, stream_options={"include_usage": True})]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "One two three four five."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 6)
    without = [chunk async for chunk in await c.openai.chat.completions.create(**ask)]
    assert all(chunk.choices and chunk.usage is None for chunk in without)


@pytest.mark.parametrize("streaming", [False, True])
async def test_tool_calls_come_in_parallel_and_their_results_go_back(connect, streaming):
    """Two calls in one message; their results are seen by the behaviour in the next."""

    def behave(request: EmulatedRequest) -> EmulatedReply | str:
        if request.tool_results:
            return f"It is {request.tool_results[0]} at {request.tool_results[1]}."
        return EmulatedReply("", (ToolCall("weather", {"city": "Lima"}), ToolCall("clock")))

    c = await connect(behaviour=behave)
    messages: list[Any] = [{"role": "user", "content": "Weather and time in Lima?"}]
    ask: dict[str, Any] = {"model": MODEL, "tools": [WEATHER, CLOCK]}
    if streaming:
        async with c.openai.chat.completions.stream(**ask, messages=messages) as stream:
            completion = await stream.get_final_completion()
    else:
        completion = await c.openai.chat.completions.create(**ask, messages=messages)
    message = completion.choices[0].message
    assert completion.choices[0].finish_reason == "tool_calls"
    assert [(t.function.name, t.function.arguments) for t in message.tool_calls] == [
        ("weather", '{"city":"Lima"}'),
        ("clock", "{}"),
    ]
    calls = [call.model_dump(include={"id", "type", "function"}) for call in message.tool_calls]
    messages.append({"role": "assistant", "content": None, "tool_calls": calls})
    messages += [
        {"role": "tool", "tool_call_id": call["id"], "content": content}
        for call, content in zip(calls, ("sunny", "noon"), strict=True)
    ]
    final = await c.openai.chat.completions.create(**ask, messages=messages)
    assert final.choices[0].message.content == "It is sunny at noon."


async def test_parse_gets_an_object_of_the_type_by_default(connect, hello):
    """Structured outputs satisfy their schema without any script."""
    c = await connect()
    parsed = await c.openai.chat.completions.parse(model=MODEL, messages=hello, response_format=Verdict)
    assert isinstance(parsed.choices[0].message.parsed, Verdict)


async def test_a_refusal_has_a_field_of_its_own(connect, hello):
    """Content is null, finish reason is stop; streamed, it comes in refusal deltas."""
    c = await connect(behaviour=lambda _: EmulatedReply(refusal="I cannot help with that."))
    ask: dict[str, Any] = {"model": MODEL, "messages": hello}
    choice = (await c.openai.chat.completions.create(**ask)).choices[0]
    assert (choice.message.content, choice.message.refusal) == (None, "I cannot help with that.")
    async with c.openai.chat.completions.stream(**ask) as stream:
        assert (await stream.get_final_completion()).choices[0].message.refusal == "I cannot help with that."


async def test_max_completion_tokens_cuts_the_answer(connect, hello):
    """Finish reason length; a stop sequence ends it as well, with finish reason stop."""
    c = await connect(behaviour="one, two; " + "x" * 400)
    ask: dict[str, Any] = {"model": MODEL, "messages": hello}
    cut = await c.openai.chat.completions.create(**ask, max_completion_tokens=10)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 10)
    stopped = await c.openai.chat.completions.create(**ask, stop=";")
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("one, two", "stop")


async def test_a_tool_call_that_is_cut_keeps_the_beginning_of_its_arguments(connect, hello):
    """Which is not JSON: a client must look at the finish reason first."""
    c = await connect(behaviour=[EmulatedReply(tool_calls=(ToolCall("weather", {"city": "L" * 100}),))])
    completion = await c.openai.chat.completions.create(
        model=MODEL, messages=hello, tools=[WEATHER], max_completion_tokens=10
    )
    choice = completion.choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.tool_calls[0].function.arguments == '{"city":"' + "L" * 23


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"messages": []}, "empty array"),
        ({"max_tokens": 50}, "Use 'max_completion_tokens' instead"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "Invalid value: 'robot'"),
        (
            {"messages": [{"role": "tool", "tool_call_id": "c1", "content": "x"}]},
            "must be a response to a preceeding message with 'tool_calls'",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}],
                    },
                    {"role": "user", "content": "And?"},
                ]
            },
            "The following tool_call_ids did not have response messages: c1",
        ),
    ],
)
async def test_a_malformed_request_is_a_400_that_says_why(connect, hello, change, complaint):
    """The real API's refusals, with its words."""
    c = await connect()
    with pytest.raises(openai.BadRequestError) as caught:
        await c.openai.chat.completions.create(**{"model": MODEL, "messages": hello, **change})
    assert complaint in caught.value.message
