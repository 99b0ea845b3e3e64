"""HttpTransport against real sockets: a small server in this process that misbehaves on request."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import re
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from outlay.errors import BadResponse, ConfigError, ModelError, ModelTimeout, Overloaded
from outlay.models.anthropic import Anthropic
from outlay.models.transport import HttpTransport
from outlay.protocols.transport import Timeouts
from outlay.values.message import user
from outlay.values.request import ModelRequest, Prelude
from outlay.values.transcript import EMPTY
from outlay.values.usage import Usage

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """A server whose every connection is `talk`, after the first request was read."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1"
    finally:
        running.close()
        for writer in writers:
            writer.close()


@asynccontextmanager
async def transport(**options: Any) -> AsyncIterator[HttpTransport]:
    made = HttpTransport(**options)
    try:
        yield made
    finally:
        await made.close()


async def request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    """Read one request: its headers and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    return headers, await reader.readexactly(int(headers.get("content-length", 0)))


def says(answer: bytes) -> Talk:
    """A server that answers every request of a connection with these bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            writer.write(answer)

    return talk


def says_once(answer: bytes, *, reset: bool = False) -> Talk:
    """A server that sends these bytes and closes, or resets, the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)
        await writer.drain()
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    return talk


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    await reader.read()  # until the client goes away


def whole(body: bytes, *more: bytes) -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in more) + b"content-length: %d\r\n\r\n" % len(body) + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + end


async def test_a_post_and_its_answer() -> None:
    """Status, lower-case headers and body come back; the request arrives as it was given."""
    seen: list[tuple[dict[str, str], bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request(reader))
        writer.write(b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nSet-Cookie: a=b\r\ncontent-length: 2\r\n\r\nno")

    async with server(talk) as url, transport() as http:
        reply = await http.post(url, {"x-api-key": "k", "content-type": "application/json"}, b'{"a":1}')
    assert (reply.status, reply.body) == (429, b"no")
    assert reply.headers["retry-after"] == "3"
    headers, body = seen[0]
    assert (headers["x-api-key"], headers["content-type"], body) == ("k", "application/json", b'{"a":1}')


async def test_a_get_and_its_answer() -> None:
    """A question has no body, and its answer may be larger than that of a model: it has a cap of its own."""
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(whole(b"x" * 3000))

    async with server(talk) as url, transport(max_body=1000, max_file=3000) as http:
        reply = await http.get(f"{url}/files/f%2F1", {"x-api-key": "k"})
        assert (reply.status, len(reply.body)) == (200, 3000)
    assert seen[0].startswith(b"GET /v1/files/f%2F1 HTTP/1.1\r\n")
    assert b"x-api-key: k" in seen[0].lower()
    assert b"content-length" not in seen[0].lower()
    async with server(says(whole(b"x" * 3001))) as url, transport(max_file=3000) as http:
        with pytest.raises(BadResponse, match="larger than 3,000 bytes"):
            await http.get(url, {})
    away = b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with server(says(away)) as url, transport() as http:
        assert (await http.get(url, {"x-api-key": "k"})).status == 307


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_body_that_does_not_fit_into_the_socket_waits_for_the_reader() -> None:
    body = os.urandom(2**20) * 24
    read: list[bytes] = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):  # the connection is whole afterwards
            await asyncio.sleep(0.05)
            read.append((await request(reader))[1])
            writer.write(whole(b"{}"))

    async with server(slow) as url, transport() as http:
        for _ in range(2):
            assert (await http.post(url, {}, body)).body == b"{}"
    assert read == [body, body]


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_cancelling_while_the_body_waits_closes_the_socket() -> None:
    closed = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await reader.read()  # until the client goes away
        closed.set()

    async with server(slow) as url, transport() as http:
        sending = asyncio.ensure_future(http.post(url, {}, bytes(24 * 2**20)))
        await asyncio.sleep(0.02)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        async with asyncio.timeout(5):
            await closed.wait()


async def test_a_connection_that_still_sends_is_not_kept() -> None:
    """A server that answers before it has read the request may never read the rest: the next call has another one."""
    connections = 0
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await asyncio.sleep(60)

    async with server(hasty) as url, transport() as http:
        for _ in range(2):
            reply = await http.post(url, {}, bytes(24 * 2**20))
            assert (reply.status, reply.body) == (413, b"no")
    assert connections == 2


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 529 Busy\r\ncontent-length: 0\r\n\r\n", 529),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", 500),
        (b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", 101),
    ],
    ids=["no-content", "empty", "after-hints", "upgrade"],
)
async def test_an_answer_without_a_body(answer: bytes, status: int) -> None:
    async with server(says(answer)) as url, transport() as http:
        for _ in range(2):
            reply = await http.post(url, {}, b"{}", Timeouts(total=5))
            assert (reply.status, reply.body) == (status, b"")


async def test_connections_are_kept_and_cookies_are_not() -> None:
    """Ten calls in a row use one connection, after plain and streamed answers alike, and never send a cookie."""
    connections = 0
    cookies: list[str | None] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            headers, _ = await request(reader)
            cookies.append(headers.get("cookie"))
            writer.write(whole(b"{}", b"set-cookie: session=1"))

    async with server(talk) as url, transport() as http:
        for _ in range(5):
            await http.post(url, {}, b"{}")
            async with http.stream(url, {}, b"{}") as answer:
                assert [chunk async for chunk in answer.chunks()] == [b"{}"]
    assert connections == 1
    assert cookies == [None] * 10


@pytest.mark.parametrize(
    "unasked",
    [whole(b"another one's"), b"HTTP/1.1 408 Request Time-out\r\ncontent-length: 0\r\n\r\n"],
    ids=["answer", "time-out"],
)
async def test_what_a_server_says_unasked_answers_nobody(unasked: bytes) -> None:
    """A second answer that arrives on an idle connection is not the answer to the next request, which may be another
    customer's: the connection is put away, and the request goes out on a new one."""
    said = asyncio.Event()
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request(reader)
        writer.write(whole(b"mine"))
        await said.wait()
        writer.write(unasked)
        await reader.read()

    async with server(talk) as url, transport() as http:
        await http.post(url, {}, b"{}")
        said.set()
        await asyncio.sleep(0.05)
        assert (await http.post(url, {}, b"{}")).body == b"mine"
    assert connections == 2


