"""The others: bare aiohttp with orjson, which does no more than send and read, and the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

MODEL = "claude-haiku-4-5"
QUESTION = "Why is the sky blue?"
INSTRUCTIONS = "Answer in one sentence."
Messages = list[dict[str, Any]]


def body(messages: Messages) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 1024, "system": INSTRUCTIONS, "messages": messages}


def ask(text: str) -> Messages:
    return [{"role": "user", "content": text}]


@asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncGenerator[Callable[[bytes], Awaitable[Any]]]:
    """Send a ready body, read the answer as JSON."""
    import aiohttp
    import orjson

    headers = {"content-type": "application/json", "x-api-key": "bench", "anthropic-version": "2023-06-01"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(data: bytes) -> Any:
            async with session.post(f"{url}/v1/messages", data=data, headers=headers) as answer:
                return orjson.loads(await answer.read())

        yield call


@asynccontextmanager
async def anthropic_sdk(url: str) -> AsyncGenerator[Callable[[Messages], Awaitable[Any]]]:
    import anthropic

    async with anthropic.AsyncAnthropic(base_url=url, api_key="bench", max_retries=0) as client:

        async def call(messages: Messages) -> Any:
            create: Any = client.messages.create  # which of its overloads a dict picks is known only when it runs
            return await create(**body(messages))

        yield call


async def one_by_one(n: int, call: Callable[[], Awaitable[Any]]) -> int:
    for _ in range(n):
        await call()
    return 0


async def all_at_once(n: int, call: Callable[[int], Awaitable[Any]]) -> int:
    """Gives how many failed."""
    answers = await asyncio.gather(*(call(i) for i in range(n)), return_exceptions=True)
    return sum(isinstance(answer, BaseException) for answer in answers)
