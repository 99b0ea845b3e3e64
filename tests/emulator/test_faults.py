"""Faults on demand: errors by status, silence, resets, broken bodies, streams that stop."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import anthropic
import httpx2
import openai
import pytest
from emulator_support import drained, until

from outlay.emulator import EmulatedReply, Emulator, Fault, Faults

CLAUDE, GPT = "claude-haiku-4-5", "gpt-5.4"


def ask_claude(c, hello, **more: Any):
    return c.anthropic.messages.create(model=CLAUDE, max_tokens=100, messages=hello, **more)


def ask_gpt(c, **more: Any):
    return c.openai.responses.create(model=GPT, input="Hello?", **more)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (408, anthropic.RequestTimeoutError, "timeout_error"),
        (409, anthropic.ConflictError, "conflict_error"),
        (413, anthropic.ContentTooLargeError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (502, anthropic.InternalServerError, "api_error"),
        (503, anthropic.ServiceUnavailableError, "api_error"),
        (504, anthropic.GatewayTimeoutError, "timeout_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
async def test_anthropic_errors_are_typed_by_the_sdk(connect, hello, status, error, kind):
    """Status and body together give the SDK's exception; nothing is billed."""
    c = await connect(faults=Faults(at={1: status}))
    with pytest.raises(error) as caught:
        await ask_claude(c, hello)
    assert (caught.value.status_code, caught.value.type) == (status, kind)
    assert caught.value.request_id == c.emulator.requests[0].request_id
    assert not c.emulator.billed()


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, openai.BadRequestError, "invalid_request_error"),
        (401, openai.AuthenticationError, "invalid_request_error"),
        (403, openai.PermissionDeniedError, "invalid_request_error"),
        (404, openai.NotFoundError, "invalid_request_error"),
        (409, openai.ConflictError, "invalid_request_error"),
        (429, openai.RateLimitError, "requests"),
        (500, openai.InternalServerError, "server_error"),
        (408, openai.APIStatusError, "server_error"),
        (413, openai.APIStatusError, "invalid_request_error"),
        (502, openai.InternalServerError, "server_error"),
        (503, openai.InternalServerError, "server_error"),
    ],
)
async def test_openai_errors_are_typed_by_the_sdk(connect, status, error, kind):
    """Status and body together give the SDK's exception; nothing is billed."""
    c = await connect(faults=Faults(at={1: status}))
    with pytest.raises(error) as caught:
        await ask_gpt(c)
    assert (caught.value.status_code, caught.value.type) == (status, kind)
    assert not c.emulator.billed()


async def test_an_error_may_say_what_it_likes(connect):
    """Message, type, code and retry-after can be given: a used-up quota is a 429 that no wait will mend."""
    quota = Fault.http(
        429, "You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota", retry_after=7
    )
    c = await connect(faults=Faults(at={1: quota}))
    with pytest.raises(openai.RateLimitError) as caught:
        await ask_gpt(c)
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert caught.value.response.headers["retry-after"] == "7"


async def test_the_sdk_retries_over_a_scripted_fault(connect, hello):
    """The third request gets the fault; the ones before and after do not."""
    c = await connect(faults=Faults(at={3: Fault.http(529, retry_after=0.01)}), behaviour="Fine.")
    retrying = c.anthropic.with_options(max_retries=1)
    for _ in range(3):
        await retrying.messages.create(model=CLAUDE, max_tokens=9, messages=hello)
    assert [record.status for record in c.emulator.requests] == [200, 200, 529, 200]
    assert [record.outcome for record in c.emulator.requests] == ["answered", "answered", "faulted", "answered"]
    assert c.emulator.requests[2].body == c.emulator.requests[3].body
    assert c.emulator.billed()[CLAUDE].output_tokens == 6


