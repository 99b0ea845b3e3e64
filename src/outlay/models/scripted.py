"""Models that are your own code: scripted ones for tests, and the offline stand-ins for real ones."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from outlay.errors import ConfigError
from outlay.models.prices import InTier
from outlay.models.scripted_batches import BatchesOf, ScriptedBatches
from outlay.protocols.batches import Batches, batches_of
from outlay.protocols.logprobs import check_logprobs
from outlay.protocols.model import Model
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import Transport
from outlay.protocols.window import window_of
from outlay.values.content import Part, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.logprobs import logprobs_block
from outlay.values.message import Message
from outlay.values.money import usd
from outlay.values.price import Price
from outlay.values.reply import Reply
from outlay.values.request import ModelRequest, ModelResponse, Prelude, StopKind
from outlay.values.settings import ModelSettings
from outlay.values.usage import Usage

if TYPE_CHECKING:
    from pydantic import TypeAdapter  # half of the time that `import outlay` took

#: `(request) -> reply`, sync or async: a string, a value of the output type, an exception to raise, or a Reply.
Answering: TypeAlias = Callable[[ModelRequest], Any]

CHARACTERS_PER_TOKEN = 4
_PIECES = re.compile(r"\S+\s*|\s+")


class ScriptedModel:
    """A model that says what you tell it to.

    `replies` is a list, used up in the order in which calls begin, or a function of the request. `price` is US
    dollars per million tokens of input and of output, None for an unpriced model; `latency` in seconds passes
    before an answer and before an error. `name` is also its id, and the provider that breakers count under.
    An answer longer than the request's output cap is cut there, as a provider would, unless it states its usage.
    `calls` are the requests seen, in the order in which they began. `batches` is how its batches go, which cost half
    the price, as they do at the providers.
    """

    def __init__(
        self,
        replies: Sequence[Any] | Answering,
        *,
        name: str = "scripted",
        price: tuple[Any, Any] | None = None,
        latency: float = 0.0,
        batches: ScriptedBatches | None = None,
    ) -> None:
        given: Any = replies
        if isinstance(given, (str, bytes)) or not (callable(given) or isinstance(given, Sequence)):
            raise ConfigError(
                f"ScriptedModel: {given!r} is neither a list of replies nor a function",
                hint="write ScriptedModel(['…']) or ScriptedModel(lambda request: '…')",
            )
        if not 0 <= latency < float("inf"):
            raise ConfigError(f"ScriptedModel: latency is in seconds and not negative, not {latency!r}")
        listed: tuple[Any, ...] = () if callable(replies) else tuple(replies)
        self._replies = replies if callable(replies) else listed
        self._name = name
        rates = None if price is None else (usd(price[0]), usd(price[1]))
        self._price = None if rates is None else Price.per_million(*rates)
        self._half = None if rates is None else Price.per_million(*(rate / 2 for rate in rates))
        self._latency = latency
        self._batches = (batches or ScriptedBatches()).of(self)
        self._taken = threading.Lock()
        stated = [reply.usage for reply in listed if isinstance(reply, Reply)]
        #: The most input that a reply states, as far as that is known before it is given.
        self._stated_input = max((usage.all_input_tokens for usage in stated if usage is not None), default=0)
        self.calls: list[ModelRequest] = []

    def __repr__(self) -> str:
        return f"ScriptedModel(name={self._name!r}, calls={len(self.calls)})"

    @property
    def id(self) -> str:
        return self._name

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider(self) -> str:
        return self._name

    @property
    def dialect(self) -> str:
        return "scripted"

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """A script can do everything."""

    def check_logprobs(self, settings: ModelSettings) -> None:
        """Each `Reply` says them, or does not."""

    def price(self, book: PriceBook) -> Price | None:
        return self._half if isinstance(book, InTier) and book.tier == "batch" else self._price

    def batches(self) -> BatchesOf:
        return self._batches

    def bound(self, request: ModelRequest) -> int:
        """The very estimate that is billed, or what a listed reply states where that is more.

        What a function states is known only afterwards: the first time it settles above its bound, as an overrun.
        """
        return max(self.estimate(request), self._stated_input)

    def estimate(self, request: ModelRequest) -> int:
        """The input tokens of a request whose reply does not state them."""
        return estimate_input(request)

    @property
    def is_function(self) -> bool:
        """It answers any number of requests, where a list of replies is used up."""
        return callable(self._replies)

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        return None

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        with self._taken:  # one script may serve several loops
            number = len(self.calls)
            self.calls.append(request)
        if self._latency:
            await asyncio.sleep(self._latency)
        reply = _reply(await self._next(number, request), request)
        response = _response(reply, request, self)
        if reply.usage is not None:
            self._stated_input = max(self._stated_input, reply.usage.all_input_tokens)
        if on_text is not None:
            for piece in _PIECES.findall(response.message.text):
                on_text(piece)
        return response

    async def _next(self, number: int, request: ModelRequest) -> Any:
        if callable(self._replies):
            answer: Any = self._replies(request)
            return await answer if inspect.isawaitable(answer) else answer
        if number >= len(self._replies):
            raise ConfigError(
                f"scripted model {self._name!r} was called {number + 1} times and has {len(self._replies)} replies",
                path=request.path,
                hint="give it one reply for each call, retries and failed validations included, or a function",
            )
        return self._replies[number]


class _StandIn(ScriptedModel):
    """A function in the place of a real model."""

    @property
    def dialect(self) -> str:
        return "offline"


class Offline:
    """Plays a model without a key: answers with your function or model, and costs what the real one would.

    It has the id, the name and the price of `stands_for`, so budgets and bills mean the same; its tokens
    are estimates of its own text. `provider` is `offline`, which is how events tell it apart.
    """

    def __init__(self, answers: Answering | Model, stands_for: Model) -> None:
        # A Model is told from a function by `send`: both may be callable.
        given: Any = answers
        self._inner: Model = cast("Model", given) if hasattr(given, "send") else _StandIn(given, name="offline")
        self._stands_for = stands_for
        self._batches = ScriptedBatches().of(self)

    def __repr__(self) -> str:
        return f"Offline({self.id!r})"

    @property
    def id(self) -> str:
        return self._stands_for.id

    @property
    def name(self) -> str:
        return self._stands_for.name

    @property
    def provider(self) -> str:
        return "offline"

    @property
    def dialect(self) -> str:
        return self._inner.dialect

    @property
    def context_window(self) -> int | None:
        return window_of(self._stands_for)

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """What the stand-in can do. The real model's check wants a key, which nobody has offline."""
        self._inner.check(prelude, settings, max_output_tokens)

    def check_logprobs(self, settings: ModelSettings) -> None:
        """What the real model gives: a flow that is refused live is refused here."""
        check_logprobs(self._stands_for, settings)

    def price(self, book: PriceBook) -> Price | None:
        return self._stands_for.price(book)

    def batches(self) -> Batches | None:
        """None where the real model has none either."""
        return None if batches_of(self._stands_for) is None else self._batches

    def bound(self, request: ModelRequest) -> int:
        return self._inner.bound(request)

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        return await self._inner.count(request, transport)

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        return await self._inner.send(request, transport, on_text)


