"""Anthropic's Messages API: a request out, a response in, and nothing between.

Two translations and no state. A request body is a join of cached bytes (system, tools and output schema per prelude;
each message once), with the parts that stay the same first. What only Anthropic understands (signed thinking, server
tools, compaction) passes through as `ProviderBlock`s and goes back as it came. What comes back is read in
`anthropic_answer`; what each model can do stands in `anthropic_models`, what an error means in `failures`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Final, cast

import msgspec

from outlay.errors import AuthFailed, BadResponse, ConfigError, ModelError
from outlay.models.anthropic_answer import DIALECT, Count, Draft, answered, as_object, response_of
from outlay.models.anthropic_batches import AnthropicBatches
from outlay.models.anthropic_models import Capabilities, cache_terms, capabilities
from outlay.models.anthropic_schema import accepted
from outlay.models.batch_http import Account
from outlay.models.failures import failure, reported, request_id, unreadable
from outlay.models.fields import number, string, table
from outlay.models.media import image_size, pdf_pages
from outlay.models.places import place_of
from outlay.models.sse import SseParser
from outlay.models.surrogates import read_whole
from outlay.models.token_counts import tokens
from outlay.protocols.clock import wall_now
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import HttpReply, HttpStream, Timeouts, Transport
from outlay.values.caching import CachePlan, CacheTerms, Life
from outlay.values.content import File, Image, Part, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.message import Message
from outlay.values.once import once
from outlay.values.price import Price
from outlay.values.request import ContextEdit, ModelRequest, ModelResponse, Prelude
from outlay.values.settings import ModelSettings

#: Every recording that the tests replay was made with this version. The next one (2026-10-21) only takes away:
#: temperature and top_p for all models. `headers={"anthropic-version": …}` overrides it.
API_VERSION: Final = "2023-06-01"
BASE_URL: Final = "https://api.anthropic.com"
#: Above this cap an answer may take more than ten minutes, longer than idle connections live, so it is streamed even
#: if nobody listens. 128,000 tokens an hour is the rate that the official SDK reckons with.
LONGEST_PLAIN: Final = 128_000 * 600 // 3600

# What the provider adds to the input beyond the bytes of the body, in tokens, for `bound`.
#: Measured on the recordings: a one-word request is 8 tokens, and its body 60 bytes.
_OVERHEAD: Final = 64
#: The system prompt that comes with tools: 159 to 530 tokens in the provider's table, up to 590 in the recordings.
_TOOLS_OVERHEAD: Final = 800
#: A tool of the provider's brings its description along: 1,560 for memory (recorded), 245 to 735 in its table.
_OWN_TOOL_OVERHEAD: Final = 4000
#: The prompt that explains the output schema, which is repeated in it.
_OUTPUT_OVERHEAD: Final = 400
#: A page of a PDF is read as a picture and as text; the provider says 1,500 to 3,000 tokens of text.
_PAGE_TEXT: Final = 3000
_MOST_PAGES: Final = 600
_LARGEST_CONTEXT: Final = 1_000_000
#: Tokens: more than any budget can hold.
UNBOUNDED: Final = 10**12
#: Who sets breakpoints in `settings.extra` sets all of them.
_MARK: Final = b'"cache_control"'
_MOST_MARKS: Final = 4
#: Tools of the provider's that run here, not there; one without a type is ours.
_CLIENT_TOOLS: Final = ("custom", "memory_", "bash_", "text_editor_", "computer_")

_encode = msgspec.json.Encoder().encode
_SAFE_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
#: The beta that clears old tool results.
_EDITING: Final = "context-management-2025-06-27"
#: Fields of the body that are not for `settings.extra`.
_OURS: Final = frozenset({"model", "messages", "system", "max_tokens", "stream", "stop_sequences"})


@dataclass(frozen=True)
class Anthropic:
    """A Claude model, e.g. `Anthropic("claude-haiku-4-5")`.

    `api_key` defaults to ANTHROPIC_API_KEY and `base_url` to ANTHROPIC_BASE_URL, both read at each call. `headers`
    are sent with every request and override ours (`anthropic-beta`, `anthropic-version`, `authorization`).
    """

    #: Its answers say what the provider's limits are (runtime/permits.py waits for the first).
    reports_limits: ClassVar[bool] = True

    name: str
    api_key: str | None = field(default=None, kw_only=True, repr=False)
    base_url: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] | None = field(default=None, kw_only=True, repr=False, hash=False)
    timeouts: Timeouts = field(default=Timeouts(), kw_only=True)

    @once
    def id(self) -> str:
        return f"anthropic:{self.name}"

    @property
    def provider(self) -> str:
        return "anthropic"

    @property
    def dialect(self) -> str:
        return DIALECT

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """Raises ConfigError for a missing key, and for whatever this model would refuse."""
        self._check_key()
        _check(self.id, capabilities(self.name), prelude, settings, max_output_tokens)

    @property
    def context_window(self) -> int | None:
        return capabilities(self.name).context

    def price(self, book: PriceBook) -> Price | None:
        return book.find("anthropic", self.name)

    def bound(self, request: ModelRequest) -> int:
        """At least as many tokens as the input can be: one a byte of text, and pictures and pages by formula.

        A token is at least one byte of text. What the provider adds for tools and output schemas is declared above.
        The window of the model is a bound of its own: what does not fit is refused, and free. Where the provider
        goes on by itself (server tools, compaction) it may fill the window again with each step; without a declared
        limit on the steps (`max_uses`) there is no bound, and UNBOUNDED fits no budget.
        """
        able = capabilities(self.name)
        prelude = request.prelude
        total = _OVERHEAD + len(prelude.wire(_SYSTEM, _system))
        if prelude.tools:
            total += _TOOLS_OVERHEAD + len(prelude.wire(_TOOLS, _tools))
        if prelude.output is not None:
            total += _OUTPUT_OVERHEAD + 2 * len(prelude.wire(_FORMAT, _format))
        steps = 0
        if extra := request.settings.extra:
            total += len(_encode(extra)) + _OWN_TOOL_OVERHEAD * len(extra.get("tools") or ())
            steps = _server_steps(extra)
        total += request.transcript.total(DIALECT, _length)
        if request.transcript.total(_MEDIA, _media_length):
            total += sum(_media_tokens(media, able) for m in request.messages if (media := m.wire(_MEDIA, _media)))
        if steps:
            return min(UNBOUNDED, total + (steps + 1) * (able.context or _LARGEST_CONTEXT))
        return total if able.context is None else min(total, able.context)

    def caching(self, request: ModelRequest) -> CacheTerms | None:
        """Four breakpoints, each for five minutes or an hour; none of ours beside those in `settings.extra`."""
        if request.settings.extra and _MARK in _encode(request.settings.extra):
            return None
        return cache_terms(self.name)

    def cache_place(self) -> str:
        return place_of(self._url(""), self._key())

    def edits_context(self, request: ModelRequest) -> bool:
        """Since Claude 4; not beside edits of your own in `settings.extra`."""
        return not self.name.startswith("claude-3") and "context_management" not in (request.settings.extra or {})

    def batches(self) -> AnthropicBatches:
        """The way through Message Batches (protocols/batches.py)."""
        account = Account(
            "anthropic",
            self.name,
            self.cache_place(),
            self._url,
            self._headers,
            lambda request: self._body(request, streamed=False),
            self._plain,
            lambda reply: self._failure(reply.status, reply.headers, reply.body),
            self.timeouts,
        )
        return AnthropicBatches(account)

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        """What the provider counts, for free. None where it will not (server tools, files by address or id)."""
        body = self._head(request) + b'"messages":[' + request.transcript.wire(DIALECT, _message) + b"]}"
        try:
            reply = await transport.post(self._url("/v1/messages/count_tokens"), self._headers(), body, self.timeouts)
        except ModelError:
            return None
        if reply.status in (401, 403):
            raise self._failure(reply.status, reply.headers, reply.body)
        try:
            return tokens(msgspec.json.decode(reply.body, type=Count).input_tokens) if reply.status == 200 else None
        except msgspec.DecodeError:
            return None

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """One attempt; streamed when somebody listens, or when the answer may be long."""
        streamed = on_text is not None or request.max_output_tokens > LONGEST_PLAIN
        url, headers, body = self._url("/v1/messages"), self._headers(request.edit), self._body(request, streamed)
        try:
            if not streamed:
                return self._plain(await transport.post(url, headers, body, self.timeouts))
            clock = asyncio.get_running_loop().time
            started = clock()
            async with transport.stream(url, headers, body, self.timeouts) as answer:
                if answer.status != 200:
                    raise self._failure(answer.status, answer.headers, await answer.read())
                return await self._stream(answer, Draft(on_text, lambda: clock() - started))
        except ModelError as error:
            error.provider = error.provider or "anthropic"  # the transport does not know whom it talks to
            raise

    # ── request ───────────────────────────────────────────────────────────────────────────────────────────────

    def _body(self, request: ModelRequest, streamed: bool) -> bytes:
        return b"".join(
            (
                self._head(request),
                _sampling(request.settings),
                b'"max_tokens":%d,' % request.max_output_tokens,
                b'"stream":true,' if streamed else b"",
                _context_management(request.edit),
                b'"messages":[',
                *_messages(request),
                b"]}",
            )
        )

    def _head(self, request: ModelRequest) -> bytes:
        """The part that generating and counting share: model, system, tools, output, thinking."""
        prelude, settings, extra = request.prelude, request.settings, request.settings.extra
        lives = _lives(request.cache_plan)
        parts = [b'{"model":', _encode(self.name), b","]
        if system := _marked_system(prelude, lives):
            parts += b'"system":', system, b","
        tools = prelude.wire(_TOOLS, _tools)
        if life := lives.get(("tools", 0)):
            tools = _marked(tools, b"}", life)
        if extra and extra.get("tools"):
            more = _encode(extra["tools"])[1:-1]
            tools = tools + b"," + more if tools else more
        if tools:
            parts += b'"tools":[', tools, b"],"
            if (choice := _tool_choice(settings.tool_choice)) is not None:
                parts += b'"tool_choice":', _encode(choice), b","
        if config := _output_config(prelude, settings):
            parts += b'"output_config":{', config, b"},"
        if (thinking := _thinking(settings, capabilities(self.name))) is not None:
            parts += b'"thinking":', _encode(thinking), b","
        if extra and (rest := {k: v for k, v in extra.items() if k not in ("tools", "output_config")}):
            parts += _encode(rest)[1:-1], b","
        return b"".join(parts)

    def _url(self, path: str) -> str:
        base = self.base_url or os.environ.get("ANTHROPIC_BASE_URL") or BASE_URL
        return base.rstrip("/").removesuffix("/v1") + path

    def _key(self) -> str:
        return (self.api_key or os.environ.get("ANTHROPIC_API_KEY") or "").strip()

    def _check_key(self) -> None:
        if any(name.lower() in ("authorization", "x-api-key") for name in self.headers or ()):
            return
        key = self._key()
        if not key:
            raise ConfigError(
                f"{self.id} needs a key, and ANTHROPIC_API_KEY is not set",
                hint="export ANTHROPIC_API_KEY=…, or run it offline: --models offline, models='offline'",
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigError(
                f"the key for {self.id} holds a space or another character that no key has",
                hint="copy ANTHROPIC_API_KEY again",
            )

    def _headers(self, edit: ContextEdit | None = None) -> dict[str, str]:
        headers = {"content-type": "application/json", "anthropic-version": API_VERSION}
        if key := self._key():
            headers["x-api-key"] = key
        if self.headers:
            headers.update((name.lower(), value) for name, value in self.headers.items())
        if edit is not None:
            others = headers.get("anthropic-beta")
            headers["anthropic-beta"] = f"{others},{_EDITING}" if others else _EDITING
        return headers

    # ── response ──────────────────────────────────────────────────────────────────────────────────────────────

    def _plain(self, reply: HttpReply) -> ModelResponse:
        if reply.status != 200:
            raise self._failure(reply.status, reply.headers, reply.body)
        try:
            found, parts = read_whole(answered, reply.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise unreadable("anthropic", 200, reply.headers, reply.body, secret=self._key()) from error
        return response_of(parts, found.stop_reason, found.usage, string(found.model), reply.headers, None)

    async def _stream(self, answer: HttpStream, draft: Draft) -> ModelResponse:
        parser = SseParser()
        plain: list[bytes] | None = None
        begun = False
        try:
            async for chunk in answer.chunks():
                if not begun and (first := chunk.lstrip()[:1]):
                    begun = True
                    plain = [] if first in (b"{", b"<") else None  # a gateway that does not stream, or its error page
                if plain is not None:
                    plain.append(chunk)
                    continue
                for event in parser.feed(chunk):
                    if (failed := read_whole(draft.take, event.data)) is not None:
                        raise self._reported(failed, answer.headers, draft.started)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._broken("an event of the stream is not what the protocol says", answer) from error
        except ModelError as error:
            if not draft.done:  # once the answer is whole, nothing that happens to the connection matters
                error.request_id = error.request_id or request_id(answer.headers)
                raise
        if plain is not None:
            response = self._plain(HttpReply(200, answer.headers, b"".join(plain)))
            draft.say(response.message.text)
            return response
        if not draft.done:
            raise self._broken("the stream stopped half-way" if draft.started else "the stream held no answer", answer)
        return response_of(draft.parts(), draft.stop, draft.usage, draft.model, answer.headers, draft.first_token)

    def _reported(self, failed: dict[str, Any], headers: Mapping[str, str], started: bool) -> ModelError:
        return reported(
            "anthropic",
            string(failed.get("type")),
            string(failed.get("message")),
            request_id=request_id(headers),
            may_be_billed=started,
            secret=self._key(),
        )

    def _broken(self, what: str, answer: HttpStream) -> BadResponse:
        return BadResponse(
            f"anthropic: {what}", status=answer.status, provider="anthropic", request_id=request_id(answer.headers)
        )

    def _failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        error = failure("anthropic", status, headers, body, now=wall_now(), secret=self._key())
        if isinstance(error, AuthFailed) and status == 401:
            error.hint = "check ANTHROPIC_API_KEY, or the key given as api_key="
        return error


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────


def _check(model: str, able: Capabilities, prelude: Prelude, settings: ModelSettings, max_output: int) -> None:
    def no(what: str, hint: str = "") -> ConfigError:
        return ConfigError(f"{model} {what}", hint=hint)

    if able.max_output is not None and max_output > able.max_output:
        raise no(f"answers with at most {able.max_output:,} tokens", "lower max_output_tokens")
    if settings.seed is not None:
        raise no("has no seed", "leave seed= out")
    _check_sampling(no, able, settings)
    _check_thinking(no, able, settings, max_output)
    for tool in prelude.tools:
        if not _TOOL_NAME.fullmatch(tool.name):
            raise no(f"takes no tool named {tool.name!r}", "use letters, digits, _ and -, at most 128 of them")
    choice = settings.tool_choice
    if choice not in (None, "auto", "none"):
        names = [tool.name for tool in prelude.tools]
        if choice != "required" and choice not in names:
            raise no(f"is told to call {choice!r}, which is none of its tools: {', '.join(names) or 'it has none'}")
        if not names:
            raise no("is told to call a tool and has none", "give the agent tools=, or leave tool_choice out")
        if not able.forced_tools:
            raise no("cannot be forced to call a tool", "use tool_choice='auto' and say so in the instructions")
        if isinstance(settings.thinking, int):
            raise no("does not think on a budget while a tool is forced", "use tool_choice='auto', or thinking='off'")
    if prelude.output is not None:
        if not able.structured:
            raise no("has no structured outputs", "use a newer model, or output_type=str with verify=")
        prelude.wire(_FORMAT, _format)  # raises for a schema that cannot be sent
    _check_extra(no, settings)


def _check_sampling(no: Callable[..., ConfigError], able: Capabilities, settings: ModelSettings) -> None:
    temperature, top_p = settings.temperature, settings.top_p
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if value is None:
            continue
        if not able.sampling:
            raise no(f"takes no {name}", f"leave {name}= out; effort= steers it")
        if not 0 <= value <= 1:
            raise no(f"takes a {name} from 0 to 1, not {value:g}")
    if able.one_sampling and temperature is not None and top_p is not None:
        raise no("takes temperature or top_p, not both")
    if settings.thinking not in (None, "off"):
        if temperature not in (None, 1):
            raise no("thinks at temperature 1 only", "leave temperature= out, or thinking='off'")
        if top_p is not None and top_p < 0.95:
            raise no("thinks with a top_p of 0.95 or more only")


def _check_thinking(
    no: Callable[..., ConfigError], able: Capabilities, settings: ModelSettings, max_output: int
) -> None:
    thinking, effort = settings.thinking, settings.effort
    if effort is not None and effort not in able.efforts:
        known = f"knows the efforts {', '.join(able.efforts)}" if able.efforts else "has no effort setting"
        raise no(f"{known}, not {effort!r}" if able.efforts else known)
    match thinking:
        case None:
            pass
        case "adaptive":
            if not able.adaptive:
                raise no("has no adaptive thinking", "give a budget: thinking=4096" if able.budget else "")
        case "off":
            if able.thinks == "always":
                raise no("always thinks", "leave thinking= out; effort='low' thinks least")
            if effort in able.efforts_of_thinking:
                raise no(f"needs thinking for effort={effort!r}", "use effort='high', or leave thinking= out")
        case int() as budget:
            if not able.budget:
                raise no("takes no thinking budget", "use thinking='adaptive' with effort=" if able.adaptive else "")
            if budget < 1024:
                raise no(f"needs a thinking budget of 1,024 tokens or more, not {budget:,}")
            if budget >= max_output:
                raise no(
                    f"cannot think for {budget:,} tokens within an output cap of {max_output:,}",
                    "raise max_output_tokens, which includes thinking, or lower thinking=",
                )


def _check_extra(no: Callable[..., ConfigError], settings: ModelSettings) -> None:
    extra = settings.extra
    if not extra:
        return
    taken = {"temperature", "top_p", "thinking", "tool_choice"} & set(settings.given())
    for name in extra:
        if name in _OURS or name in taken:
            raise no(f"gets {name!r} from Outlay, it cannot stand in extra= too")
    if not isinstance(extra.get("tools", []), list) or not isinstance(extra.get("output_config", {}), dict):
        raise no("takes a list as extra['tools'] and a dict as extra['output_config']")
    try:
        marks = _encode(extra).count(_MARK + b":{")  # of a text the quotes would be escaped
    except (TypeError, ValueError) as error:
        raise no(f"cannot be sent this extra=: {error}") from error
    if marks > _MOST_MARKS:
        raise no(f"takes at most {_MOST_MARKS} cache breakpoints, extra= has {marks}", "leave some out")


def _context_management(edit: ContextEdit | None) -> bytes:
    """Asked for whenever there is a tool use at all: what to keep was decided here, and grows with each turn, so that
    what is cleared stays the same and the provider's cache finds it."""
    if edit is None:
        return b""
    one = {"type": "tool_uses", "value": 1}
    asked = {"type": "clear_tool_uses_20250919", "trigger": one, "keep": one | {"value": edit.keep}}
    return b'"context_management":' + _encode({"edits": [asked]}) + b","


