"""OpenAI's Chat Completions API, at OpenAI or at any server that speaks it: Ollama, vLLM, llama.cpp, a gateway.

Compatible servers differ in small ways, and each is met here once: arguments as objects, calls without ids, no usage,
thinking beside the content, errors inside a stream, a stream without `[DONE]`.
https://developers.openai.com/api/docs/api-reference/chat
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal, cast
from urllib.parse import urlsplit

import msgspec

from outlay.errors import ConfigError, ModelError
from outlay.models import failures
from outlay.models.batch_http import Account
from outlay.models.context_windows import context_window
from outlay.models.openai_batches import OpenAIBatches
from outlay.models.openai_caching import cache_fields, cache_terms
from outlay.models.openai_common import (
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
from outlay.models.openai_family import Family, check_sampled, check_sampling, effort_of, family, samples
from outlay.models.openai_schema import strict_schema
from outlay.models.places import place_of
from outlay.models.sse import events
from outlay.models.surrogates import read_whole
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import HttpReply, Timeouts, Transport
from outlay.values.caching import CacheTerms
from outlay.values.content import File, Image, Part, ProviderBlock, Text, ToolCall
from outlay.values.logprobs import LOGPROBS, logprobs_block, tokens_of
from outlay.values.message import Message
from outlay.values.once import once
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, Prelude, StopKind, ToolSpec
from outlay.values.settings import ModelSettings

DIALECT: Final = "openai-chat"
Structured = Literal["json_schema", "json_object", "prompt"]

#: Members of the body that `extra` may not touch; `n` because every further choice is billed beyond the cap.
_OURS: Final = frozenset(
    {"model", "messages", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed", "n"}
    | {"reasoning_effort", "functions", "function_call"}
)
#: OpenAI's own API takes at most this many stop sequences.
MAX_STOPS: Final = 4


@dataclass(frozen=True)
class OpenAIChat:
    """A model behind a Chat Completions API.

    The address is `base_url` or `OPENAI_BASE_URL`, with its `/v1`; only OpenAI's own needs a key. `OPENAI_API_KEY` is
    sent to OpenAI and to the server that `OPENAI_BASE_URL` names, never to a `base_url=` of yours: pass `api_key=`.
    `structured` is how the server is asked for an output type: by `json_schema`, by `json_object` with the schema in
    the prompt, or in the `prompt` alone. `settings.extra` goes into the body; its `tools` are added to the agent's, and
    `stream_options` of None is for servers that do not take it (the cost of a stream is unknown then).
    """

    #: Its answers say what the provider's limits are (runtime/permits.py waits for the first).
    reports_limits: ClassVar[bool] = True

    name: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False, hash=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    structured: Structured = "json_schema"

    @once
    def id(self) -> str:
        return f"openai-chat:{self.name}"

    @property
    def provider(self) -> str:
        return "openai-chat" if self._official else self._host

    @property
    def dialect(self) -> str:
        return DIALECT

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """Raises ConfigError for a missing key and for every setting that this model or this API lacks."""
        if not self._host:
            raise ConfigError(f"{self.id}: {self._base!r} is no address", hint="write it as https://host/v1")
        if self._official and not self._key:
            raise ConfigError(f"{self.id} needs a key: OPENAI_API_KEY is not set", hint="set it, or pass api_key=")
        if max_output_tokens < 1:
            raise ConfigError(f"{self.id}: max_output_tokens={max_output_tokens} must be at least 1")
        if self._official:
            if settings.stop and self._family.reasons:
                raise ConfigError(f"{self.id} takes no stop sequences: it is a reasoning model", hint="drop stop=")
            if len(settings.stop) > MAX_STOPS:
                raise ConfigError(f"{self.id} takes at most {MAX_STOPS} stop sequences", hint="drop some of stop=")
        effort_of(settings, self.id, self._family)
        check_sampling(settings, self.id, self._family)
        extra = settings.extra or {}
        check_extra(self.id, extra, _OURS)
        if not isinstance(extra.get("tools", []), list):
            raise ConfigError(f"{self.id}: extra['tools'] must be a list")
        if prelude.output is not None and "response_format" in extra:
            raise ConfigError(
                f"{self.id}: extra['response_format'] and output_type exclude each other", hint="drop one"
            )
        check_tools(self.id, prelude, settings)

    @property
    def context_window(self) -> int | None:
        return context_window("openai", self.name) if self._official else None

    def price(self, book: PriceBook) -> Price | None:
        """What the book has under `openai-chat`, else OpenAI's list price at OpenAI, else what it knows of the host."""
        return book.find(DIALECT, self.name) or book.find("openai" if self._official else self._host, self.name)

    def bound(self, request: ModelRequest) -> int:
        """Every token of text is at least one of its bytes, so the body's length bounds them; media have formulas."""
        if (request.settings.extra or {}).get("web_search_options") is not None:
            return UNBOUNDED  # what the search finds counts as input
        once = sum(map(len, self._body(request, stream=False))) + OVERHEAD_TOKENS
        return once + media_bound(request.messages, self._family.picture)

    def caching(self, request: ModelRequest) -> CacheTerms | None:
        """Automatic at OpenAI; of other servers nothing is known."""
        return cache_terms(request.settings.extra) if self._official else None

    def check_logprobs(self, settings: ModelSettings) -> None:
        check_sampled(settings, self.id, self._family)

    def cache_place(self) -> str:
        return place_of(self._base, self._key)

    def batches(self) -> OpenAIBatches:
        """The way through Files and Batches (protocols/batches.py), which many compatible servers have too."""
        account = Account(
            self.provider,
            self.name,
            self.cache_place(),
            lambda path: self._base + path,
            lambda: self._headers,
            lambda request: b"".join(self._body(request, stream=False)),
            self._plain,
            lambda reply: refusal(self.provider, reply, self._key),
            self.timeouts,
        )
        return OpenAIBatches(account, "/v1/chat/completions")

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        """None: the protocol has no count."""
        return None

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        url, body = f"{self._base}/chat/completions", b"".join(self._body(request, stream=on_text is not None))
        try:
            if on_text is not None:
                said, headers, first = await self._stream(url, body, transport, on_text)
                return self._response(len(request.transcript), said, headers, first)
            return self._plain(await transport.post(url, self._headers, body, self.timeouts), len(request.transcript))
        except ModelError as error:
            error.provider = error.provider or self.provider  # the transport does not know whom it talks to
            raise

    def _plain(self, reply: HttpReply, before: int = 0) -> ModelResponse:
        """`before`: the messages that it answers, which tell made-up ids of calls apart."""
        return self._response(before, self._whole(reply), reply.headers, None)

    def _whole(self, reply: HttpReply) -> _Said:
        if not 200 <= reply.status < 300:
            raise refusal(self.provider, reply, self._key)
        headers, said = reply.headers, _Said()
        try:
            chunk = read_whole(_decode, reply.body)
            for choice in (chunk.choices or [])[:1]:
                said.add(choice.message or _Delta())
            said.note(chunk)
        except UNREADABLE:
            raise failures.unreadable(self.provider, reply.status, headers, reply.body, secret=self._key) from None
        if error := _error(chunk):
            raise self._reported(error, headers, billed=False)
        if not chunk.choices:
            raise broken(self.provider, "an answer without a choice", headers)
        return said

    async def _stream(
        self, url: str, body: bytes, transport: Transport, on_text: Callable[[str], None]
    ) -> tuple[_Said, Mapping[str, str], float | None]:
        clock = asyncio.get_running_loop().time
        sent = clock()
        first: float | None = None
        said = _Said()
        async with transport.stream(url, self._headers, body, self.timeouts) as answer:
            headers = answer.headers
            if not 200 <= answer.status < 300:
                raise refusal(self.provider, HttpReply(answer.status, headers, await answer.read()), self._key)
            whole, chunks = await unstreamed(answer)
            if whole is not None:
                said = self._whole(HttpReply(answer.status, headers, whole))
                if said.text:
                    on_text("".join(said.text))
                return said, headers, None
            try:
                async for _, data in events(chunks):
                    if data == "[DONE]":
                        break
                    try:
                        chunk = read_whole(_decode, data)
                    except UNREADABLE:
                        raise broken(self.provider, "an event that cannot be read", headers) from None
                    if error := _error(chunk):
                        raise self._reported(error, headers, billed=first is not None)
                    for choice in (chunk.choices or [])[:1]:
                        piece = said.add(choice.delta or choice.message or _Delta())
                        if first is None and said.started:
                            first = clock() - sent
                        if piece:
                            on_text(piece)
                    said.note(chunk)
            except ModelError:
                if not said.reason:  # what breaks after the answer's end costs the usage report, not the answer
                    raise
        if not said.reason:
            raise broken(self.provider, "a stream that stops before its finish_reason", headers)
        return said, headers, first

    def _response(self, before: int, said: _Said, headers: Mapping[str, str], first: float | None) -> ModelResponse:
        if said.reason in _FAILED:
            raise broken(self.provider, f"an answer that ends with {said.reason!r}", headers)
        parts = said.parts(before)
        return ModelResponse(
            message=Message("assistant", parts),
            stop=_stop(said),
            usage=usage_of(said.usage, "prompt_tokens", "completion_tokens", "prompt_tokens_details"),
            model=said.model,
            request_id=failures.request_id(headers),
            first_token=first,
            limits_of=limits_of(headers),
            tier=said.tier,
            raw_stop=said.reason,
        )

    def _reported(self, problem: object, headers: Mapping[str, str], *, billed: bool) -> ModelError:
        return reported(self.provider, problem_of(problem), headers, billed=billed, secret=self._key)

    @property
    def _base(self) -> str:
        return base_of(self.base_url)

    @property
    def _host(self) -> str:
        return _host_of(self._base)

    @property
    def _official(self) -> bool:
        """Whether this is OpenAI's own server, whose names mean known models (regional hosts count)."""
        return self._host == "api.openai.com" or self._host.endswith(".api.openai.com")

    @property
    def _family(self) -> Family:
        return family(self.name) if self._official else family("")

    @property
    def _key(self) -> str:
        if self.api_key is not None:
            return self.api_key
        return environment_key() if self._official or self.base_url is None else ""

    @property
    def _headers(self) -> dict[str, str]:
        return headers_for(self._key, self.headers)

    # Request out: what never changes first, the conversation next, what one call decides last.

    def _body(self, request: ModelRequest, *, stream: bool) -> list[bytes]:
        prelude, settings, official = request.prelude, request.settings, self._official
        extra = dict(settings.extra or {})
        pieces = [b'{"model":', encode(self.name)]
        own = prelude.wire(f"{DIALECT} tools {official}", _strict_tools if official else _plain_tools)
        if tools := b",".join(filter(None, (own, encode(extra.pop("tools", []))[1:-1]))):
            pieces += [b',"tools":[', tools, b"]"]
        if prelude.output is not None and self.structured == "json_schema":
            pieces.append(prelude.wire(f"{DIALECT} format", _json_schema))
        elif prelude.output is not None and self.structured == "json_object":
            pieces.append(b',"response_format":{"type":"json_object"}')
        role = "developer" if self._family.reasons else "system"
        asked = self.structured != "json_schema"
        system = prelude.wire(f"{DIALECT} {role} {asked}", lambda prelude: _system(prelude, role, asked))
        said = request.transcript.pieces(
            f"{DIALECT} at OpenAI" if official else DIALECT, _official_messages if official else _messages
        )
        between = b"," if system and said else b""
        pieces += [b',"messages":[', system, between, *said, b"]"]
        last: dict[str, Any] = {
            "max_completion_tokens" if official else "max_tokens": request.max_output_tokens,
            "stream": stream,
        }
        options = extra.pop("stream_options", {})
        if stream and options is not None:
            last["stream_options"] = {"include_usage": True, **options}
        choice = settings.tool_choice
        if choice is not None and tools:  # without tools the member is refused, and would say nothing
            plain = choice in ("auto", "required", "none")
            last["tool_choice"] = choice if plain else {"type": "function", "function": {"name": choice}}
        if (effort := effort_of(settings, self.id, self._family)) is not None:
            last["reasoning_effort"] = effort
        for name in ("temperature", "top_p", "seed"):
            if (value := getattr(settings, name)) is not None:
                last[name] = value
        if settings.stop:
            last["stop"] = settings.stop
        if request.logprobs and samples(settings, self.id, self._family):
            last["logprobs"] = True
        last.update(cache_fields(self.name, request.cache_plan))
        last.update(extra)
        pieces += [b",", encode(last)[1:]]
        return pieces


