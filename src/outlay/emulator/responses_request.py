"""Reading a Responses request; stored responses are looked up, so that a conversation can go on from one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from outlay.emulator import json
from outlay.emulator.answer import Call
from outlay.emulator.exchange import EmulatedMessage, EmulatedRequest, ToolCall
from outlay.emulator.json import Json, rows, table, text
from outlay.emulator.logprobs import asked_in_responses, check
from outlay.emulator.openai_prompt import (
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
from outlay.emulator.problems import invalid
from outlay.emulator.signatures import Signer

ENCRYPTED = "gAAAAAB"
"""How encrypted reasoning begins."""
_LEAST_OUTPUT = 16
_ROLES = {"developer": "system", "system": "system", "assistant": "assistant"}


def read_response(body: Json, earlier: list[Json], signer: Signer, *, counting: bool = False) -> Call:
    """The call of a body; `earlier` are the items of the response that it goes on from."""
    model = model_name(body)
    given = body.get("input")
    if given is None and not counting:
        raise missing("input")
    items = [*earlier, *input_items(given)]
    _check_items(items, signer)
    tools = tool_specs(body, nested=False)
    neutral = tuple(_messages(items))
    system = "\n\n".join(
        filter(None, [text(body.get("instructions")), *(m.text for m in neutral if m.role == "system")])
    )
    form = table(table(body.get("text")).get("format"))
    conversation = " ".join([system, *(message.text for message in neutral)])
    effort = table(body.get("reasoning")).get("effort")
    check(body, model, effort, asked=asked_in_responses(body))
    request = EmulatedRequest(
        provider="openai",
        endpoint="/v1/responses",
        model=model,
        messages=tuple(message for message in neutral if message.role != "system"),
        system=system,
        tools=tools,
        tool_choice=tool_choice(body, tools, nested=False),
        schema=answer_schema(form, "text.format", conversation),
        thinking=isinstance(effort, str) and effort not in ("none", "minimal"),
        max_tokens=output_limit(body, "max_output_tokens", _LEAST_OUTPUT),
        body=body,
    )
    prompt = prompt_of(body, [*_head(body, form), *_parts(items)])
    check_window(model, prompt)
    return Call(request, prompt, stream=body.get("stream") is True, cache_ttl=cache_ttl(body))


def input_items(given: Any) -> list[Json]:
    """The items of `input`; a plain string is one user message."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [table(item) for item in rows(given)]


def _kind(item: Json) -> str:
    return text(item.get("type")) or ("message" if "role" in item else "")


def _check_items(items: list[Json], signer: Signer) -> None:
    calls = {text(item.get("call_id")) for item in items if _kind(item) == "function_call"}
    outputs = {text(item.get("call_id")) for item in items if _kind(item) == "function_call_output"}
    for call_id in sorted(outputs - calls):
        raise invalid(f"No tool call found for function call output with call_id {call_id}.", param="input")
    for call_id in sorted(calls - outputs):
        raise invalid(f"No tool output found for function call {call_id}.", param="input")
    for item in items:
        encrypted = item.get("encrypted_content")
        if (
            _kind(item) == "reasoning"
            and isinstance(encrypted, str)
            and not (encrypted.startswith(ENCRYPTED) and signer.genuine(encrypted.removeprefix(ENCRYPTED)))
        ):
            raise invalid(
                f"The encrypted content {encrypted[:4]}...{encrypted[-4:]} could not be verified. Reason: Encrypted "
                f"content could not be decrypted or parsed.",
                code="invalid_encrypted_content",
            )


def _messages(items: list[Json]) -> Iterator[EmulatedMessage]:
    for item in items:
        kind = _kind(item)
        if kind == "message":
            role = _ROLES.get(text(item.get("role")), "user")
            yield EmulatedMessage(role, said_in(item.get("content")))  # type: ignore[arg-type]
        elif kind == "function_call":
            call = ToolCall(text(item.get("name")), text(item.get("arguments")), text(item.get("call_id")))
            yield EmulatedMessage("assistant", "", (call,))
        elif kind == "function_call_output":
            yield EmulatedMessage("tool", _output(item), tool_call_id=text(item.get("call_id")))


def _output(item: Json) -> str:
    output = item.get("output")
    return said_in(output) if isinstance(output, str | list) else json.encode_text(output)


def _head(body: Json, form: Json) -> Iterator[Part]:
    yield from encoded_tools(body)
    if form:
        yield Part("format", json.encode_text(form))
    if instructions := text(body.get("instructions")):
        yield from content_parts("system", instructions)


def _parts(items: list[Json]) -> Iterator[Part]:
    for item in items:
        kind = _kind(item)
        if kind == "message":
            yield from content_parts(text(item.get("role")), item.get("content"))
        elif kind == "function_call":
            yield Part("assistant", text(item.get("name")) + text(item.get("arguments")))
        elif kind == "function_call_output":
            yield from content_parts("tool", item.get("output"))
        elif kind == "reasoning":
            yield Part("assistant", text(item.get("encrypted_content"))[:64])
        else:
            yield Part("other", json.encode_text(item))
