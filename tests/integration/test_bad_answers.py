"""Answers that are none, over real sockets and through every adapter: an error of ours, or the answer all the same."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import pytest

from outlay import Agent, Budget, run
from outlay.errors import BadResponse, ModelError, Overloaded, ServerError
from outlay.events import CallFailed
from outlay.models import Anthropic, OpenAI, OpenAIChat
from outlay.models.transport import HttpTransport
from outlay.values.message import user
from outlay.values.request import ModelRequest, ModelResponse, Prelude, RateLimitFacts
from outlay.values.transcript import EMPTY

KEY = "sk-secret-1234567890"

MESSAGES = {
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
RESPONSES = {
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}],
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
CHAT = {
    "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}
ADAPTERS: list[tuple[Callable[..., Any], str, dict[str, Any]]] = [
    (Anthropic, "claude-haiku-4-5", MESSAGES),
    (OpenAI, "gpt-5.4", RESPONSES),
    (OpenAIChat, "gpt-4o", CHAT),
]
every_adapter = pytest.mark.parametrize(("adapter", "name", "good"), ADAPTERS, ids=["anthropic", "responses", "chat"])


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@cache
def bomb() -> bytes:
    """A hundred megabytes of nothing."""
    return gzip.compress(b" " * 104_857_600)


@asynccontextmanager
async def server(answer: bytes, closes: bool = False) -> AsyncGenerator[tuple[str, list[str]]]:
    """Says this to everybody, and keeps the first line of what it was asked; `closes`: and then hangs up."""
    asked: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                asked.append(head.split("\r\n", 1)[0])
                length = next(line for line in head.split("\r\n") if line.startswith("content-length"))
                await reader.readexactly(int(length.split(":")[1]))
                writer.write(answer)
                await writer.drain()
                if closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked
    finally:  # `async with` would wait, from Python 3.12 on, until the client has let go of its idle connections
        listening.close()
        for writer in writers:
            writer.close()


async def sent(
    adapter: Any, name: str, answer: bytes, *, streamed: bool = False, closes: bool = False
) -> tuple[ModelResponse | ModelError, list[str]]:
    """One attempt: what it gave, or failed with; and what the server was asked."""
    http = HttpTransport()
    async with server(answer, closes) as (url, asked):
        model = adapter(name, api_key=KEY, base_url=url if adapter is Anthropic else f"{url}/v1")
        request = ModelRequest("a", "a", Prelude(), EMPTY.append(user("Hi")), 50)
        try:
            return await model.send(request, http, (lambda text: None) if streamed else None), asked
        except ModelError as error:
            return error, asked
        finally:
            await http.close()


@every_adapter
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        ("200 OK", b"<!DOCTYPE html><html><body>Sign in to the hotel</body></html>", ["content-type: text/html"]),
        ("200 OK", b'{"error": {"type": "api_error", "message": "out of order"}}', ["content-type: application/json"]),
        ("200 OK", b"this is no gzip", ["content-encoding: gzip"]),
        ("200 OK", gzip.compress(b"{}" * 1000)[:-20], ["content-encoding: gzip"]),
        ("200 OK", b"[]", []),
        ("200 OK", b"null", []),
        ("200 OK", b'{"content": 5, "output": 5, "choices": 5}', []),
        ("200 OK", b"\xff\xfe\x00{", ["content-type: application/json; charset=utf-7"]),
        ("200 OK", b"[" * 100_000, []),
    ],
    ids=["html", "error", "no-gzip", "half-gzip", "list", "null", "wrong-types", "no-utf8", "deep"],
)
async def test_what_is_no_answer_is_an_error_in_doubt(
    adapter: Any, name: str, good: Any, streamed: bool, status: str, body: bytes, headers: list[str]
) -> None:
    """Typed, worth another attempt, possibly billed (it was a 200), and the key is in no text."""
    error, _ = await sent(adapter, name, http(status, body, *headers), streamed=streamed)
    assert isinstance(error, BadResponse | ServerError)
    assert error.retryable
    assert error.may_be_billed or b"error" in body  # the provider says itself that it failed
    assert KEY not in str(error)


@every_adapter
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_anywhere(
    adapter: Any, name: str, good: Any, streamed: bool, status: int
) -> None:
    """The key and the prompt stay with the host they were meant for, whatever the redirect promises."""
    async with server(http("200 OK", json.dumps(good).encode())) as (elsewhere, stolen):
        answer = http(f"{status} Go", b"", f"location: {elsewhere}/v1/messages")
        error, asked = await sent(adapter, name, answer, streamed=streamed)
    assert isinstance(error, ModelError)
    assert (len(asked), stolen) == (1, [])
    assert "base URL" in str(error)


@every_adapter
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_a_body_that_grows_a_hundredfold_is_refused_before_it_does(
    adapter: Any, name: str, good: Any, streamed: bool
) -> None:
    """A hundred megabytes in a hundred kilobytes of gzip: no more of it is unpacked than the largest answer has."""
    answer = http("200 OK", bomb(), "content-encoding: gzip")
    tracemalloc.start()
    error, _ = await sent(adapter, name, answer, streamed=streamed)
    grown = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(error, BadResponse)
    assert "larger than" in str(error)
    assert not error.retryable
    assert grown < 104_857_600


@every_adapter
async def test_a_body_of_a_hundred_megabytes_is_refused_by_its_length(adapter: Any, name: str, good: Any) -> None:
    """Before it is read, and not asked for again."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n" + b" " * 1000
    error, _ = await sent(adapter, name, head)
    assert isinstance(error, BadResponse)
    assert "larger than" in str(error)
    assert not error.retryable