def _sampling(settings: ModelSettings) -> bytes:
    said = b""
    if settings.temperature is not None:
        said += b'"temperature":' + _encode(settings.temperature) + b","
    if settings.top_p is not None:
        said += b'"top_p":' + _encode(settings.top_p) + b","
    if settings.stop:
        said += b'"stop_sequences":' + _encode(settings.stop) + b","
    return said


def _tool_choice(choice: str | None) -> dict[str, str] | None:
    match choice:
        case None:
            return None
        case "auto" | "none":
            return {"type": choice}
        case "required":
            return {"type": "any"}
        case name:
            return {"type": "tool", "name": name}


def _thinking(settings: ModelSettings, able: Capabilities) -> dict[str, Any] | None:
    match settings.thinking:
        case None:
            return None
        case "off":
            # Some models that do not think by themselves refuse to be told so.
            return None if able.thinks == "asked" else {"type": "disabled"}
        case "adaptive":
            return {"type": "adaptive"}
        case budget:
            return {"type": "enabled", "budget_tokens": budget}


def _output_config(prelude: Prelude, settings: ModelSettings) -> bytes:
    parts: list[bytes] = []
    if prelude.output is not None:
        parts.append(b'"format":' + prelude.wire(_FORMAT, _format))
    if settings.effort is not None:
        parts.append(b'"effort":' + _encode(settings.effort))
    if settings.extra and (more := settings.extra.get("output_config")):
        parts.append(_encode(more)[1:-1])
    return b",".join(parts)