async def test_a_server_that_greets_is_no_web_server() -> None:
    """A base URL that leads to a mail server, say: an error, however early the greeting comes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()

    async with server(talk) as url, transport() as http:
        with pytest.raises(ModelError, match=r"is not HTTP|cannot connect"):
            await http.post(url, {}, b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        chunked(b"{", b"}", end=b"0\r\nx-check: 1\r\nx-more: 2\r\n\r\n"),
        chunked(b"{", b"}").replace(b"\r\n{", b";name=value\r\n{"),
        HEAD + b"\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + whole(b"{}"),
        whole(zlib.compress(b"{}"), b"content-encoding: deflate"),
        whole(zlib.compress(b"{}", wbits=-15), b"content-encoding: deflate"),
        whole(gzip.compress(b"{}"), b"content-encoding: gzip"),
        HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"{}"),
        whole(b"{}", b"x-name: \xc3\xa9\xff", b"x-empty:"),
    ],
    ids=[
        "trailers",
        "extension",
        "to-the-end",
        "http-1.0",
        "hints",
        "zlib",
        "deflate",
        "gzip",
        "gzip-to-the-end",
        "bytes",
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_in_every_form_that_http_allows(answer: bytes, streamed: bool) -> None:
    """However its end is told, and however it is packed; twice on one connection, where it can be."""
    ends = b"content-length" not in answer and b"chunked" not in answer
    async with server(says_once(answer) if ends else says(answer)) as url, transport() as http:
        for _ in range(2):
            if streamed:
                async with http.stream(url, {}, b"{}") as body:
                    assert b"".join([chunk async for chunk in body.chunks()]) == b"{}"
            else:
                assert (await http.post(url, {}, b"{}")).body == b"{}"


@pytest.mark.parametrize(("size", "read"), [(60_000, True), (1_000_000, False)])
async def test_a_long_line_in_a_head_is_read_and_an_endless_one_is_not(size: int, read: bool) -> None:
    """Gateways add long ones, and what comes behind them was paid for; memory has its bound all the same."""
    answer = whole(b"{}", b"set-cookie: " + b"x" * size)
    async with server(says_once(answer)) as url, transport() as http:
        if read:
            assert (await http.post(url, {}, b"{}")).body == b"{}"
        else:
            with pytest.raises(BadResponse, match="is not HTTP") as caught:
                await http.post(url, {}, b"{}")
            assert caught.value.may_be_billed


async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    """Closed while it was idle: the next call has a new one, and nobody notices."""
    async with server(says_once(whole(b"{}"))) as url, transport() as http:
        for _ in range(3):
            assert (await http.post(url, {}, b"{}")).status == 200
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("host", ["[::1]", "us%40er:p%3Aw@[::1]", "us%40er:p%3Aw@127.0.0.1"])
async def test_an_address_may_be_ipv6_and_hold_credentials(host: str) -> None:
    """Which are sent as basic authentication, decoded, and are in no address that is asked for."""
    heads: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(whole(b"{}"))
        await writer.drain()
        writer.close()

    plain = host.rpartition("@")[2]
    try:
        listening = await asyncio.start_server(talk, plain.strip("[]"), 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with listening as running, transport() as http:
        port = running.sockets[0].getsockname()[1]
        await http.post(f"http://{host}:{port}/a%2Fb?x=é", {}, b"{}")
    lines = heads[0].lower().split("\r\n")
    assert lines[0] == "post /a%2fb?x=%c3%a9 http/1.1"
    assert f"host: {plain}:{port}" in lines
    basic = f"authorization: basic {base64.b64encode(b'us@er:p:w').decode()}".lower()
    assert (basic in lines) is ("@" in host)


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelling_at_any_moment_leaves_no_connection_behind(streamed: bool) -> None:
    """While it connects, sends, waits for the head or reads: what is not whole is closed, the next call is whole."""
    busy = 0
    idle = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        while True:
            await request(reader)
            busy += 1
            idle.clear()
            try:
                for piece in (b"", HEAD, b"content-length: 4\r\n\r\n{", b"  ", b"}"):
                    writer.write(piece)
                    left = asyncio.create_task(reader.read(1))
                    done, _ = await asyncio.wait([left], timeout=0.001)
                    if done:
                        return
                    left.cancel()
                    await asyncio.wait([left])
            finally:
                busy -= 1
                if not busy:
                    idle.set()

    async def call(http: HttpTransport, url: str) -> bytes:
        if not streamed:
            return (await http.post(url, {}, b"{}")).body
        async with http.stream(url, {}, b"{}") as body:
            return b"".join([chunk async for chunk in body.chunks()])

    async with server(talk) as url, transport() as http:
        for turns in range(30):
            task = asyncio.create_task(call(http, url))
            for _ in range(turns):
                await asyncio.sleep(0.0003 if turns % 2 else 0)
            task.cancel()
            await asyncio.wait([task])
        assert await call(http, url) == b"{  }"
        await asyncio.wait_for(idle.wait(), 2)


async def test_redirects_are_not_followed() -> None:
    """A key must not travel to where a redirect points."""
    away = b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with server(says(away)) as url, transport() as http:
        assert (await http.post(url, {}, b"{}")).status == 307


async def test_a_stream_arrives_in_pieces() -> None:
    """Chunks are handed over as they come, not at the end."""
    go_on = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(chunked(b"one", end=b""))
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with server(talk) as url, transport() as http, http.stream(url, {}, b"{}") as answer:
        chunks = answer.chunks()
        assert await anext(chunks) == b"one"
        go_on.set()
        assert [chunk async for chunk in chunks] == [b"two"]


async def test_gzip_is_undone_and_bombs_are_not() -> None:
    """Compressed answers are read; one that would grow beyond the cap is refused before it does."""
    body = json.dumps({"text": "x" * 5000}).encode()
    async with server(says(whole(gzip.compress(body), b"content-encoding: gzip"))) as url, transport() as http:
        assert (await http.post(url, {}, b"{}")).body == body
        async with http.stream(url, {}, b"{}") as answer:
            assert b"".join([chunk async for chunk in answer.chunks()]) == body
    bomb = whole(gzip.compress(bytes(20_000_000)), b"content-encoding: gzip")
    async with server(says(bomb)) as url, transport(max_body=1_000_000) as http:
        with pytest.raises(BadResponse, match="larger than 1,000,000 bytes") as caught:
            await http.post(url, {}, b"{}")
        assert caught.value.may_be_billed
        assert not caught.value.retryable
        async with http.stream(url, {}, b"{}") as answer:
            with pytest.raises(BadResponse, match="larger than"):
                [chunk async for chunk in answer.chunks()]


@pytest.mark.parametrize("answer", [whole(b"x" * 3000), chunked(*[b"x" * 500] * 6)], ids=["length", "chunked"])
async def test_the_cap_is_on_every_kind_of_body(answer: bytes) -> None:
    """With a length, without one, compressed or not."""
    async with server(says(answer)) as url, transport(max_body=1000) as http:
        with pytest.raises(BadResponse, match="larger than 1,000 bytes"):
            await http.post(url, {}, b"{}")


@pytest.mark.parametrize(
    "talk",
    [
        says_once(b""),
        says_once(b"", reset=True),
        says_once(HEAD),
        says_once(HEAD + b"content-length: 100\r\n\r\n{"),
        says_once(HEAD + b"content-length: 100\r\n\r\n{", reset=True),
        says_once(chunked(b"{", end=b"")),
        says_once(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"),
        says_once(b"220 mail.example.org ESMTP\r\n"),
        says_once(whole(b"this is no gzip", b"content-encoding: gzip")),
    ],
    ids=["closed", "reset", "head", "half", "half-reset", "half-chunked", "bad-chunk", "not-http", "bad-gzip"],
)
async def test_an_answer_that_breaks_off_was_possibly_billed(talk: Talk) -> None:
    """Once the request is out, a broken connection leaves a doubt; another attempt may help."""
    async with server(talk) as url, transport() as http:
        with pytest.raises(BadResponse) as plain:
            await http.post(url, {}, b"{}")
        with pytest.raises(BadResponse) as streamed:
            async with http.stream(url, {}, b"{}") as answer:
                [chunk async for chunk in answer.chunks()]
    for error in (plain.value, streamed.value):
        assert error.retryable
        assert error.may_be_billed
        assert "127.0.0.1" in str(error)


async def test_no_connection_costs_nothing() -> None:
    """A refused connection or an unknown name is no doubt: nothing was sent."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{free.getsockname()[1]}/"
    async with transport() as http:
        for url in (refused, "http://nowhere.invalid/"):
            with pytest.raises(ModelError) as caught:
                await http.post(url, {}, b"{}")
            assert not isinstance(caught.value, BadResponse)
            assert caught.value.retryable
            assert not caught.value.may_be_billed
            assert "check the network and the base URL" in caught.value.hint


