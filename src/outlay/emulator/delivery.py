"""Getting an answer over the socket: at its pace, plain or as a stream, whole or damaged.

Who pays when it does not arrive: a plain answer is billed in full as soon as it is made, because a provider
does not stop when the client leaves; a stream is billed for the tokens that were sent until then.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from outlay.emulator import json
from outlay.emulator.engine import Engine, Made
from outlay.emulator.exchange import Provider
from outlay.emulator.faults import Fault
from outlay.emulator.json import Json
from outlay.emulator.ledger import Record
from outlay.emulator.problems import Problem
from outlay.emulator.wire import Event, Wire

_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)
_JSON = "application/json"
_SSE = "text/event-stream; charset=utf-8"
#: Pieces of an answer that drips, and what names a delta that carries no token.
_DRIPS = 20
_DELTAS = (b"event: content_block_delta", b'.delta"')
_INSTEAD_OF_A_STREAM = {"html", "not_json", "timeout", "reset", "http"}


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds before the first token, per token, and extra before each event or plain answer."""

    first_token: float = 0.0
    per_token: float = 0.0
    per_event: float = 0.0


class Lost(Exception):
    """The connection was dropped on purpose; there is nothing to answer."""


class Delivery:
    """Delivers to one client's request. `over` is set when the emulator stops, which ends every hang."""

    def __init__(self, http: web.BaseRequest, record: Record, headers: dict[str, str], over: asyncio.Event) -> None:
        self._http = http
        self._record = record
        self._headers = headers
        self._over = over

    def add_headers(self, headers: dict[str, str]) -> None:
        """More headers for the answer."""
        self._headers |= headers

    def respond(
        self, status: int, body: bytes, content_type: str = _JSON, headers: dict[str, str] | None = None
    ) -> web.Response:
        """A plain HTTP answer."""
        self._record.status = status
        sent = {**self._headers, "content-type": content_type, **(headers or {})}
        return web.Response(status=status, body=body, headers=sent)

    async def suffer(self, fault: Fault) -> web.StreamResponse:
        """A fault that needs no answer to damage.

        Raises:
            Problem: an HTTP error, for the server to write.
            Lost: the connection is gone.
        """
        self._record.fault = fault
        if fault.kind == "timeout":
            await self._over.wait()
            self._drop()
        if fault.kind == "reset":
            self._reset()
        if fault.kind == "html":
            return self.respond(fault.status, _HTML, "text/html")
        if fault.kind == "not_json":
            return self.respond(200, b"upstream connect error or disconnect/reset before headers")
        raise Problem(fault.error())

    async def deliver(
        self, engine: Engine, wire: Wire, made: Made, pace: Pace, fault: Fault | None
    ) -> web.StreamResponse:
        """The answer, with the fault if there is one."""
        self._record.fault = fault
        if made.call.stream and (fault is None or fault.kind not in _INSTEAD_OF_A_STREAM):
            return await self._stream(engine, wire, made, pace, fault)
        if fault is not None and fault.kind == "error_event":  # without a stream it is an error like any other
            raise Problem(fault.error())
        body = wire.plain(made.call, made.answer, "standard")
        engine.bill(made, self._record)
        if (wait := pace.first_token + pace.per_token * made.answer.usage.output_tokens + pace.per_event) > 0:
            await asyncio.sleep(wait)
        engine.begin(made)
        return await self._plain(body, fault)

    async def damage(self, response: web.StreamResponse, fault: Fault) -> web.StreamResponse:
        """A fault on an answer that is made: a batch that exists although its client never heard of it."""
        self._record.fault = fault
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        if fault.answers or not isinstance(response, web.Response):
            return response
        if fault.kind in ("truncated", "half_stream") and isinstance(response.body, bytes):
            return self.respond(200, response.body[: len(response.body) // 2])
        return await self.suffer(fault)

    async def _plain(self, body: Json, fault: Fault | None) -> web.StreamResponse:
        if fault is not None and fault.kind == "drip":
            return await self._drip(json.encode(body), fault.seconds)
        if fault is None or fault.kind in ("slow", "twice"):
            return self.respond(200, json.encode(body))
        if fault.kind == "extras":
            return self.respond(200, json.encode(body | {"outlook": "unknown", "weather": {"code": 7}}))
        if fault.kind in ("truncated", "half_stream"):
            whole = json.encode(body)
            return self.respond(200, whole[: len(whole) // 2])
        return await self.suffer(fault)

    async def _drip(self, body: bytes, seconds: float) -> web.StreamResponse:
        """A plain answer whose length is known, a little of it at a time."""
        headers = {**self._headers, "content-type": _JSON, "content-length": str(len(body))}
        response = web.StreamResponse(headers=headers)
        self._record.status = 200
        await response.prepare(self._http)
        for piece in _dripped(body):
            await response.write(piece)
            await asyncio.sleep(seconds)
        await response.write_eof()
        return response

    async def _stream(
        self, engine: Engine, wire: Wire, made: Made, pace: Pace, fault: Fault | None
    ) -> web.StreamResponse:
        events = _damaged(wire, wire.events(made.call, made.answer), self._record, fault)
        response = web.StreamResponse(headers={**self._headers, "content-type": _SSE, "cache-control": "no-cache"})
        sent = 0
        complete = False
        try:
            if pace.first_token > 0:
                await asyncio.sleep(pace.first_token)
            engine.begin(made)
            self._record.status = 200
            await response.prepare(self._http)
            if fault is not None and fault.kind == "drip":
                sent = made.answer.usage.output_tokens  # they are made, however slowly they come
                for piece in _dripped(b"".join(event.data for event in events)):
                    await response.write(piece)
                    await asyncio.sleep(fault.seconds)
            elif pace.per_token or pace.per_event:
                for event in events:
                    if (wait := pace.per_event + pace.per_token * event.tokens) > 0:
                        await asyncio.sleep(wait)
                    await response.write(event.data)
                    sent += event.tokens
            else:
                await response.write(b"".join(event.data for event in events))
                sent = sum(event.tokens for event in events)
            complete = fault is None or fault.kind not in ("half_stream", "error_event", "truncated")
            if fault is not None and fault.kind in ("half_stream", "truncated"):
                await self._stop_in_the_middle(fault)
            await response.write_eof()
        finally:
            engine.bill(made, self._record, None if complete else sent)
        return response

    async def _stop_in_the_middle(self, fault: Fault) -> None:
        if fault.ending == "hang":
            await self._over.wait()
        if fault.ending != "clean":
            self._drop()

    def _drop(self) -> None:
        """Close the connection after what is already written."""
        if (transport := self._http.transport) is not None:
            transport.close()
        raise Lost

    def _reset(self) -> None:
        """Close it at once, with a TCP reset."""
        if (transport := self._http.transport) is not None:
            if (connection := transport.get_extra_info("socket")) is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        raise Lost


def _dripped(body: bytes) -> Iterator[bytes]:
    size = max(1, -(-len(body) // _DRIPS))
    return (body[at : at + size] for at in range(0, len(body), size))


def _damaged(wire: Wire, events: list[Event], record: Record, fault: Fault | None) -> list[Event]:
    """The events that are sent under this fault."""
    if fault is None or fault.kind in ("slow", "drip"):
        return events
    if fault.kind == "twice":
        return [one for event in events for one in (event,) * (1 if _is_delta(event) else 2)]
    if fault.kind == "extras":
        return [events[0], Event(wire.unknown_event()), *events[1:]]
    kept = events[: fault.after or len(events) // 2]
    if fault.kind == "error_event":
        kept = [*kept, Event(wire.error_event(fault.error(), record.request_id, len(kept)))]
    return kept


def _is_delta(event: Event) -> bool:
    return event.tokens > 0 or any(kind in event.data for kind in _DELTAS)


def sent_headers(provider: Provider, request_id: str) -> dict[str, str]:
    """The headers that every answer of a provider carries."""
    if provider == "anthropic":
        return {"request-id": request_id, "anthropic-organization-id": "00000000-0000-0000-0000-000000000000"}
    return {
        "x-request-id": request_id,
        "openai-version": "2020-10-01",
        "openai-organization": "org-emulator",
        "openai-processing-ms": "1",
    }
