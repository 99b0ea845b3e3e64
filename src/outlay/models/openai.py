"""OpenAI's Responses API: a request of ours as its body, its answer as a response of ours. No SDK, no state kept there.

The conversation lives here, not at OpenAI: `store` is false, and the encrypted reasoning items that come back are
sent again, unchanged and in order, before the function calls that they led to, as the reasoning guide demands.
https://developers.openai.com/api/docs/api-reference/responses
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, cast

import msgspec

from outlay.errors import BadRequest, ConfigError, ModelError
from outlay.models import failures
from outlay.models.batch_http import Account
from outlay.models.context_windows import context_window
from outlay.models.openai_batches import OpenAIBatches
from outlay.models.openai_caching import cache_fields, cache_terms
from outlay.models.openai_common import (
    DOCUMENT_TOKENS,
    OVERHEAD_TOKENS,
    UNBOUNDED,
    UNREADABLE,
    base_of,
    broken,
    check_extra,
    check_tools,
    data_url,
    encode,
    environment_key,
    headers_for,
    limits_of,
    list_of,
    media_bound,
    output_name,
    problem_of,
    refusal,
    reported,
    text_of,
    unstreamed,
    usage_of,
)
from outlay.models.openai_family import check_sampled, check_sampling, effort_of, family, samples
from outlay.models.openai_schema import strict_schema
from outlay.models.places import place_of
from outlay.models.sse import events
from outlay.models.surrogates import read_whole, whole_characters
from outlay.models.token_counts import tokens
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import HttpReply, Timeouts, Transport
from outlay.values.caching import CacheTerms
from outlay.values.content import File, Image, Part, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.logprobs import LOGPROBS, logprobs_block, tokens_of
from outlay.values.message import Message
from outlay.values.once import once
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, Prelude, StopKind
from outlay.values.settings import ModelSettings

DIALECT: Final = "openai"
#: The API refuses a smaller `max_output_tokens`.
MIN_OUTPUT: Final = 16

#: Members of the body that `extra` may not touch; `background` because its answer comes elsewhere.
_OURS: Final = frozenset(
    {"model", "instructions", "input", "stream", "max_output_tokens", "temperature", "top_p", "background"}
)
_HISTORY: Final = ("conversation", "previous_response_id", "prompt")
_MERGED: Final[tuple[tuple[str, type], ...]] = (("tools", list), ("include", list), ("text", dict), ("reasoning", dict))
_SEALED_REASONING: Final = "reasoning.encrypted_content"
_TOKENS: Final = "message.output_text.logprobs"


@dataclass(frozen=True)
class OpenAI:
    """A model behind OpenAI's Responses API.

    The key is `api_key` or `OPENAI_API_KEY`; the address is `base_url` or `OPENAI_BASE_URL`, with its `/v1`.
    `settings.extra` goes into the body; its `tools` (server tools; give `max_tool_calls` too, or nothing bounds their
    cost), `include`, `reasoning` and `text` are added to what this model writes there.
    """

    #: Its answers say what the provider's limits are (runtime/permits.py waits for the first).
    reports_limits: ClassVar[bool] = True

    name: str
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False, hash=False)
    timeouts: Timeouts = field(default_factory=Timeouts)

    @once
    def id(self) -> str:
        return f"openai:{self.name}"

    @property
    def provider(self) -> str:
        return "openai"

    @property
    def dialect(self) -> str:
        return DIALECT

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """Raises ConfigError for a missing key and for every setting that this model or this API lacks."""
        if not self._key:
            raise ConfigError(f"{self.id} needs a key: OPENAI_API_KEY is not set", hint="set it, or pass api_key=")
        for name in ("stop", "seed"):
            if name in settings.given():
                raise ConfigError(
                    f"the Responses API has no {name} setting ({self.id})",
                    hint=f'drop it, or use "openai-chat:{self.name}"',
                )
        if max_output_tokens < MIN_OUTPUT:
            raise ConfigError(
                f"{self.id} takes no max_output_tokens below {MIN_OUTPUT} (got {max_output_tokens})",
                hint=f"raise it to {MIN_OUTPUT} or more",
            )
        effort_of(settings, self.id, family(self.name))
        check_sampling(settings, self.id, family(self.name))
        extra = settings.extra or {}
        check_extra(self.id, extra, _OURS)
        for name, kind in _MERGED:
            if not isinstance(extra.get(name, kind()), kind):
                raise ConfigError(f"{self.id}: extra[{name!r}] must be a {kind.__name__}", hint="see the API reference")
        if not all(isinstance(tool, dict) for tool in extra.get("tools", [])):
            raise ConfigError(f"{self.id}: each of extra['tools'] must be a dict", hint='as in {"type": "web_search"}')
        if prelude.output is not None and "format" in extra.get("text", {}):
            raise ConfigError(f"{self.id}: extra['text']['format'] and output_type exclude each other", hint="drop one")
        if "effort" in extra.get("reasoning", {}):
            raise ConfigError(f"{self.id}: extra['reasoning']['effort'] has a setting", hint="use effort=")
        check_tools(self.id, prelude, settings)

    @property
    def context_window(self) -> int | None:
        return context_window("openai", self.name)

    def price(self, book: PriceBook) -> Price | None:
        return book.find("openai", self.name)

    def bound(self, request: ModelRequest) -> int:
        """Every token of text is at least one of its bytes, so the body's length bounds them; media have formulas."""
        extra = request.settings.extra or {}
        if any(extra.get(name) for name in _HISTORY):
            return UNBOUNDED
        once = sum(map(len, self._body(request, stream=False))) + OVERHEAD_TOKENS
        once += media_bound(request.messages, family(self.name).picture)
        if not _server_tools(extra):
            return once
        # Each call of a server tool is one more pass over the input, and its result may fill the window.
        calls = extra.get("max_tool_calls")
        return once + calls * DOCUMENT_TOKENS if isinstance(calls, int) else UNBOUNDED

    def caching(self, request: ModelRequest) -> CacheTerms | None:
        """Automatic; none where `settings.extra` steers it."""
        return cache_terms(request.settings.extra)

    def check_logprobs(self, settings: ModelSettings) -> None:
        check_sampled(settings, self.id, family(self.name))

    def cache_place(self) -> str:
        return place_of(self._base, self._key)

    def batches(self) -> OpenAIBatches:
        """The way through Files and Batches (protocols/batches.py)."""
        account = Account(
            "openai",
            self.name,
            self.cache_place(),
            lambda path: self._base + path,
            lambda: self._headers,
            lambda request: b"".join(self._body(request, stream=False)),
            self._plain,
            lambda reply: refusal("openai", reply, self._key),
            self.timeouts,
        )
        return OpenAIBatches(account, "/v1/responses")

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        """OpenAI's own count, free of charge; None where there is none, or where the input grows as tools run."""
        extra = request.settings.extra or {}
        if _server_tools(extra) or extra.get("prompt"):
            return None
        url = f"{self._base}/responses/input_tokens"
        try:
            reply = await transport.post(url, self._headers, self._count_body(request), self.timeouts)
        except ModelError:
            return None
        if reply.status in (401, 403):
            raise refusal("openai", reply, self._key)
        try:
            return tokens(msgspec.json.decode(reply.body, type=_Count).input_tokens) if reply.status == 200 else None
        except UNREADABLE:
            return None

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """One attempt. Raises BadRequest, without asking, for an output cap that was clipped below OpenAI's least."""
        if request.max_output_tokens < MIN_OUTPUT:
            raise BadRequest(
                f"only {request.max_output_tokens} output tokens are left, and OpenAI takes no cap below {MIN_OUTPUT}",
                provider="openai",
                hint="raise the budget",
            )
        url, body = f"{self._base}/responses", b"".join(self._body(request, stream=on_text is not None))
        try:
            if on_text is not None:
                return await self._stream(url, body, transport, on_text)
            return self._plain(await transport.post(url, self._headers, body, self.timeouts))
        except ModelError as error:
            error.provider = error.provider or self.provider  # the transport does not know whom it talks to
            raise

    def _plain(self, reply: HttpReply) -> ModelResponse:
        if not 200 <= reply.status < 300:
            raise refusal("openai", reply, self._key)
        try:
            answer, said = read_whole(_answered, reply.body)
        except UNREADABLE:
            raise failures.unreadable("openai", reply.status, reply.headers, reply.body, secret=self._key) from None
        return self._response(answer, said, reply.headers, None)

    async def _stream(
        self, url: str, body: bytes, transport: Transport, on_text: Callable[[str], None]
    ) -> ModelResponse:
        clock = asyncio.get_running_loop().time
        sent = clock()
        first: float | None = None
        begun = False
        done: dict[int, msgspec.Raw] = {}
        async with transport.stream(url, self._headers, body, self.timeouts) as answer:
            headers = answer.headers
            if not 200 <= answer.status < 300:
                raise refusal("openai", HttpReply(answer.status, headers, await answer.read()), self._key)
            whole, chunks = await unstreamed(answer)
            if whole is not None:
                response = self._plain(HttpReply(answer.status, headers, whole))
                if text := response.message.text:
                    on_text(text)
                return response
            async for _, data in events(chunks):
                if data == "[DONE]":
                    continue
                try:
                    event = read_whole(_decode_event, data)
                except UNREADABLE:
                    raise broken("openai", "an event that cannot be read", headers) from None
                kind = event.type
                if kind.startswith("response.output_item."):
                    begun = True  # thinking, whose deltas need not be shown, is billed too
                if kind.endswith(".delta"):
                    if first is None:
                        first = clock() - sent
                    if kind in _TEXT_DELTAS and isinstance(event.delta, str):
                        on_text(event.delta)
                elif kind == "response.output_item.done" and isinstance(event.output_index, int):
                    done[event.output_index] = msgspec.Raw(whole_characters(bytes(event.item)))
                elif kind in _TERMINAL:
                    try:
                        final, said = read_whole(_answered, bytes(event.response))
                        if not final.output:  # some servers leave it out of the last event: it came item by item
                            said = _read([done[i] for i in sorted(done)])
                    except UNREADABLE:
                        raise broken("openai", "a last event that cannot be read", headers) from None
                    return self._response(final, said, headers, first, begun)
                elif kind == "error":
                    problem = event.error or {"code": event.code, "message": event.message}
                    raise self._reported(problem, headers, billed=begun or first is not None)
        raise broken("openai", "a stream that stops before its last event", headers)

    def _response(
        self, answer: _Answer, said: _Said, headers: Mapping[str, str], first: float | None, begun: bool = False
    ) -> ModelResponse:
        if answer.status == "failed" or (answer.error is not None and not said.parts):
            begun = begun or first is not None or bool(said.parts or answer.usage)
            raise self._reported(answer.error, headers, billed=begun)
        if answer.status not in ("completed", "incomplete"):
            raise broken("openai", f"a response that is {failures.clean(answer.status) or 'no response'}", headers)
        details: Any = answer.incomplete_details
        why = text_of(cast("dict[str, Any]", details).get("reason")) if isinstance(details, dict) else ""
        return ModelResponse(
            message=Message("assistant", said.parts),
            stop=_stop(answer.status, why, said),
            usage=usage_of(answer.usage, "input_tokens", "output_tokens", "input_tokens_details"),
            model=text_of(answer.model),
            request_id=failures.request_id(headers),
            first_token=first,
            limits_of=limits_of(headers),
            tier=text_of(answer.service_tier),
            raw_stop=why or answer.status,
        )

    def _reported(self, problem: object, headers: Mapping[str, str], *, billed: bool) -> ModelError:
        return reported("openai", problem_of(problem), headers, billed=billed, secret=self._key)

    @property
    def _key(self) -> str:
        return self.api_key or environment_key()

    @property
    def _base(self) -> str:
        return base_of(self.base_url)

    @property
    def _headers(self) -> dict[str, str]:
        return headers_for(self._key, self.headers)

    # Request out: what never changes first, the conversation next, what one call decides last.

    def _body(self, request: ModelRequest, *, stream: bool) -> list[bytes]:
        extra = dict(request.settings.extra or {})
        pieces = self._head(request, extra)
        settings = request.settings
        last: dict[str, Any] = {"max_output_tokens": request.max_output_tokens, "stream": stream}
        last["store"] = extra.pop("store", False)
        if settings.temperature is not None:
            last["temperature"] = settings.temperature
        if settings.top_p is not None:
            last["top_p"] = settings.top_p
        include = list(extra.pop("include", ()))
        if family(self.name).reasons and _SEALED_REASONING not in include:
            include.insert(0, _SEALED_REASONING)
        if request.logprobs and _TOKENS not in include and samples(settings, self.id, family(self.name)):
            include.append(_TOKENS)
        if include:
            last["include"] = include
        last.update(cache_fields(self.name, request.cache_plan))
        last.update(extra)
        pieces += [b",", encode(last)[1:]]
        return pieces

    def _count_body(self, request: ModelRequest) -> bytes:
        extra = dict(request.settings.extra or {})
        pieces = self._head(request, extra)
        last = {name: extra[name] for name in ("conversation", "previous_response_id", "truncation") if name in extra}
        return b"".join([*pieces, b",", encode(last)[1:]] if last else [*pieces, b"}"])

    def _head(self, request: ModelRequest, extra: dict[str, Any]) -> list[bytes]:
        """The body up to what only generation needs, without its closing brace. Takes what it uses out of `extra`."""
        prelude, settings = request.prelude, request.settings
        pieces = [b'{"model":', encode(self.name), prelude.wire("openai instructions", _instructions)]
        tools = list(filter(None, (prelude.wire("openai tools", _tools), encode(extra.pop("tools", []))[1:-1])))
        if tools:
            pieces += [b',"tools":[', b",".join(tools), b"]"]
        text = filter(None, (prelude.wire("openai format", _format), encode(extra.pop("text", {}))[1:-1]))
        if joined := b",".join(text):
            pieces += [b',"text":{', joined, b"}"]
        if settings.tool_choice is not None:
            choice = settings.tool_choice
            plain = choice in ("auto", "required", "none")
            pieces += [b',"tool_choice":', encode(choice if plain else {"type": "function", "name": choice})]
        effort = effort_of(settings, self.id, family(self.name))
        reasoning = {**extra.pop("reasoning", {}), **({"effort": effort} if effort else {})}
        if reasoning:
            pieces += [b',"reasoning":', encode(reasoning)]
        if (parallel := extra.pop("parallel_tool_calls", None)) is not None:
            pieces += [b',"parallel_tool_calls":', encode(parallel)]
        pieces += [b',"input":[', *request.transcript.pieces(DIALECT, _items), b"]"]
        return pieces


