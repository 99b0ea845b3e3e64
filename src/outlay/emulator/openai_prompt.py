"""What both OpenAI protocols share when a request is read: content parts, tools, limits, the cached prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from outlay.emulator import json
from outlay.emulator.cache import HALF_AN_HOUR, Prompt, Segment
from outlay.emulator.exchange import ToolSpec
from outlay.emulator.json import Json, rows, table, text, whole
from outlay.emulator.models import facts
from outlay.emulator.problems import Problem, invalid
from outlay.emulator.strict_schema import check_strict
from outlay.emulator.tokens import DOCUMENT_TOKENS, IMAGE_TOKENS, stand_in

_IN_MEMORY = 600.0
_A_DAY = 86_400.0
_ROLE_TOKENS = "    " * 3
_WRITTEN_MARKS = 4
REASONING_MODEL = re.compile(r"o\d|gpt-[5-9]")


@dataclass(frozen=True, slots=True)
class Part:
    """One block of the prompt: its role, its text, whether the client marked it for the cache."""

    role: str
    text: str
    marked: bool = False


def missing(name: str) -> Problem:
    """The 400 for a parameter that is not there."""
    return invalid(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def model_name(body: Json) -> str:
    """The model of a request."""
    if not (name := text(body.get("model"))):
        raise invalid("you must provide a model parameter")
    return name


def content_parts(role: str, content: Any) -> Iterator[Part]:
    """The blocks of one message's content, whichever protocol's names they have."""
    lead = _ROLE_TOKENS
    for part in [{"text": content}] if isinstance(content, str) else map(table, rows(content)):
        yield Part(role, lead + part_text(part), part.get("prompt_cache_breakpoint") is not None)
        lead = ""


def part_text(part: Json) -> str:
    """The text that stands for a content part in caches and counts."""
    kind = text(part.get("type"))
    if "image" in kind:
        return stand_in({"image": part.get("image_url"), "file": part.get("file_id")}, IMAGE_TOKENS)
    if "file" in kind or "audio" in kind:
        return stand_in(part, DOCUMENT_TOKENS)
    return said(part)


def said(part: Json) -> str:
    """What a content part says."""
    return text(part.get("text")) + text(part.get("refusal"))


def said_in(content: Any) -> str:
    """What a message's content says, pictures left out."""
    return content if isinstance(content, str) else "\n".join(filter(None, map(said, map(table, rows(content)))))


def prompt_of(body: Json, parts: list[Part]) -> Prompt:
    """The prompt, with the breakpoints that newer models cache at.

    They put one at the latest user or tool message by themselves, unless `prompt_cache_options.mode` is
    `explicit`; the latest marked blocks count as well. Older models cache in steps and ignore all this.
    """
    marks = [index for index, part in enumerate(parts) if part.marked]
    written = set(marks[-(_WRITTEN_MARKS - 1) :])
    if table(body.get("prompt_cache_options")).get("mode") != "explicit":
        latest = (index for index in range(len(parts) - 1, -1, -1) if parts[index].role in ("user", "tool"))
        written |= {next(latest, len(parts) - 1)} if parts else set()
    return Prompt(
        tuple(
            Segment(part.text, HALF_AN_HOUR if index in written else 0.0, hidden=part.role)
            for index, part in enumerate(parts)
        ),
        lookback=0,
    )


def cache_ttl(body: Json) -> float:
    """How long automatic caching keeps a prefix, in seconds."""
    return _A_DAY if body.get("prompt_cache_retention") == "24h" else _IN_MEMORY


def tool_specs(body: Json, *, nested: bool) -> tuple[ToolSpec, ...]:
    """The tools; `nested` as Chat Completions writes them, else as Responses does."""
    specs: list[ToolSpec] = []
    for index, tool in enumerate(map(table, rows(body.get("tools")))):
        if tool.get("type") != "function":
            specs.append(ToolSpec(text(tool.get("name")) or text(tool.get("type")), "", {}))
            continue
        at = f"tools[{index}].function" if nested else f"tools[{index}]"
        function = table(tool.get("function")) if nested else tool
        if not (name := text(function.get("name"))):
            raise missing(f"{at}.name")
        schema = table(function.get("parameters"))
        if function.get("strict") is True:
            check_strict(schema, name, f"{at}.parameters")
        specs.append(ToolSpec(name, text(function.get("description")), schema))
    return tuple(specs)


def tool_choice(body: Json, tools: tuple[ToolSpec, ...], *, nested: bool) -> str:
    """`auto`, `none`, `required`, or the name of the tool that is forced."""
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        forced = table(table(choice).get("function")) if nested else table(choice)
        if (name := text(forced.get("name"))) and all(tool.name != name for tool in tools):
            raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
        return name or "required"
    if choice not in (None, "auto", "none") and not tools:
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    return text(choice) or "auto"


def answer_schema(form: Json, param: str, conversation: str) -> Json | None:
    """The schema that the answer must satisfy, from `text.format` or `response_format.json_schema`."""
    if form.get("type") == "json_object":
        if "json" not in conversation.lower():
            raise invalid(
                f"'messages' must contain the word 'json' in some form, to use '{param}' of type 'json_object'.",
                param=param,
            )
        return {"type": "object"}
    if form.get("type") != "json_schema":
        return None
    if not (name := text(form.get("name"))):
        raise missing(f"{param}.name")
    if not isinstance(form.get("schema"), dict):
        raise missing(f"{param}.schema")
    if form.get("strict") is True:
        check_strict(table(form["schema"]), name, param)
    return table(form["schema"])


def check_window(model: str, prompt: Prompt) -> None:
    """Refuse a prompt that is longer than the model's context window."""
    if prompt.tokens > (window := facts(model).context_window):
        raise invalid(
            f"Your input exceeds the context window of this model. Please adjust your input and try again. "
            f"({prompt.tokens} tokens > {window})",
            code="context_length_exceeded",
        )


def output_limit(body: Json, name: str, least: int) -> int | None:
    """The cap on output tokens under this name."""
    limit = whole(body.get(name))
    if limit is not None and limit < least:
        raise invalid(
            f"Invalid '{name}': integer below minimum value. Expected a value >= {least}, but got {limit} instead.",
            param=name,
            code="integer_below_min_value",
        )
    return limit


def encoded_tools(body: Json) -> Iterator[Part]:
    """The tools as blocks of the prompt, which begin it."""
    for tool in rows(body.get("tools")):
        yield Part("tools", json.encode_text(tool))