# ── prelude and messages, each encoded once ───────────────────────────────────────────────────────────────────

_SYSTEM: Final = "anthropic.system"
_TOOLS: Final = "anthropic.tools"
_FORMAT: Final = "anthropic.format"
_MEDIA: Final = "anthropic.media"


def _system(prelude: Prelude, marks: Mapping[int, Life] = MappingProxyType({})) -> bytes:
    blocks: list[bytes] = []
    for i, text in enumerate(prelude.system):
        if text.strip():
            block = b'{"type":"text","text":' + _string(text) + b"}"
            blocks.append(_marked(block, b"}", marks[i]) if i in marks else block)
    return b"[" + b",".join(blocks) + b"]" if blocks else b""


def _lives(plan: CachePlan | None) -> dict[tuple[str, int], Life]:
    return {} if plan is None else {(mark.part, mark.index): mark.life for mark in plan.marks}


def _marked_system(prelude: Prelude, lives: Mapping[tuple[str, int], Life]) -> bytes:
    marks: dict[int, Life] = {index: life for (part, index), life in lives.items() if part == "system"}
    if not marks:
        return prelude.wire(_SYSTEM, _system)
    return prelude.wire(f"{_SYSTEM} {marks}", partial(_system, marks=marks))


def _messages(request: ModelRequest) -> list[bytes]:
    """The conversation from its cached bytes. A breakpoint adds a member to the last block of a message and leaves
    every byte before it, and the cached ones, as they were."""
    marked = _lives(request.cache_plan).items()
    lives: dict[int, Life] = {index: life for (part, index), life in marked if part == "message"}
    if not lives:
        return request.transcript.pieces(DIALECT, _message)
    found: list[bytes] = []
    for index, message in enumerate(request.messages):
        if piece := message.wire(DIALECT, _message):
            if (life := lives.get(index)) and _takes_mark(message):
                piece = _marked(piece, b"}]}", life)
            found += (piece, b",")
    return found[:-1]


