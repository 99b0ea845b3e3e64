"""The emulator as an object: addresses, books, life time, load."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from emulator_support import until

from outlay.emulator import Emulator, Latency

MODEL = "claude-haiku-4-5"
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}


async def test_the_environment_points_both_sdks_to_it(monkeypatch, hello):
    """`env()` is all that a program under test needs."""
    async with Emulator(behaviour="Fine.") as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        async with anthropic.AsyncAnthropic() as claude, openai.AsyncOpenAI() as gpt:
            message = await claude.messages.create(model=MODEL, max_tokens=9, messages=hello)
            response = await gpt.responses.create(model="gpt-5.4", input="Hello?")
    assert message.content[0].text == response.output_text == "Fine."


async def test_the_books_have_every_request(connect, hello):
    """What was sent, what was answered, what it cost; totals by model; a reset forgets it."""
    c = await connect(behaviour="Fine.")
    await c.anthropic.messages.create(model=MODEL, max_tokens=9, messages=hello)
    await c.openai.responses.create(model="gpt-5.4", input="Hello?")
    first, second = c.emulator.requests
    assert (first.provider, first.method, first.path, first.status) == ("anthropic", "POST", "/v1/messages", 200)
    assert (first.body["max_tokens"], first.headers["authorization"], first.outcome) == (
        9,
        "Bearer test-key",
        "answered",
    )
    assert first.usage is not None
    assert (first.usage.input_tokens, first.usage.output_tokens) == (5, 2)
    assert (second.provider, second.path, second.index) == ("openai", "/v1/responses", 1)
    assert set(c.emulator.billed()) == {MODEL, "gpt-5.4"}
    c.emulator.reset()
    assert (c.emulator.requests, c.emulator.billed()) == ([], {})


async def test_connections_and_requests_in_flight_are_counted(connect, hello):
    """A request that is being answered is in flight; its connection stays open afterwards."""
    let_go = asyncio.Event()

    async def behave(_: object) -> str:
        await let_go.wait()
        return "Fine."

    c = await connect(behaviour=behave)
    asked = asyncio.ensure_future(c.anthropic.messages.create(model=MODEL, max_tokens=9, messages=hello))
    await until(lambda: c.emulator.in_flight)
    assert (c.emulator.in_flight, c.emulator.open_connections) == (1, 1)
    let_go.set()
    await asked
    assert c.emulator.in_flight == 0


async def test_a_stream_is_paced(connect, hello):
    """Time to the first token, then a pace per token: the deltas do not come all at once."""
    c = await connect(behaviour="x" * 64, latency=Latency(first_token=0.01, per_token=0.001))
    loop = asyncio.get_running_loop()
    started, arrivals = loop.time(), []
    async for event in await c.anthropic.messages.create(model=MODEL, max_tokens=99, messages=hello, stream=True):
        if event.type == "content_block_delta":
            arrivals.append(loop.time() - started)
    assert len(arrivals) == 4
    assert arrivals[0] >= 0.01
    assert arrivals[-1] - arrivals[0] >= 0.003 * 3


async def test_latency_may_be_a_distribution(connect, hello):
    """A function of a seeded random number generator."""
    drawn: list[float] = []

    def draw(random: Any) -> float:
        drawn.append(random.uniform(0.0, 0.001))
        return drawn[-1]

    for _ in range(2):
        c = await connect(latency=draw, seed=3)
        await c.anthropic.messages.create(model=MODEL, max_tokens=9, messages=hello)
    assert drawn[0] == drawn[1] > 0


async def test_an_unknown_path_is_a_404_of_the_provider_that_was_meant(connect):
    """By the headers: each provider has its own body."""
    c = await connect()
    async with c.http.get(f"{c.emulator.url}/v1/nothing", headers=HEADERS) as response:
        assert (response.status, (await response.json())["type"]) == (404, "error")
    async with c.http.get(f"{c.emulator.url}/v1/nothing") as response:
        assert (response.status, list(await response.json())) == (404, ["error"])


@pytest.mark.parametrize("body", [b"{not json", b"[1, 2]", b'{"model": "\xff"}'])
async def test_a_body_that_is_no_json_object_is_a_400(connect, body):
    """Whatever it is, there is an answer."""
    c = await connect()
    async with c.http.post(f"{c.emulator.url}/v1/messages", data=body, headers=HEADERS) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_two_hundred_clients_at_once(connect, hello):
    """Every one is answered, over a connection of its own."""
    c = await connect(behaviour="Fine.")
    body = {"model": MODEL, "max_tokens": 9, "messages": hello}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS) as http:

        async def ask() -> int:
            async with http.post(f"{c.emulator.url}/v1/messages", json=body) as response:
                return response.status

        assert await asyncio.gather(*(ask() for _ in range(200))) == [200] * 200
    assert c.emulator.billed()[MODEL].output_tokens == 400


async def test_it_listens_on_loopback_only():
    """Nobody else on the network can reach it."""
    async with Emulator() as emulator:
        assert emulator.url.startswith("http://127.0.0.1:")
        with pytest.raises(RuntimeError, match="runs already"):
            await emulator.start()
    assert emulator.port == 0


def test_serve_blocks_until_it_is_interrupted():
    """What the command line runs: ready once it listens, over with Ctrl-C, quietly."""
    program = "from outlay.emulator import Emulator\nEmulator().serve(ready=lambda e: print(e.port, flush=True))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)):
            os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (0, b"")


def test_a_port_that_is_taken_is_an_error_of_the_caller():
    """The thread's exception arrives where the emulator was started."""
    with Emulator() as emulator:
        taken = emulator.port
        with pytest.raises(OSError, match=str(taken)):
            Emulator().serve(taken)