def _strict_tools(prelude: Prelude) -> bytes:
    return b",".join(_tool(tool, strict_schema(tool.schema, narrow=False)) for tool in prelude.tools)


def _plain_tools(prelude: Prelude) -> bytes:
    """Without `strict`, which not every server takes."""
    return b",".join(_tool(tool, None) for tool in prelude.tools)


def _tool(tool: ToolSpec, exact: str | None) -> bytes:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": msgspec.Raw((exact or tool.schema).encode()),
    }
    if exact is not None:
        function["strict"] = True
    return encode({"type": "function", "function": function})


def _json_schema(prelude: Prelude) -> bytes:
    output = prelude.output
    assert output is not None
    exact = strict_schema(output.schema, narrow=True)
    schema: dict[str, Any] = {
        "name": output_name(output.name),
        "schema": msgspec.Raw((exact or output.schema).encode()),
        "strict": exact is not None,
    }
    return b',"response_format":' + encode({"type": "json_schema", "json_schema": schema})


def _system(prelude: Prelude, role: str, asked: bool) -> bytes:
    """The instructions as the first message; `asked`: with the output's schema, for servers that enforce none."""
    texts = list(prelude.system)
    if asked and prelude.output is not None:
        texts.append(
            "Answer with one JSON object that matches this JSON schema, and with nothing else:\n"
            + prelude.output.schema
        )
    text = "\n\n".join(filter(None, texts))
    return encode({"role": role, "content": text}) if text else b""


