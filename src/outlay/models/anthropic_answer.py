"""What Anthropic's Messages API gives back: a whole answer, or its events as they arrive, as a response of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

import msgspec

from outlay.models.failures import rate_limits, request_id
from outlay.models.fields import number, string, table
from outlay.models.token_counts import some_tokens, tokens
from outlay.protocols.clock import wall_now
from outlay.values.content import Part, ProviderBlock, Text, ToolCall
from outlay.values.label import TRUSTED
from outlay.values.message import Message
from outlay.values.request import ModelResponse, StopKind
from outlay.values.usage import Usage

DIALECT: Final = "anthropic"

_encode = msgspec.json.Encoder().encode
_STOPS: Final[dict[str, StopKind]] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tool",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "pause",
}

# Only what is needed is declared, and of that as little as possible typed: new fields, new blocks and new kinds of
# values must never break the reading of an answer that was paid for.


class Count(msgspec.Struct):
    input_tokens: int


class Reply(msgspec.Struct):
    content: list[msgspec.Raw]
    stop_reason: Any = None
    usage: Any = None
    model: Any = None


class _Block(msgspec.Struct):
    type: str
    text: Any = None
    id: Any = None
    name: Any = None
    input: msgspec.Raw = msgspec.Raw(b"{}")
    thinking: Any = None


class _Delta(msgspec.Struct):
    type: Any = None
    text: Any = None
    partial_json: Any = None
    stop_reason: Any = None


class _Event(msgspec.Struct):
    type: str
    index: Any = None
    message: Any = None
    content_block: msgspec.Raw = msgspec.Raw(b"")
    delta: msgspec.Raw = msgspec.Raw(b"")
    usage: Any = None
    error: Any = None


_block_of: Final = msgspec.json.Decoder(_Block).decode
_event_of: Final = msgspec.json.Decoder(_Event).decode
_delta_of: Final = msgspec.json.Decoder(_Delta).decode


def answered(body: bytes) -> tuple[Reply, tuple[Part, ...]]:
    found = msgspec.json.decode(body, type=Reply)
    return found, tuple(_part(raw) for raw in found.content)


def _part(raw: msgspec.Raw) -> Part:
    block = _block_of(raw)
    if block.type == "text":
        return Text(string(block.text))
    if block.type == "tool_use":
        return ToolCall(string(block.id), string(block.name), bytes(block.input).decode())
    return ProviderBlock(DIALECT, block.type, bytes(raw).decode(), string(block.thinking))


class Draft:
    """An answer that is still arriving."""

    def __init__(self, on_text: Callable[[str], None] | None, elapsed: Callable[[], float]) -> None:
        self._on_text = on_text
        self._elapsed = elapsed
        self._blocks: dict[int, _Growing] = {}
        self.started = False
        self.done = False
        self.model = ""
        self.usage: dict[str, Any] | None = None
        self.stop: Any = None
        self.first_token: float | None = None

    def take(self, data: str) -> dict[str, Any] | None:
        """Take one event in. Gives the error that the provider reports, if this is one. Unknown events say nothing."""
        found = _event_of(data)
        match found.type:
            case "content_block_delta":
                self._delta(found.index, found.delta)
            case "content_block_start":
                self._blocks[number(found.index)] = _Growing(found.content_block)
            case "message_start":
                self.started = True
                message = table(found.message)
                self.model = string(message.get("model"))
                self._report(message.get("usage"))
                if self.usage is not None:
                    self.usage.pop("output_tokens", None)  # of the first token; the count comes with the end
            case "message_delta":
                self._report(found.usage)
                self.stop = _delta_of(found.delta).stop_reason or self.stop
            case "message_stop":
                self.done = self.started
            case "error":
                return _dict(found.error) or {"message": found.error}
            case _:
                pass
        return None

    def parts(self) -> tuple[Part, ...]:
        return tuple(self._blocks[index].part() for index in sorted(self._blocks))

    def say(self, text: str) -> None:
        """Hand over a piece of text."""
        if self._on_text is not None and text:
            self._on_text(text)

    def _delta(self, index: object, raw: msgspec.Raw) -> None:
        block = self._blocks.get(number(index))
        if block is None:
            raise msgspec.DecodeError(f"a delta for block {index}, which was never started")
        if self.first_token is None:
            self.first_token = self._elapsed()
        delta = _delta_of(raw)
        match delta.type:
            case "text_delta":
                block.pieces.append(string(delta.text))
                if block.kind == "text":
                    self.say(block.pieces[-1])
            case "input_json_delta":
                block.pieces.append(string(delta.partial_json))
            case _:
                block.grow(msgspec.json.decode(raw, type=dict[str, Any]))

    def _report(self, usage: object) -> None:
        """Counts are cumulative, and a later report may leave some out."""
        if isinstance(usage, dict):
            given = {name: value for name, value in cast("dict[str, Any]", usage).items() if value is not None}
            self.usage = {**(self.usage or {}), **given}


class _Growing:
    """A block of an answer, put together from its start and its deltas."""

    def __init__(self, start: msgspec.Raw) -> None:
        self._start = start
        self.kind = _block_of(start).type
        self.pieces: list[str] = []  # text, or the JSON text of a tool's input
        self._grown: dict[str, Any] | None = None

    def grow(self, delta: dict[str, Any]) -> None:
        """A delta of whatever kind: its texts go on, its values are set, a citation joins the others."""
        fields = self._fields()
        for name, value in delta.items():
            if name == "type":
                continue
            before = fields.get(name)
            if name == "citation":
                cited = fields.get("citations")
                fields["citations"] = [*(cast("list[Any]", cited) if isinstance(cited, list) else ()), value]
            elif isinstance(value, str) and isinstance(before, str):
                fields[name] = before + value
            else:
                fields[name] = value

    def part(self) -> Part:
        said = "".join(self.pieces)
        start = _block_of(self._start)
        if self.kind == "text":
            return Text(string(start.text) + said)
        if self.kind == "tool_use":
            return ToolCall(string(start.id), string(start.name), said or bytes(start.input).decode())
        if self._grown is None and not said:
            return _part(self._start)
        fields = self._fields()
        if said:
            fields["input"] = msgspec.Raw(as_object(said))
        return ProviderBlock(DIALECT, self.kind, _encode(fields).decode(), string(fields.get("thinking")))

    def _fields(self) -> dict[str, Any]:
        if self._grown is None:
            self._grown = msgspec.json.decode(self._start, type=dict[str, Any])
        return self._grown


def response_of(
    parts: tuple[Part, ...],
    stop: object,
    usage: object,
    model: str,
    headers: Mapping[str, str],
    first_token: float | None,
) -> ModelResponse:
    report, reason = _dict(usage), string(stop)
    kind = _STOPS.get(reason)
    if kind is None:
        kind = "tool" if any(isinstance(part, ToolCall) for part in parts) else "end"
    return ModelResponse(
        Message("assistant", parts, TRUSTED),
        kind,
        _usage(report),
        model=model,
        request_id=request_id(headers),
        first_token=first_token,
        limits_of=partial(rate_limits, headers, wall_now()),
        tier="" if report is None else _tier(report),
        raw_stop=reason,
    )


def _usage(report: dict[str, Any] | None) -> Usage | None:
    """The buckets of a report.

    The counts at its top leave out what the provider did on the side. A compaction reads the whole conversation at
    this model's price and is billed, so it is added; an advisor is another model with another price, and stays in
    `raw`.
    """
    usage = None if report is None else _buckets(report)
    if report is None or usage is None:
        return None
    iterations = report.get("iterations")
    if not isinstance(iterations, list):
        return usage
    for found in cast("list[Any]", iterations):
        one = _dict(found)
        if one is not None and one.get("type") != "message" and "model" not in one:
            more = _buckets(one)
            if more is None:
                return None
            usage += more
    return replace(usage, raw=report)


def _buckets(report: dict[str, Any]) -> Usage | None:
    """None where one of its counts is none: "many" is not zero."""
    lasting = table(report.get("cache_creation"))
    given, answered = tokens(report.get("input_tokens")), tokens(report.get("output_tokens"))
    read, written, for_an_hour = (
        some_tokens(report.get("cache_read_input_tokens")),
        some_tokens(report.get("cache_creation_input_tokens")),
        some_tokens(lasting.get("ephemeral_1h_input_tokens")),
    )
    if given is None or answered is None or read is None or written is None or for_an_hour is None:
        return None
    return Usage(given, read, written, answered, for_an_hour, report)


def _tier(report: dict[str, Any]) -> str:
    return "fast" if report.get("speed") == "fast" else string(report.get("service_tier"))


def _dict(value: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_object(text: str) -> bytes:
    """A call's arguments as the object that the API wants; what is none is wrapped, so that the model sees it."""
    raw = text.encode(errors="replace")
    try:
        msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        return raw
    except (msgspec.DecodeError, RecursionError):
        return b'{"INVALID_JSON":' + _encode(raw.decode()) + b"}" if text.strip() else b"{}"