def _takes_mark(message: Message) -> bool:
    """Neither thinking nor an empty text may carry a breakpoint; what users and tools say is neither, if not blank."""
    blank = all(isinstance(part, Text) and not part.text.strip() for part in message.parts)
    return message.role != "assistant" and not blank


def _marked(block: bytes, end: bytes, life: Life) -> bytes:
    """JSON that ends with the closing `end` of a block, with a breakpoint as the block's last member."""
    ttl = b',"ttl":"1h"' if life == "1h" else b""
    return block.removesuffix(end) + b',"cache_control":{"type":"ephemeral"' + ttl + b"}" + end


def _tools(prelude: Prelude) -> bytes:
    found: list[bytes] = []
    for tool in prelude.tools:
        said = b',"description":' + _string(tool.description) if tool.description else b""
        found.append(b'{"name":%b%b,"input_schema":%b}' % (_string(tool.name), said, tool.schema.encode()))
    return b",".join(found)


def _format(prelude: Prelude) -> bytes:
    if prelude.output is None:
        return b""
    schema = accepted(msgspec.json.decode(prelude.output.schema, type=dict[str, Any]))
    return b'{"type":"json_schema","schema":' + _encode(schema) + b"}"


def _message(message: Message) -> bytes:
    """One message. Tool results are user messages; Anthropic joins neighbours of one role into one turn.

    Results come first, as the provider demands. Blank texts, which it refuses, are left out.
    """
    parts = sorted(message.parts, key=_after_results) if message.tool_results else message.parts
    blocks = [block for part in parts if (block := _block(part))]
    if not blocks:
        if message.role == "assistant" or not message.parts:
            return b""
        blocks = [b'{"type":"text","text":' + _string(message.text) + b"}"]
    role = b"assistant" if message.role == "assistant" else b"user"
    return b'{"role":"%b","content":[%b]}' % (role, b",".join(blocks))


