"""A thousand agents at once, when the server takes 200 ms."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from bench.contest import Figure, Turn, cpu_ms, hold
from bench.rivals import INSTRUCTIONS, MODEL, all_at_once, anthropic_sdk, ask, bare_aiohttp, body
from bench.worker import Round

AGENTS = 1000
LATENCY_MS = 200
#: Of the ideal, in which all answers are there after the latency of one.
_MOST = 1.8
_MOST_MB = 90.0
#: CPU of a call whose intent is durable before it starts, of one with events in memory: here many share a commit.
_MOST_DURABLE = 1.5


def measure(quick: bool) -> Sequence[Figure]:
    sizes = {"aiohttp": AGENTS, "outlay": AGENTS, "sqlite": AGENTS} | ({} if quick else {"sdk": AGENTS})
    contest = hold(__name__, sizes, rounds=3 if quick else 7, latency_ms=LATENCY_MS)
    ideal = LATENCY_MS / 1e3

    def wall(turn: Turn) -> float:
        return turn.wall

    figures: list[Figure] = []
    for who, name in NAMES.items():
        if who not in sizes:
            continue
        took = contest.median(who, wall)
        ours = who in ("outlay", "sqlite")
        figures.append(
            Figure(
                "fanout",
                f"{AGENTS:,} at once, {LATENCY_MS} ms: {name}",
                took,
                "s",
                "the ideal",
                ideal,
                took / ideal,
                _MOST if who == "outlay" else None,
                note=f"{contest.median(who, lambda turn: turn.cpu / turn.n * 1e3):.2f} ms CPU a call",
            )
        )
        if ours:
            figures.append(
                Figure("fanout", "… failed", contest.failed(who), "calls", target=0 if ours else None, of="value")
            )
        peak = contest.peak_mb(who)
        if who == "sqlite":
            durable, memory = contest.median(who, cpu_ms), contest.median("outlay", cpu_ms)
            ratio = contest.ratio(who, "outlay", cpu_ms)
            figures.append(
                Figure("fanout", "… a call of them", durable, "ms CPU", "in memory", memory, ratio, _MOST_DURABLE)
            )
        figures.append(
            Figure("fanout", "… peak memory", peak, "MB", target=_MOST_MB if who == "outlay" else None, of="value")
        )
    return figures


NAMES = {"outlay": "FanOut", "sqlite": "FanOut, SQLite", "aiohttp": "bare aiohttp", "sdk": "anthropic SDK"}


async def aiohttp(url: str) -> AsyncIterator[Round]:
    import orjson

    async with bare_aiohttp(url) as call:
        yield lambda n: all_at_once(n, lambda i: call(orjson.dumps(body(ask(f"Question {i}")))))


async def sdk(url: str) -> AsyncIterator[Round]:
    async with anthropic_sdk(url) as call:
        yield lambda n: all_at_once(n, lambda i: call(ask(f"Question {i}")))


async def _fan_out(n: int, **options: Any) -> int:
    from outlay import Agent, Budget, run
    from outlay.patterns import FanOut

    flow = FanOut(Agent("reply", f"anthropic:{MODEL}", instructions=INSTRUCTIONS), min_success=0)
    result = await run(flow, [f"Question {i}" for i in range(n)], budget=Budget(usd=1000), **options)
    assert result.stop_reason == "completed", result.error
    return n - len(result.unwrap())


async def outlay(_: str) -> AsyncIterator[Round]:
    yield _fan_out


async def sqlite(_: str) -> AsyncIterator[Round]:
    from outlay import open_store

    with tempfile.TemporaryDirectory() as folder:
        async with open_store(Path(folder) / "bench.db") as store:
            yield lambda n: _fan_out(n, store=store)


CONTESTANTS = {"outlay": outlay, "sqlite": sqlite, "aiohttp": aiohttp, "sdk": sdk}