def _server_tools(extra: Mapping[str, Any]) -> bool:
    """Whether OpenAI may run tools by itself, and read their results at your cost."""
    tools: list[dict[str, Any]] = extra.get("tools", [])
    return any(tool.get("type") not in ("function", "custom") for tool in tools)


def _instructions(prelude: Prelude) -> bytes:
    text = "\n\n".join(filter(None, prelude.system))
    return b',"instructions":' + encode(text) if text else b""


def _tools(prelude: Prelude) -> bytes:
    found: list[bytes] = []
    for tool in prelude.tools:
        exact = strict_schema(tool.schema, narrow=False)
        found.append(
            encode(
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": msgspec.Raw((exact or tool.schema).encode()),
                    "strict": exact is not None,
                }
            )
        )
    return b",".join(found)


def _format(prelude: Prelude) -> bytes:
    output = prelude.output
    if output is None:
        return b""
    exact = strict_schema(output.schema, narrow=True)
    schema = msgspec.Raw((exact or output.schema).encode())
    name = output_name(output.name)
    return b'"format":' + encode({"type": "json_schema", "name": name, "schema": schema, "strict": exact is not None})


def _items(message: Message) -> bytes:
    """A message as input items, joined by commas; empty where nothing of it is for OpenAI."""
    found: list[bytes] = []
    content: list[Text | Image | File] = []  # neighbours that make one message

    def flush() -> None:
        if content:
            found.append(_spoken(message, content))
            content.clear()

    kept = ""  # the kind of item, sent whole, that the next part was read from
    for part in message.parts:
        told, kept = kept, ""
        match part:
            case ProviderBlock():
                if part.dialect == DIALECT and _sendable(part):
                    flush()
                    found.append(part.json.encode())
                    kept = part.kind
            case Text() if told == "message":
                pass
            case ToolCall() if told == "function_call":
                pass
            case ToolCall(id, name, arguments):
                flush()
                found.append(encode({"type": "function_call", "call_id": id, "name": name, "arguments": arguments}))
            case ToolResult(call_id, _, text, is_error):
                flush()
                output = f"Error: {text}" if is_error else text
                found.append(encode({"type": "function_call_output", "call_id": call_id, "output": output}))
            case Text() | Image() | File():
                content.append(part)
    flush()
    return b",".join(found)