@every_adapter
@pytest.mark.parametrize(
    "headers",
    [
        ["content-type: text/plain"],
        [
            "anthropic-ratelimit-requests-remaining: many",
            "anthropic-ratelimit-requests-limit: -5",
            "anthropic-ratelimit-requests-reset: tomorrow",
            "anthropic-ratelimit-input-tokens-remaining: NaN",
            "x-ratelimit-remaining-requests: ٣",
            "x-ratelimit-limit-requests: inf",
            "x-ratelimit-reset-requests: 99999999999999999999h",
            "retry-after: soon",
            "request-id: \x1b[31mred",
        ],
    ],
    ids=["content-type", "headers"],
)
async def test_what_only_looks_odd_is_an_answer(adapter: Any, name: str, good: Any, headers: list[str]) -> None:
    """A wrong content type and headers that are not numbers keep nobody from reading the body."""
    body = json.dumps(good).encode()
    response, _ = await sent(adapter, name, http("200 OK", body, *headers))
    assert isinstance(response, ModelResponse)
    assert response.message.text == "Hello"
    facts = response.limits or RateLimitFacts()
    assert (facts.requests_left, facts.requests_limit, facts.requests_reset) in [(None,) * 3, (None, None, 0)]


@every_adapter
@pytest.mark.parametrize("length", ["many", "-5", "3\r\ncontent-length: 4", "99999999999999999999999"])
async def test_a_length_that_is_none_is_no_answer(adapter: Any, name: str, good: Any, length: str) -> None:
    """The bytes may be anybody's: they are not read as an answer."""
    answer = f"HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n".encode() + json.dumps(good).encode()
    error, _ = await sent(adapter, name, answer)
    assert isinstance(error, BadResponse)
    assert error.may_be_billed


@every_adapter
@pytest.mark.parametrize("asked_for", ["soon", "-5", "NaN", "1e999", "Wed, 99 Foo 2026 99:99:99 GMT"])
async def test_a_senseless_retry_after_is_ignored(adapter: Any, name: str, good: Any, asked_for: str) -> None:
    """As if it were not there."""
    error, _ = await sent(adapter, name, http("503 Busy", b"", f"retry-after: {asked_for}"))
    assert isinstance(error, Overloaded)
    assert (error.retry_after, error.retryable) == (None, True)


async def test_a_page_instead_of_an_answer_through_a_whole_run() -> None:
    """A captive portal: three attempts, each in doubt, and what to check."""
    page = http("200 OK", b"<!DOCTYPE html><html><body>Sign in</body></html>", "content-type: text/html")
    async with server(page) as (url, asked):
        flow = Agent("a", Anthropic("claude-haiku-4-5", api_key=KEY, base_url=url), max_output_tokens=50)
        result = await run(flow, "Hi", budget=Budget(usd=1), seed=1)
    assert [e.maybe_billed for e in result.events if isinstance(e, CallFailed)] == [True] * len(asked) == [True] * 3
    assert "check the base URL and proxies" in str(result.error)
    assert result.bill.in_doubt > 0


@pytest.mark.parametrize("count", [b"1" + b"0" * 400, b"-3", b"3.5", b"true", b'"many"', b"null"])
async def test_a_usage_that_is_none_is_unknown_and_bounded_by_what_was_held(count: bytes) -> None:
    """The answer stands; what it cost is said to be between nothing and its worst case, in every form of the bill."""
    body = json.dumps(MESSAGES).encode().replace(b'"input_tokens": 3', b'"input_tokens": ' + count)
    async with server(http("200 OK", body, "content-type: application/json")) as (url, _):
        flow = Agent("a", Anthropic("claude-haiku-4-5", api_key=KEY, base_url=url), max_output_tokens=50)
        result = await run(flow, "Hi", budget=Budget(usd=1))
    bill = result.bill
    assert (result.output, bill.total, bill.at_least, bill.unreported) == ("Hello", None, 0, 1)
    assert 0 < bill.in_doubt < 1
    assert "unknown" in str(bill)
    assert "1 call answered without usage, outside the total" in str(bill)
