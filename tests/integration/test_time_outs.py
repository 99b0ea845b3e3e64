"""Each of the four time-outs over a real socket, through every adapter: connect, first token, silence, the whole.

What matters beside the time: whether the provider may have done the work, and that another attempt may help.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from outlay import Agent, Budget, run
from outlay.errors import ModelTimeout
from outlay.events import CallFailed
from outlay.models import Anthropic, OpenAI, OpenAIChat
from outlay.models.transport import HttpTransport
from outlay.protocols.transport import Timeouts
from outlay.values.message import user
from outlay.values.request import ModelRequest, Prelude
from outlay.values.transcript import EMPTY

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
#: Seconds: the one that is to run out, and the others, which must not.
SHORT, LONG = 0.05, 30.0
Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]


def chunk(data: str) -> bytes:
    body = data.encode()
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


TOKEN = {
    Anthropic: 'event: message_start\ndata: {"type":"message_start","message":{"model":"m","content":[]}}\n\n'
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
    '{"type":"text","text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"text_delta","text":"Hel"}}\n\n',
    OpenAI: 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"Hel"}\n\n',
    OpenAIChat: 'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n',
}
ADAPTERS = [(Anthropic, "claude-haiku-4-5"), (OpenAI, "gpt-5.4"), (OpenAIChat, "gpt-4o")]
every_adapter = pytest.mark.parametrize(("adapter", "name"), ADAPTERS, ids=["anthropic", "responses", "chat"])


@asynccontextmanager
async def server(talk: Talk) -> AsyncGenerator[str]:
    """Reads a request, and says whatever `talk` says until the client has gone."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
            saying = asyncio.ensure_future(talk(writer))
            await reader.read()
            saying.cancel()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def timed_out(
    adapter: Any, name: str, url: str, timeouts: Timeouts, *, streamed: bool
) -> tuple[ModelTimeout, float, list[str]]:
    """One attempt: its error, how long it took, and what was heard."""
    http, heard = HttpTransport(), list[str]()
    base = url if adapter is Anthropic else f"{url}/v1"
    model = adapter(name, api_key="sk-1", base_url=base, timeouts=timeouts)
    request = ModelRequest("a", "a", Prelude(), EMPTY.append(user("Hi")), 50)
    began = time.monotonic()
    try:
        with pytest.raises(ModelTimeout) as caught:
            await model.send(request, http, heard.append if streamed else None)
        return caught.value, time.monotonic() - began, heard
    finally:
        await http.close()


async def nothing(writer: asyncio.StreamWriter) -> None:
    """A connection that is half open: it was accepted, and nobody is there."""


async def a_head(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)


def a_token(adapter: Any, *, then: str = "") -> Talk:
    """The first token at once; then nothing, or the same sign of life for ever (a slow loris)."""

    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(TOKEN[adapter]))
        while then:
            await asyncio.sleep(SHORT / 5)
            writer.write(chunk(then))

    return talk


@every_adapter
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_no_connection_in_time_costs_nothing(adapter: Any, name: str, streamed: bool) -> None:
    """A full backlog swallows connection attempts: nothing was sent, so nothing can be billed."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        limits = Timeouts(connect=SHORT, silence=LONG, total=LONG, first_byte=LONG)
        error, took, _ = await timed_out(adapter, name, url, limits, streamed=streamed)
        for one in waiting:
            one.close()
    assert (error.retryable, error.may_be_billed) == (True, False)
    assert took < LONG / 3


@every_adapter
@pytest.mark.parametrize("talk", [nothing, a_head], ids=["half open", "a head and no token"])
async def test_no_first_token_in_time_leaves_a_doubt(adapter: Any, name: str, talk: Talk) -> None:
    limits = Timeouts(connect=LONG, silence=LONG, total=LONG, first_byte=SHORT)
    async with server(talk) as url:
        error, took, heard = await timed_out(adapter, name, url, limits, streamed=True)
    assert (error.retryable, error.may_be_billed, heard) == (True, True, [])
    assert "did not begin to answer" in str(error)
    assert SHORT <= took < LONG / 3


@every_adapter
async def test_silence_between_tokens_leaves_a_doubt(adapter: Any, name: str) -> None:
    limits = Timeouts(connect=LONG, silence=SHORT, total=LONG, first_byte=LONG)
    async with server(a_token(adapter)) as url:
        error, took, heard = await timed_out(adapter, name, url, limits, streamed=True)
    assert (error.retryable, error.may_be_billed, heard) == (True, True, ["Hel"])
    assert "silent" in str(error)
    assert SHORT <= took < LONG / 3


@every_adapter
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_the_whole_has_its_time_whatever_sign_of_life_there_is(adapter: Any, name: str, streamed: bool) -> None:
    """A plain answer that does not come; a stream that says something ten times in the time, and is never done."""
    limits = Timeouts(connect=LONG, silence=LONG, total=2 * SHORT, first_byte=LONG)
    async with server(a_token(adapter, then=": alive\n\n") if streamed else nothing) as url:
        error, took, _ = await timed_out(adapter, name, url, limits, streamed=streamed)
    assert (error.retryable, error.may_be_billed) == (True, True)
    assert SHORT <= took < LONG / 3


async def test_a_run_holds_what_each_attempt_may_have_cost() -> None:
    """Three attempts that were answered by nobody: three reservations, in doubt, and an error that says what to do."""
    limits = Timeouts(total=SHORT)
    async with server(nothing) as url:
        model = Anthropic("claude-haiku-4-5", api_key="sk-1", base_url=url, timeouts=limits)
        result = await run(Agent("a", model, max_output_tokens=50), "Hi", budget=Budget(usd=1), seed=1)
    failed = [event for event in result.events if isinstance(event, CallFailed)]
    assert [event.maybe_billed for event in failed] == [True] * 3
    assert result.bill.in_doubt == sum(event.in_doubt or 0 for event in failed) > 0
    assert "next:" in str(result.error)