def _sendable(block: ProviderBlock) -> bool:
    """Reasoning without its sealed content is known to OpenAI by id alone, and nothing is stored there."""
    if block.kind != "reasoning":
        return block.kind != LOGPROBS
    return bool(msgspec.json.decode(block.json, type=_Sealed).encrypted_content)


def _spoken(message: Message, content: list[Text | Image | File]) -> bytes:
    role = "assistant" if message.role == "assistant" else "user"
    texts = [part.text for part in content if isinstance(part, Text)]
    if len(texts) == len(content) and (len(texts) == 1 or role == "assistant"):
        return encode({"role": role, "content": "".join(texts)})
    return encode({"role": role, "content": [_content(part) for part in content]})


def _content(part: Text | Image | File) -> dict[str, str]:
    match part:
        case Text(text):
            return {"type": "input_text", "text": text}
        case Image(data, url, media_type):
            shown = url if data is None else data_url(media_type or "image/png", data)
            return {"type": "input_image", "detail": "auto", "image_url": shown or ""}
        case File(data, url, file_id, name, media_type):
            if data is not None:
                return {"type": "input_file", "filename": name, "file_data": data_url(media_type, data)}
            return {"type": "input_file", "file_url": url} if url else {"type": "input_file", "file_id": file_id or ""}


