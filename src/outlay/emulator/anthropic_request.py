"""Reading a Messages request: what the real API refuses is refused, the rest becomes a `Call`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from outlay.emulator import json
from outlay.emulator.answer import Call
from outlay.emulator.cache import FIVE_MINUTES, ONE_HOUR, Prompt, Segment
from outlay.emulator.context_editing import edited
from outlay.emulator.exchange import EmulatedMessage, EmulatedRequest, Role, ToolCall, ToolSpec
from outlay.emulator.json import Json, rows, table, text, whole
from outlay.emulator.models import effort_complaint, facts, thinking_complaint
from outlay.emulator.problems import invalid
from outlay.emulator.signatures import Signer
from outlay.emulator.tokens import DOCUMENT_TOKENS, IMAGE_TOKENS, stand_in

MAX_BREAKPOINTS = 4
_ROLE_TOKENS = "    " * 3
"""What a message costs beside its content: three tokens."""


def read_messages(body: Json, endpoint: str, signer: Signer, *, counting: bool = False) -> Call:
    """The call of a body of `/v1/messages`, or of `count_tokens` (which needs no `max_tokens`)."""
    model = _required_text(body, "model")
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise invalid("messages: Field required" if messages is None else "messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    max_tokens = whole(body.get("max_tokens"))
    if not counting and max_tokens is None:
        raise invalid("max_tokens: Field required")
    if max_tokens is not None and max_tokens < 0:
        raise invalid("max_tokens: must be greater than or equal to 0")
    if max_tokens is not None and max_tokens > (most := facts(model).max_output):
        raise invalid(
            f"max_tokens: {max_tokens} > {most}, which is the maximum allowed number of output tokens for {model}"
        )
    effort = table(body.get("output_config")).get("effort")
    if effort is not None and (complaint := effort_complaint(model, str(effort))):
        raise invalid(complaint)
    tools = tuple(_tools(body))
    choice = _tool_choice(body, tools)
    thinking = _thinking(body, model, choice, max_tokens)
    read = edited(body).body
    neutral = tuple(_messages(rows(read.get("messages")), signer))
    form = table(table(body.get("output_config")).get("format")) or table(body.get("output_format"))
    if form and (form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict)):
        raise invalid("output_config.format: Input should be a json_schema with a schema")
    request = EmulatedRequest(
        provider="anthropic",
        endpoint=endpoint,
        model=model,
        messages=neutral,
        system="\n\n".join(text(block.get("text")) for block in _blocks(body.get("system"))),
        tools=tools,
        tool_choice=choice,
        schema=table(form.get("schema")) if form else None,
        thinking=thinking,
        max_tokens=max_tokens,
        body=body,
    )
    stop = tuple(text(item) for item in rows(body.get("stop_sequences")))
    return Call(request, _prompt(read), stream=body.get("stream") is True, stop=stop)


def _required_text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"{name}: " + ("Field required" if value is None else "Input should be a valid string"))
    return value


def _tools(body: Json) -> Iterator[ToolSpec]:
    seen: set[str] = set()
    for index, tool in enumerate(map(table, rows(body.get("tools")))):
        name = text(tool.get("name"))
        if not name and "type" not in tool:
            raise invalid(f"tools.{index}.custom.name: Field required")
        if tool.get("type") in (None, "custom") and not isinstance(tool.get("input_schema"), dict):
            raise invalid(f"tools.{index}.custom.input_schema: Field required")
        if name and name in seen:
            raise invalid("tools: Tool names must be unique.")
        seen.add(name)
        yield ToolSpec(name, text(tool.get("description")), table(tool.get("input_schema")))


def _tool_choice(body: Json, tools: tuple[ToolSpec, ...]) -> str:
    choice = table(body.get("tool_choice"))
    kind = choice.get("type", "auto")
    if choice and not tools and kind != "none":
        raise invalid("tool_choice: tool_choice may only be specified while providing tools.")
    if kind == "tool":
        name = text(choice.get("name"))
        if all(tool.name != name for tool in tools):
            raise invalid(f"tool_choice.tool.name: Tool '{name}' not found in provided tools")
        return name
    if kind not in ("auto", "any", "none"):
        raise invalid(f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    return "required" if kind == "any" else str(kind)


def _thinking(body: Json, model: str, choice: str, max_tokens: int | None) -> bool:
    config = table(body.get("thinking"))
    if config.get("type") not in ("enabled", "adaptive"):
        return False
    if complaint := thinking_complaint(model, config["type"]):
        raise invalid(complaint)
    if config["type"] == "enabled":
        budget = whole(config.get("budget_tokens"))
        if budget is None:
            raise invalid("thinking.enabled.budget_tokens: Field required")
        if budget < 1_024:
            raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if max_tokens is not None and max_tokens <= budget:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if choice not in ("auto", "none"):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    return True


def _blocks(content: Any) -> list[Json]:
    """Content blocks; a plain string is one text block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [table(block) for block in rows(content)]