def _messages(message: Message) -> bytes:
    return _encoded(message, official=False)


def _official_messages(message: Message) -> bytes:
    """OpenAI refuses the members that other servers keep their thinking in."""
    return _encoded(message, official=True)


def _encoded(message: Message, *, official: bool) -> bytes:
    """A message as the API's messages, joined by commas; tool results stand before what else was said."""
    found = [
        encode({"role": "tool", "tool_call_id": id, "content": f"Error: {text}" if is_error else text})
        for id, text, is_error in ((p.call_id, p.content, p.is_error) for p in message.tool_results)
    ]
    if message.role == "assistant":
        found.append(_assistant(message, official))
    elif content := [part for part in message.parts if isinstance(part, Text | Image | File)]:
        plain = len(content) == 1 and isinstance(content[0], Text)
        found.append(
            encode({"role": "user", "content": message.text if plain else [_content(part) for part in content]})
        )
    return b",".join(found)


def _assistant(message: Message, official: bool) -> bytes:
    out: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    calls: list[dict[str, Any]] = []
    beside: dict[str, Any] = {}  # what the server put beside the next call
    for part in message.parts:
        match part:
            case ProviderBlock(kind=kind) if kind == LOGPROBS:
                pass
            case ProviderBlock(dialect, kind, whole) if dialect == DIALECT and not official:
                kept: dict[str, Any] = msgspec.json.decode(whole)
                if kind == "tool_call":
                    beside = kept
                else:
                    out.update(kept)
            case ToolCall(id, name, arguments):
                text = arguments if official else _object(arguments)
                calls.append({"id": id, "type": "function", "function": {"name": name, "arguments": text}, **beside})
                beside = {}
            case _:
                pass
    if calls:
        out["tool_calls"] = calls
    elif out["content"] is None:
        out["content"] = ""
    return encode(out)


