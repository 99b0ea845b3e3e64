"""Context editing at the emulator: what is cleared is neither read, nor counted, nor cached; the answer says so."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from outlay.emulator.context_editing import edited

MODEL = "claude-sonnet-4-6"
BETA = ["context-management-2025-06-27"]
LONG = "a long result " * 200


def conversation(uses: int, tool: str = "look") -> list[Any]:
    said: list[Any] = [{"role": "user", "content": "Where?"}]
    for n in range(uses):
        said.append({"role": "assistant", "content": [{"type": "tool_use", "id": f"t{n}", "name": tool, "input": {}}]})
        said.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{n}", "content": f"{n}: {LONG}"}]}
        )
    return said


def clearing(**more: Any) -> dict[str, Any]:
    return {"edits": [{"type": "clear_tool_uses_20250919", **more}]}


def contents(body: Any) -> list[str]:
    blocks = [block for m in body["messages"] if isinstance(m["content"], list) for block in m["content"]]
    return [block["content"] for block in blocks if block["type"] == "tool_result"]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_sdk_reads_what_was_cleared(connect, stream: bool) -> None:
    """And the bill is that of what is left."""
    seen: list[list[str]] = []
    c = await connect(behaviour=lambda r: seen.append([m.text for m in r.messages if m.role == "tool"]) or "Here.")
    ask: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 50,
        "messages": conversation(5),
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "betas": BETA,
    }
    whole = await c.anthropic.beta.messages.create(**ask)
    keep = {"trigger": {"type": "tool_uses", "value": 1}, "keep": {"type": "tool_uses", "value": 2}}
    if stream:
        async with c.anthropic.beta.messages.stream(**ask, context_management=clearing(**keep)) as answer:
            short = await answer.get_final_message()
    else:
        short = await c.anthropic.beta.messages.create(**ask, context_management=clearing(**keep))
    (applied,) = short.context_management.applied_edits
    assert applied.cleared_tool_uses == 3
    assert applied.cleared_input_tokens == pytest.approx(3 * len(LONG) / 4, rel=0.01)
    assert whole.usage.input_tokens - short.usage.input_tokens == pytest.approx(3 * len(LONG) / 4, rel=0.05)
    assert [text.startswith("[Old") for text in seen[-1]] == [True, True, True, False, False]


def test_nothing_happens_below_the_trigger_or_to_excluded_tools() -> None:
    body = {"messages": conversation(5), "context_management": clearing()}
    assert edited(body).applied == []  # 100,000 tokens, by default
    one = {"type": "tool_uses", "value": 1}
    body["context_management"] = clearing(trigger=one, exclude_tools=["look"])
    assert edited(body).applied == []
    body["context_management"] = clearing(trigger={"type": "input_tokens", "value": 10})
    assert [text.startswith("[Old") for text in contents(edited(body).body)] == [True, True, False, False, False]
    assert edited({"messages": conversation(5)}).applied is None


async def test_an_edit_that_nobody_knows_is_a_400(connect) -> None:
    c = await connect()
    with pytest.raises(anthropic.BadRequestError, match=r"context_management\.edits\.0"):
        await c.anthropic.beta.messages.create(
            model=MODEL,
            max_tokens=9,
            messages=[{"role": "user", "content": "Hi"}],
            betas=BETA,
            context_management={"edits": [{"type": "clear_everything"}]},
        )
