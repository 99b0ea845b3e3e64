"""One more turn of a long conversation: 50 messages, 244 KB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from bench.contest import Contest, Figure, cpu_ms, hold
from bench.rivals import INSTRUCTIONS, MODEL, QUESTION, Messages, anthropic_sdk, ask, bare_aiohttp, body, one_by_one
from bench.worker import Round

MESSAGES = 50
#: Characters of each message; with quotes and line breaks in it, as code and JSON have.
_WORDS = 'The "quick" brown fox, said the log,\njumps over 17 lazy dogs. '
SIZE = 244_000 // MESSAGES
#: Of bare aiohttp that sends a ready body.
_MOST = 1.3


def measure(quick: bool) -> Sequence[Figure]:
    sizes = dict.fromkeys(CONTESTANTS, 50) | {"sdk": 20}
    contest = hold(__name__, sizes, rounds=5 if quick else 21)
    cpu = {who: contest.median(who, cpu_ms) for who in CONTESTANTS}
    what = f"a call after {MESSAGES} messages of {MESSAGES * SIZE // 1000} KB"
    ours, bare, sdk = "outlay", "aiohttp", "sdk"
    return [
        Figure("history", what, cpu[ours], "ms CPU", "aiohttp, body ready", cpu[bare], _ratio(contest, bare), _MOST),
        Figure("history", what, cpu[ours], "ms CPU", "anthropic SDK", cpu[sdk], _ratio(contest, sdk)),
        Figure(
            "history",
            "… what the history adds to a call",
            cpu[ours] - cpu["outlay-short"],
            "ms CPU",
            "aiohttp, body ready",
            cpu[bare] - cpu["aiohttp-short"],
        ),
    ]


def _ratio(contest: Contest, rival: str) -> float:
    return contest.ratio("outlay", rival, cpu_ms)


def _messages() -> Messages:
    text = (_WORDS * (SIZE // len(_WORDS) + 1))[:SIZE]
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i in range(MESSAGES)]


async def aiohttp(url: str) -> AsyncIterator[Round]:
    async for one in _aiohttp(url, _messages()):
        yield one


async def aiohttp_short(url: str) -> AsyncIterator[Round]:
    async for one in _aiohttp(url, []):
        yield one


async def _aiohttp(url: str, messages: Messages) -> AsyncIterator[Round]:
    import orjson

    ready = orjson.dumps(body([*messages, *ask(QUESTION)]))
    async with bare_aiohttp(url) as call:
        yield lambda n: one_by_one(n, lambda: call(ready))


async def sdk(url: str) -> AsyncIterator[Round]:
    messages = [*_messages(), *ask(QUESTION)]
    async with anthropic_sdk(url) as call:
        yield lambda n: one_by_one(n, lambda: call(messages))


async def outlay(_: str) -> AsyncIterator[Round]:
    yield _outlay(_messages())


async def outlay_short(_: str) -> AsyncIterator[Round]:
    yield _outlay([])


def _outlay(messages: Messages) -> Round:
    from outlay import Agent, Budget, run
    from outlay.values.content import Text
    from outlay.values.message import Message
    from outlay.values.transcript import Transcript

    agent = Agent("reply", f"anthropic:{MODEL}", instructions=INSTRUCTIONS)
    past = Transcript().append(*(Message(m["role"], (Text(m["content"]),)) for m in messages))

    async def call() -> None:
        result = await run(agent, QUESTION, history=past, budget=Budget(usd=1000))
        assert result.stop_reason == "completed", result.error

    return lambda n: one_by_one(n, call)


CONTESTANTS = {
    "outlay": outlay,
    "aiohttp": aiohttp,
    "outlay-short": outlay_short,
    "aiohttp-short": aiohttp_short,
    "sdk": sdk,
}