# Response in. Unknown members are read over, and unknown items are kept whole. What an answer can do without is typed
# as Any: a new kind of value there must not break the reading of an answer that was paid for.

_TEXT_DELTAS: Final = ("response.output_text.delta", "response.refusal.delta")
_TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


class _Answer(msgspec.Struct):
    status: str = ""
    model: Any = None
    output: list[msgspec.Raw] | None = None
    usage: Any = None
    error: Any = None
    incomplete_details: Any = None
    service_tier: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: Any = None
    output_index: Any = None
    item: msgspec.Raw = msgspec.Raw(b"null")
    response: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None
    code: Any = None
    message: Any = None


class _Content(msgspec.Struct):
    text: Any = None
    refusal: Any = None
    annotations: Any = None
    logprobs: Any = None


class _Kind(msgspec.Struct):
    type: str = ""


class _Item(msgspec.Struct):
    """The members that this file reads of messages and function calls."""

    call_id: str = ""
    name: str = ""
    arguments: str = ""
    content: list[_Content] | None = None
    phase: Any = None
    caller: Any = None
    namespace: Any = None


class _Thought(msgspec.Struct):
    content: list[_Content] | None = None
    summary: list[_Content] | None = None


class _Sealed(msgspec.Struct):
    encrypted_content: Any = None


