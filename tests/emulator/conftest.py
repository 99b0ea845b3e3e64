"""Fixtures: an emulator on a real socket and the official SDKs, unchanged, connected to it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
from openai import AsyncOpenAI

from outlay.emulator import Emulator

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading certificates, which plain HTTP does not need, would be most of the time of a test."""


@dataclass
class Connection:
    """An emulator and clients that do not retry and validate every answer strictly."""

    emulator: Emulator
    anthropic: AsyncAnthropic
    openai: AsyncOpenAI
    http: aiohttp.ClientSession


class HandClock:
    """A clock that stands still until it is moved, in seconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


Connect = Callable[..., Awaitable[Connection]]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """`await connect(**settings)` starts an emulator with these settings and connects the SDKs to it."""
    async with AsyncExitStack() as stack:

        async def connected(**settings: Any) -> Connection:
            emulator = await stack.enter_async_context(Emulator(**settings))
            key, timeout = min(settings.get("api_keys", ["test-key"])), 5.0
            anthropic = AsyncAnthropic(
                api_key=key,
                base_url=emulator.anthropic_url,
                max_retries=0,
                timeout=timeout,
                http_client=DefaultAsyncHttpxClient(verify=NO_TLS),
                _strict_response_validation=True,
            )
            openai = AsyncOpenAI(
                api_key=key,
                base_url=emulator.openai_url,
                max_retries=0,
                timeout=timeout,
                http_client=DefaultAsyncHttpxClient(verify=NO_TLS),
                _strict_response_validation=True,
            )
            await stack.enter_async_context(anthropic)
            await stack.enter_async_context(openai)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return Connection(emulator, anthropic, openai, http)

        yield connected


@pytest.fixture
def hello() -> list[dict[str, Any]]:
    """A conversation of one user message."""
    return [{"role": "user", "content": "Hello?"}]