@pytest.mark.parametrize(
    ("timeouts", "answer", "said"),
    [
        (Timeouts(total=0.02), b"", "did not finish"),
        (Timeouts(silence=0.02), HEAD + b"content-length: 100\r\n\r\n{", "silent for 0.02 s"),
        (Timeouts(total=0.02), HEAD + b"content-length: 100\r\n\r\n{", "did not finish"),
    ],
    ids=["no-head", "silence-in-body", "total-in-body"],
)
async def test_time_that_is_up_after_sending_leaves_a_doubt(timeouts: Timeouts, answer: bytes, said: str) -> None:
    """The provider may have done the work."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)
        await reader.read()

    async with server(talk) as url, transport() as http:
        with pytest.raises(ModelTimeout, match=said) as caught:
            await http.post(url, {}, b"{}", timeouts)
        assert caught.value.retryable
        assert caught.value.may_be_billed
        with pytest.raises(ModelTimeout):
            async with http.stream(url, {}, b"{}", timeouts) as streaming:
                [chunk async for chunk in streaming.chunks()]


async def test_a_stream_has_a_time_for_its_first_byte_and_one_for_the_silence_after_it() -> None:
    """No head, a head and nothing, a first piece and nothing: each is said for what it is. A model that thinks may take
    longer to begin than to go on."""

    def talk(says: bytes, pause: float = 10.0, then: bytes = b"") -> Talk:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(says)
            try:
                await asyncio.wait_for(reader.read(), pause)
            except TimeoutError:
                writer.write(then)
                await reader.read()

        return speak

    async def read(talking: Talk, timeouts: Timeouts) -> bytes:
        async with server(talking) as url, transport() as http, http.stream(url, {}, b"{}", timeouts) as answer:
            return b"".join([chunk async for chunk in answer.chunks()])

    brief = Timeouts(first_byte=0.03, silence=5.0)
    for says in (b"", HEAD + b"transfer-encoding: chunked\r\n\r\n"):
        with pytest.raises(ModelTimeout, match=r"did not begin to answer within 0\.03 s") as caught:
            await read(talk(says), brief)
        assert caught.value.may_be_billed
    with pytest.raises(ModelTimeout, match=r"silent for 0\.03 s"):
        await read(talk(chunked(b"one", end=b"")), Timeouts(first_byte=5.0, silence=0.03))
    late = talk(b"", 0.05, chunked(b"one"))
    assert await read(late, Timeouts(first_byte=5.0, silence=0.03)) == b"one"


async def test_a_plain_answer_may_keep_us_waiting() -> None:
    """A model that thinks says nothing until it has finished: silence counts from the first byte on."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        await asyncio.sleep(0.03)
        writer.write(whole(b"{}"))

    async with server(talk) as url, transport() as http:
        assert (await http.post(url, {}, b"{}", Timeouts(silence=0.01))).body == b"{}"