def _length(message: Message) -> int:
    return len(message.wire(DIALECT, _message))


def _after_results(part: Part) -> bool:
    return not isinstance(part, ToolResult)


def _block(part: Part) -> bytes:
    match part:
        case Text(text):
            return b'{"type":"text","text":' + _string(text) + b"}" if text.strip() else b""
        case ToolCall(id, name, arguments):
            return b'{"type":"tool_use","id":%b,"name":%b,"input":%b}' % (
                _encode(_SAFE_ID.sub("_", id)),
                _string(name),
                as_object(arguments),
            )
        case ToolResult(call_id, _, content, is_error):
            return b'{"type":"tool_result","tool_use_id":%b%b%b}' % (
                _encode(_SAFE_ID.sub("_", call_id)),
                b',"content":' + _string(content) if content else b"",
                b',"is_error":true' if is_error else b"",
            )
        case ProviderBlock(dialect, _, json):
            return json.encode() if dialect == DIALECT else b""
        case Image():
            return _picture(part.data, part.url, None, part.media_type or "image/png")
        case File():
            return _document(part)


def _picture(data: bytes | None, url: str | None, file_id: str | None, media_type: str) -> bytes:
    return b'{"type":"image","source":' + _source(data, url, file_id, media_type) + b"}"


def _document(file: File) -> bytes:
    kind = file.media_type.partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        return _picture(file.data, file.url, file.file_id, kind)
    if file.data is None or kind == "application/pdf":
        source = _source(file.data, file.url, file.file_id, kind)
    elif _is_text(kind):
        text = _string(file.data.decode(errors="replace"))
        source = b'{"type":"text","media_type":"text/plain","data":' + text + b"}"
    else:
        raise ConfigError(f"Anthropic takes no file of type {kind} ({file.name})", hint="send a PDF, a picture or text")
    title = b',"title":' + _string(file.name) if file.name != "file" else b""
    return b'{"type":"document","source":' + source + title + b"}"


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind.endswith(("json", "xml", "yaml", "toml", "javascript"))


