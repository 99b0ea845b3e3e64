"""One more turn of a long conversation: 50 messages, 244 KB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from bench.contest import Figure, cpu_ms, hold
from bench.rivals import INSTRUCTIONS, MODEL, QUESTION, Messages, anthropic_sdk, bare_aiohttp, body, one_by_one
from bench.worker import Round

MESSAGES = 50
#: Characters of each message; with quotes and line breaks in it, as code and JSON have.
_WORDS = 'The "quick" brown fox, said the log,\njumps over 17 lazy dogs. '
SIZE = 244_000 // MESSAGES
#: Of bare aiohttp that sends a ready body.
_MOST = 1.3


def measure(quick: bool) -> Sequence[Figure]:
    contest = hold(__name__, {"aiohttp": 50, "outlay": 50, "sdk": 20}, rounds=5 if quick else 21)
    ours = contest.median("outlay", cpu_ms)
    return [
        Figure(
            "history",
            f"a call after {MESSAGES} messages of {MESSAGES * SIZE // 1000} KB",
            ours,
            "ms CPU",
            name,
            contest.median(who, cpu_ms),
            contest.ratio("outlay", who, cpu_ms),
            target,
        )
        for who, name, target in (("aiohttp", "aiohttp, body ready", _MOST), ("sdk", "anthropic SDK", None))
    ]


def _messages() -> Messages:
    text = (_WORDS * (SIZE // len(_WORDS) + 1))[:SIZE]
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i in range(MESSAGES)]


async def aiohttp(url: str) -> AsyncIterator[Round]:
    import orjson

    ready = orjson.dumps(body([*_messages(), {"role": "user", "content": QUESTION}]))
    async with bare_aiohttp(url) as call:
        yield lambda n: one_by_one(n, lambda: call(ready))


async def sdk(url: str) -> AsyncIterator[Round]:
    messages = [*_messages(), {"role": "user", "content": QUESTION}]
    async with anthropic_sdk(url) as call:
        yield lambda n: one_by_one(n, lambda: call(messages))


async def outlay(_: str) -> AsyncIterator[Round]:
    from outlay import Agent, Budget, run
    from outlay.values.content import Text
    from outlay.values.message import Message
    from outlay.values.transcript import Transcript

    agent = Agent("reply", f"anthropic:{MODEL}", instructions=INSTRUCTIONS)
    past = Transcript().append(*(Message(m["role"], (Text(m["content"]),)) for m in _messages()))

    async def call() -> None:
        result = await run(agent, QUESTION, history=past, budget=Budget(usd=1000))
        assert result.stop_reason == "completed", result.error

    yield lambda n: one_by_one(n, call)


CONTESTANTS = {"outlay": outlay, "aiohttp": aiohttp, "sdk": sdk}