def estimate_input(request: ModelRequest) -> int:
    """The tokens of all text that a provider would read, at four characters each."""
    return tokens_in(prelude_length(request.prelude) + request.transcript.total("text", text_length))


def tokens_in(characters: int) -> int:
    """Tokens of so many characters, four each; at least one."""
    return max(1, -(-characters // CHARACTERS_PER_TOKEN))


def prelude_length(prelude: Prelude) -> int:
    """Characters of instructions, tools and output schema."""
    length = sum(map(len, prelude.system)) + (0 if prelude.output is None else len(prelude.output.schema))
    return length + sum(len(tool.name) + len(tool.description) + len(tool.schema) for tool in prelude.tools)


def text_length(message: Message) -> int:
    """Characters of a message. Pictures and files count as nothing: a script does not look at them."""
    length = 0
    for part in message.parts:
        match part:
            case Text(text):
                length += len(text)
            case ToolCall(_, name, arguments):
                length += len(name) + len(arguments)
            case ToolResult(_, name, content):
                length += len(name) + len(content)
            case _:
                pass
    return length


def _reply(said: Any, request: ModelRequest) -> Reply:
    """What the script gave, as a Reply. Raises it if it is an exception."""
    if isinstance(said, BaseException):
        raise said.with_traceback(None)  # the same instance may stand in a script several times
    if isinstance(said, type) and issubclass(said, BaseException):
        raise said
    if isinstance(said, Reply):
        return said
    if isinstance(said, str):
        return Reply(_text(said, request))
    return Reply(_encoded(said, request))


def _text(said: str, request: ModelRequest) -> str:
    """A string is the answer as it stands, unless it is itself a value of a wrapped output type such as a Literal."""
    spec = request.prelude.output
    if spec is None or not spec.wrapped or _is_wrapped(said):
        return said
    from pydantic import ValidationError

    try:
        value = _adapter(request.output_type).validate_python(said)
    except ValidationError:
        return said
    return _json({"value": value})


def _adapter(output_type: Any) -> TypeAdapter[Any]:
    try:
        return _kept_adapter(output_type)
    except TypeError:  # Annotated with something that has no hash
        return _kept_adapter.__wrapped__(output_type)


@lru_cache(maxsize=256)
def _kept_adapter(output_type: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(output_type)


def _is_wrapped(said: str) -> bool:
    try:
        value: Any = json.loads(said)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and list(cast("dict[str, Any]", value)) == ["value"]


def _encoded(value: Any, request: ModelRequest) -> str:
    spec = request.prelude.output
    wrapped = spec is not None and spec.wrapped
    if value is None and not wrapped:
        raise ConfigError(
            "the script answered None", path=request.path, hint="return text, a value of the output type, or a Reply"
        )
    return _json({"value": value} if wrapped else value)


def _json(value: Any) -> str:
    from pydantic_core import to_jsonable_python

    return json.dumps(to_jsonable_python(value), ensure_ascii=False)


def _response(reply: Reply, request: ModelRequest, model: ScriptedModel) -> ModelResponse:
    calls = [(name, given if isinstance(given, str) else _json(given)) for name, given in reply.tool_calls]
    text, thinking = reply.text, reply.thinking
    stop: StopKind = reply.stop or ("tool" if calls else "end")
    usage = reply.usage
    if usage is None:
        size = len(text) + len(thinking) + sum(len(name) + len(arguments) for name, arguments in calls)
        if tokens_in(size) > request.max_output_tokens:
            room = max(0, request.max_output_tokens) * CHARACTERS_PER_TOKEN
            thinking, room = thinking[:room], max(0, room - len(thinking))
            text, calls, stop = text[:room], [], "length"
            size = len(text) + len(thinking)
        usage = Usage(input_tokens=model.estimate(request), output_tokens=tokens_in(size))
    elif request.clipped and usage.output_tokens > request.max_output_tokens:
        # what a provider does with a cap that a budget lowered; a cap of your own is yours to make fit the reply
        usage, calls, stop = replace(usage, output_tokens=request.max_output_tokens), [], "length"
    parts: list[Part] = []
    if thinking:
        parts.append(ProviderBlock(model.dialect, "thinking", _json({"thinking": thinking}), thinking))
    if text:
        parts.append(Text(text))
    # From the conversation, not a counter, so that the same turn has the same ids however calls interleave.
    turn = request.transcript.head.hex()[:12]
    parts += [ToolCall(f"call_{turn}_{i}", name, arguments) for i, (name, arguments) in enumerate(calls)]
    if reply.logprobs and request.logprobs:
        tokens = [(len(piece.encode()), value) for piece, value in reply.logprobs]
        parts.append(logprobs_block(model.dialect, tokens))
    return ModelResponse(Message("assistant", tuple(parts)), stop, usage, model=model.name)
