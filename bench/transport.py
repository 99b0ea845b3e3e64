"""What the transport and the adapter add to bare aiohttp, below the runtime: one request, one answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from bench.contest import Figure, cpu_ms, hold
from bench.rivals import INSTRUCTIONS, MODEL, QUESTION, ask, bare_aiohttp, body, one_by_one
from bench.worker import Round


def measure(quick: bool) -> Sequence[Figure]:
    contest = hold(__name__, dict.fromkeys(CONTESTANTS, 200), rounds=5 if quick else 21)
    return [
        Figure(
            "transport",
            what,
            contest.median(who, cpu_ms),
            "ms CPU",
            "bare aiohttp",
            contest.median("aiohttp", cpu_ms),
            contest.ratio(who, "aiohttp", cpu_ms),
        )
        for who, what in (("post", "HttpTransport.post, body ready"), ("send", "Anthropic.send"))
    ]


async def aiohttp(url: str) -> AsyncIterator[Round]:
    import orjson

    async with bare_aiohttp(url) as call:
        yield lambda n: one_by_one(n, lambda: call(orjson.dumps(body(ask(QUESTION)))))


async def post(url: str) -> AsyncIterator[Round]:
    import orjson

    from outlay.models.transport import HttpTransport

    headers = {"content-type": "application/json", "x-api-key": "bench", "anthropic-version": "2023-06-01"}
    ready = orjson.dumps(body(ask(QUESTION)))
    transport = HttpTransport()
    try:
        yield lambda n: one_by_one(n, lambda: transport.post(f"{url}/v1/messages", headers, ready))
    finally:
        await transport.close()


async def send(url: str) -> AsyncIterator[Round]:
    from outlay.models.anthropic import Anthropic
    from outlay.models.transport import HttpTransport
    from outlay.values.message import user
    from outlay.values.request import ModelRequest, Prelude
    from outlay.values.transcript import EMPTY

    transport = HttpTransport()
    model = Anthropic(MODEL)
    prelude = Prelude((INSTRUCTIONS,))
    try:
        yield lambda n: one_by_one(
            n,
            lambda: model.send(ModelRequest("reply", "reply", prelude, EMPTY.append(user(QUESTION)), 1024), transport),
        )
    finally:
        await transport.close()


CONTESTANTS = {"aiohttp": aiohttp, "post": post, "send": send}
