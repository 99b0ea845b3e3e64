"""What the emulated model says: default, text, script, function."""

from __future__ import annotations

import json

import anthropic
import openai
import pytest
from jsonschema import Draft202012Validator

from outlay.emulator import EmulatedRequest, Emulator

MODEL = "claude-haiku-4-5"


async def ask(c, text: str = "Hello?", **more) -> str:
    message = await c.anthropic.messages.create(
        model=MODEL, max_tokens=500, messages=[{"role": "user", "content": text}], **more
    )
    return message.content[0].text


async def test_the_default_says_the_same_to_the_same(connect):
    """Its words follow from the seed and the request, not from the order of requests."""
    one, same, other = await connect(seed=1), await connect(seed=1), await connect(seed=2)
    await ask(same, "Something else first.")
    assert await ask(one) == await ask(one) == await ask(same) != await ask(other)
    assert await ask(one) != await ask(one, "Goodbye.")


async def test_a_text_is_said_every_time(connect):
    """Whatever is asked."""
    c = await connect(behaviour="Always.")
    assert [await ask(c), await ask(c, "Really?")] == ["Always.", "Always."]


async def test_a_script_is_said_in_order_and_its_end_is_an_error(connect):
    """The error names the request that found it used up; a reset begins it again."""
    c = await connect(behaviour=["One.", {"two": 2}])
    assert [await ask(c), await ask(c)] == ["One.", '{"two":2}']
    with pytest.raises(anthropic.BadRequestError, match="the script has 2 replies and this is request 3"):
        await ask(c)
    c.emulator.reset()
    assert await ask(c) == "One."


async def test_a_function_sees_the_request_in_neutral_form(connect):
    """The same for every protocol."""
    seen: list[EmulatedRequest] = []

    async def behave(request: EmulatedRequest) -> str:
        seen.append(request)
        return "Seen."

    c = await connect(behaviour=behave)
    await ask(c, system="Be brief.")
    await c.openai.responses.create(model="gpt-5.4", input="Hello?", instructions="Be brief.")
    await c.openai.chat.completions.create(
        model="gpt-5.4",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
    )
    assert [r.endpoint for r in seen] == ["/v1/messages", "/v1/responses", "/v1/chat/completions"]
    assert [(r.provider, r.index) for r in seen] == [("anthropic", 0), ("openai", 1), ("openai", 2)]
    assert {(r.system, r.text, r.tool_choice, r.tools, r.schema) for r in seen} == {
        ("Be brief.", "Hello?", "auto", (), None)
    }


async def test_an_exception_in_a_behaviour_reaches_the_test(connect):
    """As a 400, which no client retries, with the exception's words."""

    def behave(request: EmulatedRequest) -> str:
        raise KeyError(request.text)

    c = await connect(behaviour=behave)
    with pytest.raises(anthropic.BadRequestError, match="the behaviour raised KeyError: 'Hello\\?'"):
        await ask(c)


async def test_a_schema_without_any_value_is_a_400(connect):
    """The default says so, instead of searching for ever."""
    schema = {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]}
    c = await connect()
    with pytest.raises(
        anthropic.BadRequestError, match="emulator: the behaviour raised ValueError: the schema requires itself"
    ):
        await ask(c, output_config={"format": {"type": "json_schema", "schema": schema}})


async def test_structured_defaults_satisfy_their_schema(connect):
    """Also one with references, unions, bounds and formats."""
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "when": {"type": "string", "format": "date"},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "tree": {"$ref": "#/$defs/node"},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "integer", "exclusiveMinimum": 5, "multipleOf": 3}]},
        },
        "required": ["kind", "when", "score", "tree", "maybe"],
        "additionalProperties": False,
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 30},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
                },
                "required": ["name", "children"],
                "additionalProperties": False,
            }
        },
    }
    c = await connect()
    for n in range(10):
        said = await ask(c, f"Number {n}?", output_config={"format": {"type": "json_schema", "schema": schema}})
        Draft202012Validator(schema).validate(json.loads(said))


def test_the_synchronous_sdks_work_as_well():
    """As a plain context manager the emulator serves from a thread of its own."""
    with (
        Emulator(behaviour="Fine.") as emulator,
        anthropic.Anthropic(api_key="k", base_url=emulator.anthropic_url) as claude,
        openai.OpenAI(api_key="k", base_url=emulator.openai_url) as gpt,
    ):
        turn = [{"role": "user", "content": "Well?"}]
        with claude.messages.stream(model=MODEL, max_tokens=9, messages=turn) as stream:
            message = stream.get_final_message()
        response = gpt.responses.create(model="gpt-5.4", input="Well?")
        batch = claude.messages.batches.create(
            requests=[{"custom_id": "a", "params": {"model": MODEL, "max_tokens": 9, "messages": turn}}]
        )
        claude.messages.batches.retrieve(batch.id)
        results = list(claude.messages.batches.results(batch.id))
    assert message.content[0].text == response.output_text == "Fine."
    assert results[0].result.message.content[0].text == "Fine."
