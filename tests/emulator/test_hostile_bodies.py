"""Whatever a client sends is either read or refused; nothing makes a wire stumble."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.emulator.anthropic_wire import MessagesWire
from outlay.emulator.chat_wire import ChatWire
from outlay.emulator.ids import Ids
from outlay.emulator.problems import Problem
from outlay.emulator.responses_wire import ResponsesWire
from outlay.emulator.signatures import Signer
from outlay.emulator.wire import Wire

WIRES: dict[str, Wire] = {
    "messages": MessagesWire(Signer(0)),
    "responses": ResponsesWire(Signer(0), Ids(0), lambda: 0.0),
    "chat": ChatWire(lambda: 0.0),
}
GOOD: dict[str, dict[str, Any]] = {
    "messages": {
        "model": "claude-haiku-4-5",
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [{"name": "clock", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "clock"},
        "messages": [
            {"role": "user", "content": "Time?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "clock", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text"}]}]},
        ],
        "output_config": {"format": {"type": "json_schema", "schema": {}}},
        "stop_sequences": ["x"],
    },
    "responses": {
        "model": "gpt-5.4",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Time?"}]},
            {"type": "function_call", "call_id": "c", "name": "clock", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "noon"},
        ],
        "tools": [{"type": "function", "name": "clock", "parameters": {}, "strict": False}],
        "tool_choice": {"type": "function", "name": "clock"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": False}},
        "reasoning": {"effort": "low"},
    },
    "chat": {
        "model": "gpt-5.4",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Time?"}]},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "clock", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "noon"},
        ],
        "tools": [{"type": "function", "function": {"name": "clock", "parameters": {}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "stop": ["x"],
    },
}
junk = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.floats(0, 1), st.sampled_from(["", "x", "tool", "auto"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["type", "role", "x"]), inner)
    ),
    max_leaves=4,
)


def damaged(value: Any, random: Random, replacement: Any) -> Any:
    """The value with one part of it, anywhere, replaced."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        return value | {key: damaged(value[key], random, replacement)}
    if isinstance(value, list) and value and random.random() < 0.85:
        index = random.randrange(len(value))
        return [*value[:index], damaged(value[index], random, replacement), *value[index + 1 :]]
    return replacement


@pytest.mark.parametrize("name", WIRES)
def test_the_undamaged_body_is_read(name: str) -> None:
    """So that the next test begins from something that works."""
    assert WIRES[name].read(GOOD[name]).prompt.tokens > 0


@pytest.mark.parametrize("name", WIRES)
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9), replacement=junk)
def test_a_damaged_body_is_read_or_refused(name: str, seed: int, replacement: Any) -> None:
    """One part replaced by something else, anywhere in the body."""
    body = damaged(GOOD[name], Random(seed), replacement)
    with suppress(Problem):
        WIRES[name].read(body if isinstance(body, dict) else {})
