"""A model behind a bad line, and the books of the provider behind it.

Every answer goes through a real adapter (Anthropic's), over a transport that suffers the fate that was drawn: headers,
bodies and streams are parsed by the code that parses real ones. The provider writes down what it bills by request id,
whatever the client came to see: that is what a ledger can be held against.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, ClassVar

from outlay.errors import BadResponse, ModelError, ModelTimeout
from outlay.models.anthropic import LONGEST_PLAIN, Anthropic
from outlay.protocols.logprobs import check_logprobs
from outlay.protocols.model import Model
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import HttpReply, HttpStream, Timeouts, Transport
from outlay.runtime.directory import default_prices
from outlay.runtime.ownership import played
from outlay.sim import wire
from outlay.sim.faults import Fate, Faults
from outlay.values.content import Part, Text
from outlay.values.message import Message
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.settings import ModelSettings
from outlay.values.transcript import EMPTY
from outlay.values.usage import Usage

_ADAPTER = Anthropic("simulated", api_key="simulated", base_url="http://simulated.invalid")
_NO_PRELUDE = Prelude()
_TIMEOUTS = Timeouts()
_STATUS = {"rate_limited": 429, "overloaded": 529, "server_error": 500}
#: A provider that ignores the output cap charges this many times the tokens of the cap.
OVER = 2
#: Seconds between two drops of an answer that is dripped out.
_DRIP = 45.0


@dataclass(slots=True)
class Exchange:
    """One request as the provider saw it. `usage` and `usd` are what it billed, None for nothing; `reported` says
    whether the answer told them. `began` in loop time, `ended` None while it is open."""

    id: str
    agent: str
    path: str
    model: str
    head: str
    began: float
    ended: float | None = None
    usage: Usage | None = None
    usd: Decimal | None = None
    reported: bool = False
    by: str = ""


@dataclass(slots=True)
class Books:
    """A provider's own record, in the order in which requests arrived. `on_request` is called before each, `on_answer`
    when the work is done and billed, before the client hears of it."""

    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    on_request: Callable[[ModelRequest], None] | None = None
    on_answer: Callable[[Exchange], None] | None = None
    _asked: Counter[str] = field(default_factory=Counter[str])

    @property
    def open(self) -> list[Exchange]:
        """Those whose connection is still up."""
        return [exchange for exchange in self.exchanges if exchange.ended is None]

    @property
    def billed(self) -> Decimal:
        """The invoice, in US dollars; what has no price is not in it."""
        return sum((exchange.usd for exchange in self.exchanges if exchange.usd is not None), Decimal(0))

    def begin(self, model: str, request: ModelRequest, now: float) -> tuple[Exchange, str, int]:
        """A request arrives: its line in the books, what it asks for, and how often that was asked before."""
        head = request.transcript.head.hex()
        what = f"{request.path} {head}"
        time = self._asked[what]
        self._asked[what] += 1
        exchange = Exchange(
            f"req_{len(self.exchanges)}", request.agent, request.path, model, head, now, by=played.get()
        )
        self.exchanges.append(exchange)
        return exchange, what, time


class FaultyModel:
    """`inner` as its provider serves it on a bad day. Made by `Faults.wrap`."""

    #: What would go by batch is asked at once, and meets its faults one by one.
    asked_at_once: ClassVar[bool] = True

    def __init__(self, inner: Model, faults: Faults, books: Books | None = None) -> None:
        self._inner = inner
        self.faults = faults
        self.books = books if books is not None else Books()

    def __repr__(self) -> str:
        return f"FaultyModel({self._inner!r})"

    @property
    def id(self) -> str:
        return self._inner.id

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def provider(self) -> str:
        return self._inner.provider

    @property
    def dialect(self) -> str:
        return self._inner.dialect

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        self._inner.check(prelude, settings, max_output_tokens)

    def check_logprobs(self, settings: ModelSettings) -> None:
        check_logprobs(self._inner, settings)

    def price(self, book: PriceBook) -> Price | None:
        return self._inner.price(book)

    def bound(self, request: ModelRequest) -> int:
        return self._inner.bound(request)

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        return await self._inner.count(request, transport)

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        if self.books.on_request is not None:
            self.books.on_request(request)
        now = asyncio.get_running_loop().time
        exchange, what, time = self.books.begin(self.id, request, now())
        fate = self.faults.fate(what, time)
        line = _Line(self._inner, request, transport, exchange, fate)
        heard = self.books.on_answer
        # the adapter asks for what it always would; what is answered is the line's doing
        cap = LONGEST_PLAIN + 1 if fate.streamed else 1
        bare = ModelRequest(request.agent, request.path, _NO_PRELUDE, EMPTY, cap)
        try:
            response = await _ADAPTER.send(bare, line, on_text)
            if heard is not None:
                heard(exchange)
            return response
        except asyncio.CancelledError:
            if fate.billed and line.answer is not None:  # the work was done, and nobody took it
                line.bill(line.answer.usage)
            raise
        except ModelError as error:
            error.provider = self.provider
            raise
        finally:
            exchange.ended = now()


class _Line:
    """The connection of one request (protocols.transport.Transport)."""

    def __init__(
        self, inner: Model, request: ModelRequest, transport: Transport, exchange: Exchange, fate: Fate
    ) -> None:
        self._inner = inner
        self._request = request
        self._transport = transport
        self._exchange = exchange
        self._fate = fate
        self.answer: ModelResponse | None = None

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = _TIMEOUTS
    ) -> HttpReply:
        refused = await self._meets(timeouts)
        if refused is not None:
            return refused
        answer, usage = await self._answer(timeouts)
        whole = wire.plain(answer, usage)
        if self._fate.kind == "broken_json":
            whole = whole[: max(1, int(len(whole) * self._fate.variant * 0.99))]
        return HttpReply(200, self._headers(), whole)

    async def get(self, url: str, headers: Mapping[str, str], timeouts: Timeouts = _TIMEOUTS) -> HttpReply:
        return HttpReply(404, {}, wire.error_body(404))  # it has nothing but answers

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = _TIMEOUTS
    ) -> AsyncGenerator[HttpStream]:
        refused = await self._meets(timeouts)
        if refused is not None:
            yield _Body(refused.status, refused.headers, [refused.body])
            return
        answer, usage = await self._answer(timeouts)
        pieces = list(wire.events(answer, usage, twice=self._fate.kind == "duplicate_events"))
        if self._fate.kind == "broken_json":
            kept = int(len(pieces) * self._fate.variant)  # half an event, and nothing after it
            pieces = [*pieces[:kept], pieces[kept][: len(pieces[kept]) // 2]]
        yield _Body(200, self._headers(), pieces)

    def bill(self, usage: Usage | None) -> None:
        exchange = self._exchange
        price = self._inner.price(default_prices())
        exchange.usage = usage
        exchange.usd = None if price is None or usage is None else price.cost(usage)

    def _headers(self) -> dict[str, str]:
        return {"content-type": "application/json", "request-id": self._exchange.id}

    async def _meets(self, timeouts: Timeouts) -> HttpReply | None:
        """What keeps the request from the model. Raises ModelTimeout."""
        fate = self._fate
        if fate.kind == "no_connection":
            await asyncio.sleep(timeouts.connect)
            raise ModelTimeout(f"no connection within {timeouts.connect:g} s (simulated)", may_be_billed=False)
        status = _STATUS.get(fate.kind or "")
        if status is None:
            return None
        await asyncio.sleep(fate.latency)
        headers = self._headers()
        if status == 429 and fate.retry_after is not None:
            headers["retry-after"] = fate.retry_after
        return HttpReply(status, headers, wire.error_body(status))

    async def _answer(self, timeouts: Timeouts) -> tuple[ModelResponse, dict[str, Any] | None]:
        """What the model says, after its time, and the usage as it is reported. Raises ModelError where the line does
        not let it through."""
        fate = self._fate
        self.answer = answer = self._as_drawn(await self._inner.send(self._request, self._transport))
        await asyncio.sleep(fate.latency)
        usage = answer.usage
        match fate.kind:
            case "read_timeout" | "half_open":
                if fate.billed:
                    self.bill(usage)
                silent = timeouts.silence if fate.kind == "read_timeout" else timeouts.total
                await asyncio.sleep(silent)
                raise ModelTimeout(f"silent for {silent:g} s (simulated)", request_id=self._exchange.id)
            case "slow_loris":
                self.bill(usage)
                drops = 1 + int(fate.variant * 2 * timeouts.total / _DRIP)
                await asyncio.sleep(min(drops * _DRIP, timeouts.total))
                if drops * _DRIP >= timeouts.total:
                    raise ModelTimeout(f"no whole answer within {timeouts.total:g} s (simulated)")
            case "reset":
                self.bill(usage)
                raise BadResponse("the connection was closed without a whole answer (simulated)")
            case "wrong_usage" if fate.variant < 1 / 3 or usage is None:
                self.bill(usage)
                return answer, None
            case "wrong_usage" if fate.variant < 2 / 3:
                self.bill(usage)
                return answer, {"input_tokens": "many", "output_tokens": -1}
            case "wrong_usage":
                assert usage is not None, "the first case"
                usage = replace(usage, output_tokens=OVER * self._request.max_output_tokens)
            case _:
                pass
        self.bill(usage)
        self._exchange.reported = usage is not None and fate.kind != "broken_json"
        return answer, None if usage is None else wire.usage_of(usage)

    def _as_drawn(self, answer: ModelResponse) -> ModelResponse:
        """The answer in the length and quality that were drawn; one over the cap is cut there, as providers do."""
        fate, usage, cap = self._fate, answer.usage, self._request.max_output_tokens
        if not fate.good:
            answer = replace(answer, message=Message("assistant", tuple(map(_half, answer.message.parts))))
        if fate.tokens is not None and usage is not None:
            answer = replace(answer, usage=replace(usage, output_tokens=min(fate.tokens, cap)))
            if fate.tokens > cap:
                texts = tuple(part for part in answer.message.parts if isinstance(part, Text))
                answer = replace(answer, stop="length", message=Message("assistant", texts))
        return answer


def _half(part: Part) -> Part:
    return Text(part.text[: len(part.text) // 2]) if isinstance(part, Text) else part


class _Body:
    """A streamed answer (protocols.transport.HttpStream)."""

    def __init__(self, status: int, headers: Mapping[str, str], pieces: list[bytes]) -> None:
        self.status = status
        self.headers = headers
        self._pieces = pieces

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def read(self) -> bytes:
        return b"".join(self._pieces)
