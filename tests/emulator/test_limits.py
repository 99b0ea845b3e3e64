"""Rate limits: the headers of both providers, and a 429 that says when to come back."""

from __future__ import annotations

import anthropic
import openai
import pytest

from outlay.emulator import Limits

CLAUDE, GPT = "claude-haiku-4-5", "gpt-5.4"


async def ask_claude(c, text: str = "Hello?"):
    return await c.anthropic.messages.with_raw_response.create(
        model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": text}]
    )


async def test_anthropics_headers_say_what_is_left(connect, hello, clock):
    """Requests, input tokens, output tokens and their sum: limit, remaining, and when it is full again."""
    c = await connect(clock=clock, limits=Limits(requests_per_minute=10, tokens_per_minute=100))
    headers = (await ask_claude(c)).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "10"
    assert headers["anthropic-ratelimit-requests-remaining"] == "9"
    assert headers["anthropic-ratelimit-requests-reset"] == "2027-01-15T08:00:06Z"
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "95"
    assert headers["anthropic-ratelimit-output-tokens-limit"] == "400000"


async def test_openais_headers_say_what_is_left(connect, clock):
    """Requests and tokens, and how long until each is full again."""
    c = await connect(clock=clock, limits=Limits(requests_per_minute=10, tokens_per_minute=100))
    headers = (await c.openai.responses.with_raw_response.create(model=GPT, input="Hello?")).headers
    assert headers["x-ratelimit-limit-requests"] == "10"
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert headers["x-ratelimit-reset-requests"] == "6s"
    assert headers["x-ratelimit-remaining-tokens"] == "95"


async def test_more_requests_than_allowed_are_a_429_with_retry_after(connect, clock):
    """After the seconds it names, the next one is served."""
    c = await connect(clock=clock, limits=Limits(requests_per_minute=2))
    await ask_claude(c)
    await ask_claude(c)
    with pytest.raises(anthropic.RateLimitError) as caught:
        await ask_claude(c)
    assert caught.value.type == "rate_limit_error"
    assert caught.value.response.headers["retry-after"] == "30"
    clock.forward(30)
    await ask_claude(c)


async def test_more_tokens_than_allowed_are_a_429(connect, clock):
    """The limit counts input that is not read from the cache."""
    c = await connect(clock=clock, limits=Limits(tokens_per_minute=1_000))
    await ask_claude(c, "x" * 3_600)
    with pytest.raises(anthropic.RateLimitError, match="1,000 input tokens per minute"):
        await ask_claude(c, "x" * 3_600)
    clock.forward(60)
    await ask_claude(c, "x" * 3_600)


async def test_openai_says_which_limit_it_was(connect, clock):
    """Type requests or tokens, code rate_limit_exceeded, and the wait in the text and the headers."""
    c = await connect(clock=clock, limits=Limits(requests_per_minute=1))
    await c.openai.responses.create(model=GPT, input="Hello?")
    with pytest.raises(openai.RateLimitError, match="Please try again in 1m0s") as caught:
        await c.openai.responses.create(model=GPT, input="Hello?")
    assert (caught.value.type, caught.value.code) == ("requests", "rate_limit_exceeded")
    assert caught.value.response.headers["retry-after-ms"] == "60000"


async def test_cache_reads_do_not_count(connect, clock):
    """A cached prefix leaves the input limit alone."""
    c = await connect(clock=clock, limits=Limits(tokens_per_minute=6_000))
    system = [{"type": "text", "text": "x" * 20_000, "cache_control": {"type": "ephemeral"}}]
    for _ in range(5):
        await c.anthropic.messages.create(
            model=CLAUDE, max_tokens=9, system=system, messages=[{"role": "user", "content": "Hello?"}]
        )


async def test_output_is_charged_after_the_answer(connect, hello, clock):
    """An answer longer than the limit is given, and the next one has to wait."""
    c = await connect(clock=clock, limits=Limits(output_tokens_per_minute=60), behaviour="x" * 400)
    ask = {"model": CLAUDE, "max_tokens": 100, "messages": hello}
    await c.anthropic.messages.create(**ask)
    with pytest.raises(anthropic.RateLimitError, match="output tokens"):
        await c.anthropic.messages.create(**ask)
    clock.forward(60)
    await c.anthropic.messages.create(**ask)


async def test_models_have_limits_of_their_own(connect, hello, clock):
    """One model's 429 does not touch another."""
    c = await connect(clock=clock, limits=Limits(requests_per_minute=1))
    await ask_claude(c)
    await c.anthropic.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=hello)