def _object(arguments: str) -> str:
    """Arguments that servers which parse them can take back: what is no JSON object is shown inside one."""
    try:
        if isinstance(msgspec.json.decode(arguments), dict):
            return arguments
    except UNREADABLE:
        pass
    return encode({"invalid_json": arguments}).decode()


def _content(part: Text | Image | File) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(data, url, media_type):
            shown = url if data is None else data_url(media_type or "image/png", data)
            return {"type": "image_url", "image_url": {"url": shown}}
        case File(data, url, file_id, name, media_type):
            if data is not None:
                return {"type": "file", "file": {"filename": name, "file_data": data_url(media_type, data)}}
            if url is not None:
                raise ConfigError(
                    "Chat Completions takes no documents by address",
                    hint="give the File its data=, or use the Responses API (openai:…)",
                )
            return {"type": "file", "file": {"file_id": file_id}}


# Response in. Unknown members are read over; a whole answer and the pieces of a stream have the same shape. What an
# answer can do without is typed as Any: a new kind of value there must not break one that was paid for.

#: Ends that are no answer: the server gave up half-way.
_FAILED: Final = frozenset({"error", "abort", "aborted", "insufficient_system_resource", "network_error"})
_LENGTH: Final = frozenset({"length", "max_tokens", "model_length"})
_THINKING: Final = ("reasoning_content", "reasoning")


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct):
    index: Any = None
    id: Any = None
    function: _Function | None = None
    extra_content: Any = None


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: Any = None
    logprobs: Any = None


class _Chunk(msgspec.Struct):
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None
    object: Any = None
    message: Any = None
    type: Any = None
    code: Any = None


def _error(chunk: _Chunk) -> Any:
    """The failure that a piece reports: under `error`, or, at older vLLM servers, as the piece itself."""
    if chunk.object == "error" and not chunk.choices:
        return chunk.error or {"message": chunk.message, "type": chunk.type, "code": chunk.code}
    return chunk.error


_decode: Final = msgspec.json.Decoder(_Chunk).decode