def _source(data: bytes | None, url: str | None, file_id: str | None, media_type: str) -> bytes:
    if data is not None:
        return b'{"type":"base64","media_type":%b,"data":"%b"}' % (_encode(media_type), base64.b64encode(data))
    if url is not None:
        return b'{"type":"url","url":' + _string(url) + b"}"
    return b'{"type":"file","file_id":' + _string(file_id or "") + b"}"


def _string(text: str) -> bytes:
    try:
        return _encode(text)
    except UnicodeEncodeError:  # half a surrogate pair, from a cut text
        return _encode(text.encode(errors="replace").decode())


# ── the bound of pictures and documents ───────────────────────────────────────────────────────────────────────


class _Media(msgspec.Struct, array_like=True):
    """What a message holds beside text: bytes of base64, pictures (patches each), pages, documents of unknown size."""

    base64: int = 0
    pictures: list[int] = []
    pages: int = 0
    unknown: int = 0


def _media(message: Message) -> bytes:
    if all(isinstance(part, Text) for part in message.parts):
        return b""
    found = _Media()
    for part in message.parts:
        if isinstance(part, Image):
            _add_picture(found, part.data)
        elif isinstance(part, File):
            kind = part.media_type.partition(";")[0].strip().lower()
            if kind.startswith("image/"):
                _add_picture(found, part.data)
            elif part.data is None:
                found.unknown += 1
            elif kind == "application/pdf":
                found.base64 += _base64_length(part.data)
                found.pages += pdf_pages(part.data) or _MOST_PAGES
    return b"" if found == _Media() else msgspec.json.encode(found)