class _Count(msgspec.Struct):
    input_tokens: int


@dataclass(frozen=True, slots=True)
class _Said:
    parts: tuple[Part, ...]
    refused: bool


_decode_answer: Final = msgspec.json.Decoder(_Answer).decode
_decode_event: Final = msgspec.json.Decoder(_Event).decode
_decode_kind: Final = msgspec.json.Decoder(_Kind).decode
_decode_item: Final = msgspec.json.Decoder(_Item).decode


def _answered(body: bytes) -> tuple[_Answer, _Said]:
    answer = _decode_answer(body)
    return answer, _read(answer.output or [])


def _read(output: list[msgspec.Raw]) -> _Said:
    parts: list[Part] = []
    refused = False
    tokens: list[Any] = []
    for raw in output:
        kind = _decode_kind(raw).type
        whole = bytes(raw).decode()
        if kind == "message":
            item = _decode_item(raw)
            content = item.content or []
            refused = refused or any(text_of(one.refusal) for one in content)
            tokens += [entry for one in content for entry in list_of(one.logprobs)]
            if text := "".join(text_of(one.text) or text_of(one.refusal) for one in content):
                if item.phase or any(one.annotations for one in content):
                    parts.append(ProviderBlock(DIALECT, kind, whole))
                parts.append(Text(text))
        elif kind == "function_call":
            item = _decode_item(raw)
            if item.caller or item.namespace:
                parts.append(ProviderBlock(DIALECT, kind, whole))
            parts.append(ToolCall(item.call_id, item.name, item.arguments))
        elif kind == "reasoning":
            parts.append(ProviderBlock(DIALECT, kind, whole, _thought(raw)))
        else:
            parts.append(ProviderBlock(DIALECT, kind, whole))
    if tokens and (found := tokens_of(tokens)) is not None:
        parts.append(logprobs_block(DIALECT, found))
    return _Said(tuple(parts), refused)


def _thought(raw: msgspec.Raw) -> str:
    """What a reasoning item shows of itself; nothing, where it shows it in a way of its own."""
    try:
        found = msgspec.json.decode(raw, type=_Thought)
    except msgspec.ValidationError:
        return ""
    return "\n\n".join(text_of(one.text) for one in found.summary or found.content or [])


def _stop(status: str, why: str, said: _Said) -> StopKind:
    if said.refused or why == "content_filter":
        return "refusal"
    if status == "incomplete":
        return "length"
    return "tool" if any(isinstance(part, ToolCall) for part in said.parts) else "end"