@dataclass(slots=True)
class _Making:
    """A tool call of which pieces have come."""

    index: Any
    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    beside: Any = None


@dataclass(slots=True)
class _Said:
    """What has come of an answer so far."""

    text: list[str] = field(default_factory=list[str])
    refused: bool = False
    thinking: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    details: list[Any] = field(default_factory=list[Any])
    calls: list[_Making] = field(default_factory=list[_Making])
    reason: str = ""
    tokens: list[Any] = field(default_factory=list[Any])
    usage: Any = None
    model: str = ""
    tier: str = ""

    @property
    def started(self) -> bool:
        return bool(self.text or self.thinking or self.details or self.calls)

    def note(self, chunk: _Chunk) -> None:
        for choice in (chunk.choices or [])[:1]:
            self.reason = text_of(choice.finish_reason) or self.reason
            said: Any = choice.logprobs
            if isinstance(said, dict):
                content = cast("dict[str, Any]", said).get("content")
                self.tokens += cast("list[Any]", content) if isinstance(content, list) else []
        self.usage = chunk.usage or self.usage
        self.model = text_of(chunk.model) or self.model
        self.tier = text_of(chunk.service_tier) or self.tier

    def add(self, delta: _Delta) -> str:
        """Take a piece in; returns its text."""
        refusal = text_of(delta.refusal)
        if refusal:
            self.refused = True
        if piece := _plain(delta.content) + refusal:
            self.text.append(piece)
        for name in _THINKING:
            thought = getattr(delta, name)
            if isinstance(thought, str) and thought:
                self.thinking.setdefault(name, []).append(thought)
        self.details.extend(list_of(delta.reasoning_details))
        for call in delta.tool_calls or ():
            self._call(call)
        if delta.function_call is not None:  # the protocol's first form of tools, one call at most
            self._call(_Call(index=0, function=delta.function_call))
        return piece

    def _call(self, call: _Call) -> None:
        function = call.function or _Function()
        making = self._making(call, function)
        making.name = making.name or function.name or ""
        if call.extra_content is not None:
            making.beside = call.extra_content
        if isinstance(function.arguments, str):
            making.arguments.append(function.arguments)
        elif function.arguments is not None:  # some servers give the object itself
            making.arguments.append(encode(function.arguments).decode())

    def _making(self, call: _Call, function: _Function) -> _Making:
        """The call that a piece belongs to. Some servers leave the index out, or give 0 to every call."""
        id = text_of(call.id)
        same = [made for made in self.calls if made.index == call.index] if call.index is not None else self.calls
        last = same[-1] if same else None
        new = (
            last is None
            or (id and id != last.id and function.name)
            or (call.index is None and not id and function.name)
        )
        if last is None or new:
            last = _Making(call.index, id)
            self.calls.append(last)
        return last

    def parts(self, turn: int) -> tuple[Part, ...]:
        found: list[Part] = []
        thoughts = {name: "".join(pieces) for name, pieces in self.thinking.items()}
        if thoughts or self.details:
            kept: dict[str, Any] = {**thoughts, **({"reasoning_details": self.details} if self.details else {})}
            shown = next(iter(thoughts.values()), "")
            found.append(ProviderBlock(DIALECT, "reasoning", encode(kept).decode(), shown))
        if text := "".join(self.text):
            found.append(Text(text))
        ids: set[str] = set()
        for i, call in enumerate(self.calls):
            if call.beside is not None:
                found.append(ProviderBlock(DIALECT, "tool_call", encode({"extra_content": call.beside}).decode()))
            # A made-up id is the same at every replay, and no other call of the conversation has it.
            id = call.id if call.id and call.id not in ids else f"call_{turn}_{i}"
            ids.add(id)
            found.append(ToolCall(id, call.name, "".join(call.arguments) or "{}"))
        if self.tokens and (tokens := tokens_of(self.tokens)) is not None:
            found.append(logprobs_block(DIALECT, tokens))
        return tuple(found)


@lru_cache(maxsize=256)
def _host_of(base: str) -> str:
    """Who is at an address; a call asks a dozen times."""
    try:
        return urlsplit(base).hostname or ""
    except ValueError:
        return ""


def _plain(content: Any) -> str:
    """The text of a content, which is a string, or a list of parts at some servers."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = cast("list[Any]", content)
    found = [cast("dict[str, Any]", part).get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in found if isinstance(text, str))


def _stop(said: _Said) -> StopKind:
    if said.refused or said.reason == "content_filter":
        return "refusal"
    if said.reason in _LENGTH:
        return "length"
    return "tool" if said.calls else "end"
