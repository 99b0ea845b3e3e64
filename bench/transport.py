"""What a call costs beyond bare aiohttp, and how 1,000 calls at once compare with the ideal.

    PYTHONPATH=src python bench/transport.py

A server of its own process answers a Messages request of about 1 KB. CPU is `process_time` of this process, the
median of interleaved rounds; wall is the best of three for 1,000 calls that each take 200 ms at the server.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import multiprocessing.connection
import resource
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp

from outlay.models.anthropic import Anthropic
from outlay.models.transport import HttpTransport
from outlay.values.message import user
from outlay.values.request import ModelRequest, Prelude
from outlay.values.transcript import EMPTY

ANSWER = json.dumps(
    {
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "word " * 140}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 8, "output_tokens": 140, "service_tier": "standard"},
    }
).encode()
HEADERS = {
    "content-type": "application/json",
    "request-id": "req_1",
    "anthropic-ratelimit-requests-remaining": "99",
    "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:01Z",
    "anthropic-ratelimit-tokens-remaining": "100000",
    "anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:01Z",
}
REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n%b" % (
    len(ANSWER),
    b"".join(f"{name}: {value}\r\n".encode() for name, value in HEADERS.items()),
    ANSWER,
)
ROUNDS, CALLS, PARALLEL, DELAY = 11, 200, 1000, 0.2


class Server(asyncio.Protocol):
    """As little of HTTP as the bench needs, so that the server is not what is measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        if len(body) < length:
            return
        self._received = body[length:]
        write = self._transport.write  # type: ignore[attr-defined]
        if b"wait=" in head[:80]:
            asyncio.get_running_loop().call_later(DELAY, write, REPLY)
        else:
            write(REPLY)


def serve(pipe: multiprocessing.connection.Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


async def measure(port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1/messages"
    model = Anthropic("claude-haiku-4-5", api_key="key", base_url=f"http://127.0.0.1:{port}")
    transport = HttpTransport()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
    )
    body = b'{"model":"claude-haiku-4-5","max_tokens":1024,"messages":[]}'
    headers = {"content-type": "application/json", "x-api-key": "key", "anthropic-version": "2023-06-01"}

    async def bare() -> None:
        async with session.post(url, data=body, headers=headers) as response:
            await response.read()

    async def post() -> None:
        await transport.post(url, headers, body)

    async def send() -> None:
        request = ModelRequest("a", "a", Prelude(("Be brief.",)), EMPTY.append(user("Hi there")), 1024)
        await model.send(request, transport)

    ways: dict[str, Callable[[], Awaitable[None]]] = {"bare aiohttp": bare, "HttpTransport": post, "Anthropic": send}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            for _ in range(CALLS):
                await way()
            spent[name].append((time.process_time() - began) / CALLS * 1e6)
    for name, found in spent.items():
        extra = statistics.median(found) - statistics.median(spent["bare aiohttp"])
        print(f"{name:14} {statistics.median(found):6.1f} µs CPU a call, {extra:+5.1f}, best {min(found):6.1f}")
    for name, one in (
        ("bare aiohttp", lambda: read_bare(session, f"{url}?wait={DELAY}", body)),
        ("HttpTransport", lambda: transport.post(f"{url}?wait={DELAY}", headers, body)),
    ):
        best = 1e9
        for _ in range(3):
            began = time.perf_counter()
            await asyncio.gather(*(one() for _ in range(PARALLEL)))
            best = min(best, time.perf_counter() - began)
        print(f"{name:14} {PARALLEL} calls at once of {DELAY} s: {best:.3f} s, {best / DELAY:.2f} times the ideal")
    await session.close()
    await transport.close()


async def read_bare(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    async with session.post(url, data=body) as response:
        return await response.read()


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65_536, hard), hard))
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        asyncio.run(measure(ours.recv()))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
