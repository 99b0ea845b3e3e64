"""Door: the emulator without its sockets, so that it can answer on virtual time.

Requests and answers are the bytes that a provider gets and gives, the prompt cache and the books are the emulator's
own; Message Batches end after `BATCH_SECONDS`. Left out is what sockets are for: faults, limits that refuse,
connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import urlsplit

from outlay.emulator import json
from outlay.emulator.behaviour import Behaviour
from outlay.emulator.delivery import sent_headers
from outlay.emulator.engine import Made
from outlay.emulator.faults import Fault
from outlay.emulator.latency import Latency
from outlay.emulator.limits import Limits
from outlay.emulator.problems import Problem
from outlay.emulator.rooms import Rooms
from outlay.emulator.settings import Settings
from outlay.emulator.wire import Event, Wire
from outlay.protocols.transport import HttpReply, Timeouts

_KEY = "sk-emulator"
_BATCHES = "/v1/messages/batches"
#: Assumed: how long a batch takes. Providers promise a day, and say that most take less than an hour.
BATCH_SECONDS = 3_600.0


class Door:
    """A `Transport` that leads into an emulator in the same process. `latency` by model."""

    def __init__(self, behaviour: Behaviour, latency: Mapping[str, Latency], clock: Callable[[], float]) -> None:
        settings = Settings(
            behaviour,
            models=frozenset(),
            api_keys=frozenset(),
            faults=None,
            limits=Limits(),
            latency=Latency(),
            batch_seconds=BATCH_SECONDS,
            batch_results=list,
            seed=0,
            clock=clock,
            keep_requests=0,
        )
        self._rooms = Rooms(settings)
        self._latency = latency
        self._random = Random(0)
        self._wires: dict[str, Wire] = {
            "/v1/messages": self._rooms.messages,
            "/v1/responses": self._rooms.responses,
            "/v1/chat/completions": self._rooms.chat,
        }

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts | None = None
    ) -> HttpReply:
        if urlsplit(url).path == _BATCHES:
            made_one = self._rooms.message_batches.create(json.table(json.decode(body)), _KEY, "")
            return HttpReply(200, {}, json.encode(made_one))
        try:
            wire, made = await self._made(url, body)
        except Problem as problem:
            return self._refusal(problem)
        first, per_token = self._pace(made)
        self._rooms.engine.bill(made, None)
        await asyncio.sleep(first + per_token * made.answer.usage.output_tokens)
        self._rooms.engine.begin(made)
        return HttpReply(200, self._headers(made), json.encode(wire.plain(made.call, made.answer, "standard")))

    async def get(self, url: str, headers: Mapping[str, str], timeouts: Timeouts | None = None) -> HttpReply:
        """A batch as it stands, or its results."""
        path, batches = urlsplit(url).path, self._rooms.message_batches
        batch, _, what = path.removeprefix(f"{_BATCHES}/").partition("/")
        if what == "results":
            return HttpReply(200, {}, await batches.results(batch))
        return HttpReply(200, {}, json.encode(await batches.retrieve(batch, "")))

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts | None = None
    ) -> AsyncGenerator[Body]:
        try:
            wire, made = await self._made(url, body)
        except Problem as problem:
            refused = self._refusal(problem)
            yield Body(refused.status, refused.headers, [Event(refused.body)], 0.0)
            return
        first, per_token = self._pace(made)
        await asyncio.sleep(first)
        self._rooms.engine.begin(made)
        self._rooms.engine.bill(made, None)
        yield Body(200, self._headers(made), wire.events(made.call, made.answer), per_token)

    async def _made(self, url: str, body: bytes) -> tuple[Wire, Made]:
        wire, engine = self._wires[urlsplit(url).path], self._rooms.engine
        call = wire.read(json.table(json.decode(body)))
        engine.check(call)
        plan = engine.plan(call, _KEY)
        said = await engine.ask(call)
        if isinstance(said, Fault):
            raise TypeError("a door has no faults: use the emulator over sockets")
        return wire, engine.make(call, said, plan)

    def _pace(self, made: Made) -> tuple[float, float]:
        return self._latency[made.call.request.model].draw(self._random)

    def _headers(self, made: Made) -> dict[str, str]:
        request = made.call.request
        said = sent_headers(request.provider, self._rooms.ids.draw("req_"))
        return said | self._rooms.limiter.headers(request.provider, request.model)

    def _refusal(self, problem: Problem) -> HttpReply:
        answer = problem.answer
        return HttpReply(answer.status, answer.headers, json.encode(answer.body("anthropic", "req_refused")))


class Body:
    """An answer that arrives at its pace (protocols.transport.HttpStream)."""

    def __init__(self, status: int, headers: Mapping[str, str], events: list[Event], per_token: float) -> None:
        self.status = status
        self.headers = headers
        self._events = events
        self._per_token = per_token

    async def chunks(self) -> AsyncIterator[bytes]:
        for event in self._events:
            await asyncio.sleep(self._per_token * event.tokens)
            yield event.data

    async def read(self) -> bytes:
        return b"".join(event.data for event in self._events)