async def test_a_connection_that_does_not_come_about_in_time_costs_nothing() -> None:
    """A full backlog swallows connection attempts: that is a time-out before anything was sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        async with transport() as http:
            with pytest.raises(ModelTimeout) as caught:
                await http.post(f"http://127.0.0.1:{address[1]}/", {}, b"{}", Timeouts(connect=0.03))
        for one in waiting:
            one.close()
    assert not caught.value.may_be_billed
    assert "within 0.03 s" in str(caught.value)


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelling_closes_the_socket(streamed: bool) -> None:
    """The server sees the connection end, so that the model can stop."""
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        if streamed:
            writer.write(chunked(b"one", end=b""))
        arrived.set()
        await reader.read()
        gone.set()

    async def call() -> None:
        if not streamed:
            await http.post(url, {}, b"{}")
        async with http.stream(url, {}, b"{}") as answer:
            async for _ in answer.chunks():
                pass

    async with server(talk) as url, transport() as http:
        task = asyncio.ensure_future(call())
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 5)


async def test_leaving_a_stream_closes_the_socket() -> None:
    """What is left of an answer is not read in the background."""
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(chunked(b"one", end=b""))
        await reader.read()
        gone.set()

    async with server(talk) as url, transport() as http:
        async with http.stream(url, {}, b"{}") as answer:
            assert await anext(answer.chunks()) == b"one"
        await asyncio.wait_for(gone.wait(), 5)


async def test_many_calls_at_once_have_a_connection_each() -> None:
    """Nothing queues in the transport: a hundred calls wait together, not one after another."""
    together = asyncio.Barrier(100)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        await together.wait()
        writer.write(whole(b"{}"))

    async with server(talk) as url, transport() as http:
        replies = await asyncio.wait_for(asyncio.gather(*(http.post(url, {}, b"{}") for _ in range(100))), 20)
    assert {reply.status for reply in replies} == {200}


def test_each_loop_has_its_own_connections() -> None:
    """One transport serves one loop after another, as `run_sync` makes them."""
    http = HttpTransport()

    async def call() -> int:
        async with server(says(whole(b"{}"))) as url:
            status = (await http.post(url, {}, b"{}")).status
            await http.close()
            return status

    assert [asyncio.run(call()) for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("url", ["ftp://host/", "host/path", "http://", "http://[::1/"])
async def test_an_address_that_is_none_is_a_config_error(url: str) -> None:
    """Found before anything is sent."""
    async with transport() as http:
        with pytest.raises(ConfigError, match=r"base_url|address"):
            await http.post(url, {}, b"{}")


async def test_a_header_with_a_line_break_is_a_config_error() -> None:
    """A key copied with its line end is said to be one, and not shown."""
    async with server(silent) as url, transport() as http:
        with pytest.raises(ConfigError, match="line break") as caught:
            await http.post(url, {"x-api-key": "secret\nx: y"}, b"{}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", [True, False], ids=["url", "host"])
async def test_a_proxy_is_used_where_the_environment_names_one(monkeypatch: pytest.MonkeyPatch, scheme: bool) -> None:
    """HTTP_PROXY sends the call there, NO_PROXY keeps it away; `.netrc` is never read."""
    lines: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        await request(reader)
        writer.write(whole(b"{}"))

    async with server(talk) as url, transport() as http:
        address = url.removesuffix("/v1")
        monkeypatch.setenv("http_proxy", address if scheme else address.removeprefix("http://"))
        monkeypatch.setenv("no_proxy", "")
        assert (await http.post("http://model.invalid/v1/messages", {}, b"{}")).status == 200
    assert lines == [b"POST http://model.invalid/v1/messages HTTP/1.1\r\n"]


@pytest.mark.parametrize("named", ["socks5://u:pass1word@host:1080", "http://[::1", "http://"])
async def test_a_proxy_that_is_none_is_a_config_error(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    """Named by its variable, and not shown: it may hold a password."""
    monkeypatch.setenv("https_proxy", named)
    monkeypatch.setenv("no_proxy", "")
    async with transport() as http:
        with pytest.raises(ConfigError, match="HTTPS_PROXY") as caught:
            await http.post("https://model.invalid/v1", {}, b"{}")
    assert "pass1word" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["127.0.0.1:1", "proxy.invalid:3128"])
async def test_a_proxy_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", f"http://{proxy}")
    monkeypatch.setenv("no_proxy", "")
    async with transport() as http:
        with pytest.raises(ModelError, match=f"the proxy at {re.escape(proxy)}") as caught:
            await http.post("http://model.invalid/v1", {}, b"{}")
    assert (caught.value.may_be_billed, caught.value.hint) == (False, "check HTTPS_PROXY and NO_PROXY")


async def test_a_model_over_real_sockets() -> None:
    """The adapter and the transport together: a plain answer, a streamed one, and an error, on one connection."""
    plain = {"content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}
    stream = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hé"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "llo"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    bodies = [f"event: {event['type']}\r\ndata: {json.dumps(event, ensure_ascii=False)}\r\n\r\n" for event in stream]
    whole_stream = "".join(bodies).encode()
    overloaded = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    answers = iter(
        [
            whole(json.dumps(plain).encode(), b"request-id: req_1"),
            chunked(*[whole_stream[i : i + 7] for i in range(0, len(whole_stream), 7)]),
            b"HTTP/1.1 529 Busy\r\nretry-after: 2\r\ncontent-length: %d\r\n\r\n" % len(overloaded) + overloaded,
        ]
    )
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await request(reader)
            writer.write(next(answers))

    seen: list[str] = []
    question = ModelRequest("a", "a", Prelude(), EMPTY.append(user("Hi")), 1024)
    async with server(talk) as url, transport() as http:
        model = Anthropic("claude-haiku-4-5", api_key="k", base_url=url)
        first = await model.send(question, http)
        second = await model.send(question, http, seen.append)
        with pytest.raises(Overloaded) as caught:
            await model.send(question, http, seen.append)
    assert (first.message.text, first.usage, first.request_id) == ("Hello", None, "req_1")
    assert (second.message.text, seen, second.usage) == ("Héllo", ["Hé", "llo"], Usage(3, 0, 0, 2))
    assert caught.value.retry_after == 2
    assert connections == 1


def test_importing_costs_nothing() -> None:
    """aiohttp (0.3 s) and the official SDKs stay out until the first call, or for good."""
    code = "import sys, outlay.models.anthropic, outlay.models.transport; print(*sys.modules)"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=here)
    assert not {"aiohttp", "anthropic", "urllib.request", "pydantic"} & set(done.stdout.split())