def _media_length(message: Message) -> int:
    return len(message.wire(_MEDIA, _media))


def _add_picture(found: _Media, data: bytes | None) -> None:
    size = None if data is None else image_size(data)
    if data is not None:
        found.base64 += _base64_length(data)
    # Two published formulas, the larger of both: a token for 750 pixels, and one for each patch of 28 × 28.
    found.pictures.append(
        -1 if size is None else max(-(-size[0] * size[1] // 750), -(-size[0] // 28) * -(-size[1] // 28))
    )


def _media_tokens(encoded: bytes, able: Capabilities) -> int:
    media = msgspec.json.decode(encoded, type=_Media)
    most = able.image_tokens
    pictures = sum(most if found < 0 else min(found, most) for found in media.pictures)
    window = able.context or _LARGEST_CONTEXT
    return pictures + media.pages * (most + _PAGE_TEXT) + media.unknown * window - media.base64


def _base64_length(data: bytes) -> int:
    return -(-len(data) // 3) * 4


def _server_steps(extra: Mapping[str, Any]) -> int:
    """How often the provider may go on by itself and read the conversation again."""
    if extra.get("mcp_servers"):
        return UNBOUNDED
    steps = 0
    for tool in cast("list[Any]", extra.get("tools") or []):
        described = table(tool)
        if not string(described.get("type")).startswith(_CLIENT_TOOLS):
            steps += number(described.get("max_uses")) or UNBOUNDED
    management = table(extra.get("context_management"))
    for edit in cast("list[Any]", management.get("edits") or []):
        steps += string(table(edit).get("type")).startswith("compact_")
    return steps