def _messages(messages: list[Any], signer: Signer) -> Iterator[EmulatedMessage]:
    waiting: list[str] = []
    for index, message in enumerate(map(table, messages)):
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            raise invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'")
        blocks = _blocks(message.get("content"))
        if not blocks and (role != "assistant" or index < len(messages) - 1):
            raise invalid(
                f"messages.{index}: all messages must have non-empty content except for the optional final "
                f"assistant message"
            )
        waiting = _check_results(index, blocks, waiting)
        if role == "assistant":
            _check_thinking(index, blocks, signer)
        yield from _neutral(index, role, blocks)
        if role == "assistant":
            waiting = [text(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
    if waiting:
        raise _unanswered(len(messages) - 1, waiting)


def _check_results(index: int, blocks: list[Json], waiting: list[str]) -> list[str]:
    """Every tool use is answered in the next message, and nothing else is."""
    given = [text(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
    for position, tool_use_id in enumerate(given):
        if tool_use_id not in waiting:
            raise invalid(
                f"messages.{index}.content.{position}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous "
                f"message."
            )
    if missing := [tool_use_id for tool_use_id in waiting if tool_use_id not in given]:
        raise _unanswered(index - 1, missing)
    return []


def _unanswered(index: int, missing: list[str]) -> Exception:
    return invalid(
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        f"message."
    )


def _check_thinking(index: int, blocks: list[Json], signer: Signer) -> None:
    for position, block in enumerate(blocks):
        if block.get("type") != "thinking":
            continue
        where = f"messages.{index}.content.{position}"
        if "signature" not in block:
            raise invalid(f"{where}.thinking.signature: Field required")
        if not signer.genuine(text(block["signature"])):
            raise invalid(f"{where}: Invalid `signature` in `thinking` block")
        if not signer.matches(text(block["signature"]), text(block.get("thinking"))):
            raise invalid(
                f"{where}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be "
                f"modified. These blocks must remain as they were in the original response."
            )


def _neutral(index: int, role: Role, blocks: list[Json]) -> Iterator[EmulatedMessage]:
    """The message in neutral form: tool results first, one message each, then what was said."""
    said: list[str] = []
    calls: list[ToolCall] = []
    for position, block in enumerate(blocks):
        kind = block.get("type")
        if kind == "text":
            if not block.get("text"):
                raise invalid(f"messages.{index}: text content blocks must be non-empty")
            said.append(text(block["text"]))
        elif kind == "tool_use":
            calls.append(ToolCall(text(block.get("name")), table(block.get("input")), text(block.get("id"))))
        elif kind == "tool_result":
            inner = " ".join(text(part.get("text")) for part in _blocks(block.get("content")))
            yield EmulatedMessage("tool", inner, tool_call_id=text(block.get("tool_use_id")))
        elif not isinstance(kind, str):
            raise invalid(f"messages.{index}.content.{position}.type: Field required")
    if said or calls or all(block.get("type") != "tool_result" for block in blocks):
        yield EmulatedMessage(role, "\n".join(said), tuple(calls))


def _prompt(body: Json) -> Prompt:
    """The prompt in the order of the cache: tools, system, messages; with its breakpoints."""
    # Parameters that are not text of the prompt but change what the cache sees: the schema everything after the
    # tools, tool choice and thinking the messages.
    schema = json.encode_text([table(body.get("output_config")).get("format"), body.get("speed")])
    unseen = json.encode_text([body.get("tool_choice"), body.get("thinking")])
    parts: list[tuple[str, str, Any]] = []
    for tool in map(table, rows(body.get("tools"))):
        parts.append(("tool", json.encode_text(_bare(tool)), tool.get("cache_control")))
    for number, block in enumerate(_blocks(body.get("system"))):
        parts.append(("system" + schema * (number == 0), _block_text(block), _control(block)))
    for number, message in enumerate(map(table, rows(body.get("messages")))):
        role = text(message.get("role"))
        for position, block in enumerate(_blocks(message.get("content"))):
            hidden = role + (schema + unseen if number == 0 and position == 0 else "")
            lead = _ROLE_TOKENS if position == 0 else ""
            parts.append((hidden, lead + _block_text(block), _control(block)))
    return Prompt(tuple(_segments(parts, body.get("cache_control"))))


def _segments(parts: list[tuple[str, str, Any]], automatic: Any) -> Iterator[Segment]:
    found = sum(control is not None for _, _, control in parts)
    if automatic is not None and parts and parts[-1][2] is None:
        parts[-1] = (*parts[-1][:2], automatic)
        found += 1
    if found > MAX_BREAKPOINTS:
        raise invalid(f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {found}.")
    shortest = ONE_HOUR
    for hidden, content, control in parts:
        ttl = 0.0 if control is None else _ttl(table(control))
        if ttl > shortest:
            raise invalid(
                "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control "
                "block. Note that blocks are processed in the following order: `tools`, `system`, `messages`."
            )
        shortest = min(shortest, ttl) if ttl else shortest
        yield Segment(content, ttl, hidden)


def _ttl(control: Json) -> float:
    if control.get("type") != "ephemeral":
        raise invalid("cache_control.type: Input should be 'ephemeral'")
    ttl = control.get("ttl", "5m")
    if ttl not in ("5m", "1h"):
        raise invalid("cache_control.ttl: Input should be '5m' or '1h'")
    return ONE_HOUR if ttl == "1h" else FIVE_MINUTES


def _control(block: Json) -> Any:
    control = block.get("cache_control")
    if control is not None and block.get("type") in ("thinking", "redacted_thinking"):
        raise invalid("thinking.cache_control: Extra inputs are not permitted")
    if control is not None and block.get("type") == "text" and not block.get("text"):
        raise invalid("cache_control cannot be set for empty text blocks")
    return control


def _bare(block: Json) -> Json:
    """Without its cache mark, which is not part of the prefix."""
    return {key: value for key, value in block.items() if key != "cache_control"}


def _block_text(block: Json) -> str:
    """The text that stands for a block in caches and counts."""
    kind = block.get("type")
    if kind == "text" and len(block) <= 3 and "citations" not in block:
        return text(block.get("text"))
    source = table(block.get("source"))
    if kind == "image":
        return stand_in(source, IMAGE_TOKENS)
    if kind == "document" and source.get("type") != "text":
        return stand_in(_bare(block), DOCUMENT_TOKENS)
    if kind == "tool_result" and isinstance(block.get("content"), list):
        return json.encode_text(block.get("tool_use_id")) + "".join(map(_block_text, _blocks(block["content"])))
    if kind == "thinking":
        return text(block.get("thinking")) or " " * 4
    return json.encode_text(_bare(block))