async def test_rates_are_drawn_from_the_seed(connect, hello):
    """The same seed makes the same requests fail; the rate is about what was asked for."""

    def drawn(seed: int) -> list[bool]:
        faults = Faults(rates={429: 0.2, Fault.reset(): 0.1}, seed=seed)
        return [faults.draw(position) is not None for position in range(1, 1_001)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 250 < sum(drawn(1)) < 350
    with pytest.raises(ValueError, match="sum <= 1"):
        Faults(rates={429: 0.7, 500: 0.7})


async def test_a_schedule_may_be_for_some_paths_only(connect, hello):
    """Other paths neither suffer nor count."""
    c = await connect(faults=Faults(at={2: 503}, paths=["/v1/messages/batches"]))
    await ask_claude(c, hello)
    await c.anthropic.messages.batches.list()
    await ask_claude(c, hello)
    with pytest.raises(anthropic.ServiceUnavailableError):
        await c.anthropic.messages.batches.list()


async def test_a_timeout_never_answers(connect, hello):
    """The client gives up; the books say that it did, and that nothing was billed."""
    c = await connect(faults=Faults(at={1: Fault.timeout()}))
    with pytest.raises(anthropic.APITimeoutError):
        await ask_claude(c, hello, timeout=0.3)
    await until(lambda: not c.emulator.in_flight)
    record = c.emulator.requests[0]
    assert (record.status, record.usage, record.outcome) == (None, None, "faulted")


@pytest.mark.parametrize("billed", [False, True])
async def test_a_reset_may_come_before_or_after_the_work(connect, hello, billed):
    """The client sees a connection error in both cases; only the invoice knows."""
    c = await connect(faults=Faults(at={1: Fault.reset(billed=billed)}), behaviour="Fine.")
    with pytest.raises(anthropic.APIConnectionError):
        await ask_claude(c, hello)
    assert bool(c.emulator.billed()) is billed
    assert (c.emulator.requests[0].usage is not None) is billed


@pytest.mark.parametrize("status", [200, 502])
async def test_a_proxys_page_is_html(connect, hello, status):
    """Not the provider's error body, whatever the status."""
    c = await connect(faults=Faults(at={1: Fault.html(status)}))
    async with post(c, hello) as response:
        assert (response.status, response.content_type) == (status, "text/html")


@pytest.mark.parametrize("fault", [Fault.not_json(), Fault.truncated()])
async def test_a_body_may_be_broken(connect, hello, fault):
    """Status 200 and a JSON content type, and no JSON inside; it is billed."""
    c = await connect(faults=Faults(at={1: fault}))
    async with post(c, hello) as response:
        assert (response.status, response.content_type) == (200, "application/json")
        with pytest.raises(ValueError, match=r"line 1|Expecting|Unterminated"):
            await response.json()
    assert c.emulator.billed()


def post(c, hello, **more: Any):
    return c.http.post(
        f"{c.emulator.url}/v1/messages",
        json={"model": CLAUDE, "max_tokens": 100, "messages": hello, **more},
        headers={"x-api-key": "k", "anthropic-version": "2023-06-01"},
    )


async def test_a_half_stream_is_cut_in_the_middle(connect, hello):
    """The connection breaks after some events; only what was sent is billed as output."""
    c = await connect(faults=Faults(at={1: Fault.half_stream(after=4)}), behaviour="x" * 160)
    stream, seen = await ask_claude(c, hello, stream=True), []
    with pytest.raises(httpx2.RemoteProtocolError, match="incomplete chunked read"):
        await drained(stream, seen)
    assert len(seen) == 3  # the fourth was a ping, which the SDK hides
    usage = c.emulator.requests[0].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (5, 4)


async def test_a_half_stream_may_end_cleanly(connect, hello):
    """A well-formed HTTP body that lacks its last events: no error, and no stop reason either."""
    c = await connect(faults=Faults(at={1: Fault.half_stream(after=5, ending="clean")}), behaviour="x" * 160)
    events = await drained(await ask_claude(c, hello, stream=True))
    assert [event.type for event in events][-1] == "content_block_delta"


async def test_a_half_stream_may_hang(connect, hello):
    """Some events, and then silence on an open connection."""
    c = await connect(faults=Faults(at={1: Fault.half_stream(after=5, ending="hang")}), behaviour="x" * 160)
    stream = await ask_claude(c, hello, stream=True, timeout=0.3)
    with pytest.raises(httpx2.ReadTimeout):
        await drained(stream)
    await until(lambda: not c.emulator.in_flight)


async def test_an_error_event_ends_an_anthropic_stream(connect, hello):
    """The SDK raises what the event says, although the status was 200."""
    c = await connect(faults=Faults(at={1: Fault.error_event(529, after=4)}))
    stream = await ask_claude(c, hello, stream=True)
    with pytest.raises(anthropic.APIStatusError) as caught:
        await drained(stream)
    assert caught.value.type == "overloaded_error"


async def test_an_error_event_ends_the_openai_streams(connect, hello):
    """Responses has an error event, Chat Completions an error object; both in a stream with status 200."""
    c = await connect(faults=Faults(at={n: Fault.error_event(500, after=4) for n in (1, 2)}))
    events = await drained(await ask_gpt(c, stream=True))
    assert (events[-1].type, events[-1].code) == ("error", "server_error")
    chunks = await c.openai.chat.completions.create(model=GPT, messages=hello, stream=True)
    with pytest.raises(openai.APIError):
        await drained(chunks)


async def test_an_error_event_without_a_stream_is_an_error(connect, hello):
    """Nothing is billed."""
    c = await connect(faults=Faults(at={1: Fault.error_event(529)}))
    with pytest.raises(anthropic.OverloadedError):
        await ask_claude(c, hello)
    assert not c.emulator.billed()


async def test_unknown_fields_and_events_do_not_disturb_the_sdks(connect, hello):
    """Providers add things without notice; the answer is the same."""
    c = await connect(faults=Faults(rates={Fault.extras(): 1.0}), behaviour="Fine.")
    async with anthropic.AsyncAnthropic(api_key="k", base_url=c.emulator.url) as lax:
        message = await lax.messages.create(model=CLAUDE, max_tokens=9, messages=hello)
        assert message.content[0].text == "Fine."
        assert message.model_extra["outlook"] == "unknown"
        async with lax.messages.stream(model=CLAUDE, max_tokens=9, messages=hello) as stream:
            assert (await stream.get_final_message()).content[0].text == "Fine."
    async with openai.AsyncOpenAI(api_key="k", base_url=c.emulator.openai_url) as lax_gpt:
        assert (await lax_gpt.responses.create(model=GPT, input="Hello?")).output_text == "Fine."
        async with lax_gpt.chat.completions.stream(model=GPT, messages=hello) as chunks:
            assert (await chunks.get_final_completion()).choices[0].message.content == "Fine."


async def test_a_slow_answer_comes_after_all(connect, hello):
    """So many seconds before a plain answer."""
    c = await connect(faults=Faults(at={1: Fault.slow(0.02)}))
    started = asyncio.get_running_loop().time()
    await ask_claude(c, hello)
    assert asyncio.get_running_loop().time() - started >= 0.02


@pytest.mark.parametrize("value", ["-1", "NaN", "soon", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_retry_after_may_be_hostile(connect, hello, value):
    """A text goes on the wire as it is."""
    c = await connect(faults=Faults(at={1: Fault.http(429, retry_after=value)}))
    with pytest.raises(anthropic.RateLimitError) as caught:
        await ask_claude(c, hello)
    assert caught.value.response.headers["retry-after"] == value


async def test_an_answer_may_drip(connect, hello):
    """A little at a time: it comes whole, in twenty times the pause."""
    c = await connect(behaviour="All of it.", faults=Faults(rates={Fault.drip(0.005): 1.0}))
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert (await ask_claude(c, hello)).content[0].text == "All of it."
    assert loop.time() - began >= 0.1
    events = await drained(await ask_claude(c, hello, stream=True))
    assert events[-1].type == "message_stop"
    assert [record.usage.output_tokens for record in c.emulator.requests] == [3, 3]


async def test_events_may_come_twice_but_deltas(connect, hello):
    """Billed once; the text is the same."""
    c = await connect(behaviour="Once or twice.", faults=Faults(rates={Fault.twice(): 1.0}))
    kinds = [event.type async for event in await ask_claude(c, hello, stream=True)]
    assert kinds.count("message_start") == kinds.count("message_delta") == kinds.count("message_stop") == 2
    events = [event async for event in await ask_gpt(c, stream=True)]
    assert "".join(event.delta for event in events if event.type.endswith("text.delta")) == "Once or twice."
    assert [event.type for event in events].count("response.completed") == 2
    assert len(c.emulator.billed()) == 2


async def test_a_behaviour_may_answer_with_a_fault(connect, hello):
    """What goes wrong can depend on what was asked."""
    c = await connect(behaviour=[Fault.http(503), "Fine.", Fault.half_stream(after=2)])
    with pytest.raises(anthropic.ServiceUnavailableError):
        await ask_claude(c, hello)
    assert (await ask_claude(c, hello)).content[0].text == "Fine."
    stream = await ask_claude(c, hello, stream=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        await drained(stream)


async def test_a_client_that_leaves_is_in_the_books(connect, hello):
    """A plain answer is billed in full although nobody got it; a stream for what was sent."""
    c = await connect(latency=60.0, behaviour=lambda _: EmulatedReply("x" * 40))
    for count, stream in enumerate((False, True), start=1):
        leaving = asyncio.ensure_future(post(c, hello, stream=stream).__aenter__())
        await until(lambda count=count: len(c.emulator.requests) == count and c.emulator.requests[-1].body)
        leaving.cancel()
        await until(lambda: not c.emulator.in_flight)
    plain, streamed = c.emulator.requests
    assert (plain.outcome, streamed.outcome) == ("closed_by_client", "closed_by_client")
    assert plain.usage is not None
    assert streamed.usage is not None
    assert (plain.usage.output_tokens, streamed.usage.output_tokens) == (10, 0)


async def test_stopping_ends_what_hangs(hello):
    """Leaving the emulator's block does not wait for a request that will never be answered."""
    async with aiohttp.ClientSession() as http:
        async with Emulator(faults=Faults(at={1: Fault.timeout()})) as emulator:
            headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
            pending = asyncio.ensure_future(http.post(f"{emulator.url}/v1/messages", json={}, headers=headers))
            await until(lambda: emulator.in_flight)
        with pytest.raises(aiohttp.ClientError):
            await pending


@pytest.mark.parametrize(("wrong", "why"), [({"after": 0.5}, "whole number"), ({"ending": "bang"}, "one of cut")])
def test_a_half_stream_that_cannot_be_is_refused_when_it_is_made(wrong: dict[str, Any], why: str) -> None:
    """Not when the first client meets it."""
    with pytest.raises(ValueError, match=why):
        Fault.half_stream(**wrong)
