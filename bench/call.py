"""What one call costs in CPU, when the server answers at once."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from bench.contest import Contest, Figure, cpu_ms, hold
from bench.rivals import INSTRUCTIONS, MODEL, QUESTION, anthropic_sdk, ask, bare_aiohttp, body, one_by_one
from bench.worker import Round

#: Of bare aiohttp, for a call with events in memory.
_MOST = 2.0
#: Of a call with events in memory, for one whose intent is durable before it starts.
_MOST_DURABLE = 1.5


def measure(quick: bool) -> Sequence[Figure]:
    sizes = dict.fromkeys(CONTESTANTS, 200) | {"sdk": 50}
    contest = hold(__name__, sizes, rounds=5 if quick else 21)
    commit = f"a bare commit in a thread: {contest.median('commit', cpu_ms):.3f} ms"
    return [
        _line(contest, "run, node and agent, a budget on each", "memory", "aiohttp", _MOST),
        _line(contest, "run of one agent, one budget", "alone", "aiohttp", _MOST),
        _line(contest, "one more agent call in a run", "long", "aiohttp", _MOST),
        _line(contest, "… with the SQLite store", "long-sqlite", "long", _MOST_DURABLE, commit),
        _line(
            contest,
            "run, node and agent, SQLite store",
            "sqlite",
            "memory",
            _MOST_DURABLE,
            "two commits: before the call, and of the result",
        ),
        _line(contest, "run, node and agent, SQLite store", "sqlite", "aiohttp", _MOST * _MOST_DURABLE),
        _line(contest, "run, node and agent, SQLite store", "sqlite", "sdk", None),
    ]


def _line(contest: Contest, what: str, who: str, rival: str, target: float | None, note: str = "") -> Figure:
    return Figure(
        "call",
        what,
        contest.median(who, cpu_ms),
        "ms CPU",
        {"aiohttp": "bare aiohttp", "sdk": "anthropic SDK"}.get(rival, "in memory"),
        contest.median(rival, cpu_ms),
        contest.ratio(who, rival, cpu_ms),
        target,
        note=note,
    )


async def aiohttp(url: str) -> AsyncIterator[Round]:
    import orjson

    async with bare_aiohttp(url) as call:
        yield lambda n: one_by_one(n, lambda: call(orjson.dumps(body(ask(QUESTION)))))


async def sdk(url: str) -> AsyncIterator[Round]:
    async with anthropic_sdk(url) as call:
        yield lambda n: one_by_one(n, lambda: call(ask(QUESTION)))


def _flow() -> Any:
    """A node over an agent, a budget on each; the run's own makes three."""
    from outlay import Agent, Budget, RunContext, node

    agent = Agent("reply", f"anthropic:{MODEL}", instructions=INSTRUCTIONS, budget=Budget(usd=1000, calls=10_000))

    @node(children=[agent])
    async def desk(ctx: RunContext, question: str) -> str:
        return await ctx.run(agent, question)

    return desk.replace(budget=Budget(usd=1000))


async def _one_run(flow: Any, **options: Any) -> None:
    from outlay import Budget, run

    result = await run(flow, QUESTION, budget=Budget(usd=1000), **options)
    assert result.stop_reason == "completed", result.error


async def memory(_: str) -> AsyncIterator[Round]:
    flow = _flow()
    yield lambda n: one_by_one(n, lambda: _one_run(flow))


async def alone(_: str) -> AsyncIterator[Round]:
    from outlay import Agent

    agent = Agent("reply", f"anthropic:{MODEL}", instructions=INSTRUCTIONS)
    yield lambda n: one_by_one(n, lambda: _one_run(agent))


async def sqlite(_: str) -> AsyncIterator[Round]:
    from outlay import open_store

    flow = _flow()
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(Path(folder) / "bench.db") as store:
            yield lambda n: one_by_one(n, lambda: _one_run(flow, store=store))


async def _many_calls(n: int, **options: Any) -> int:
    """One run that asks its agent `n` times, one after the other."""
    from outlay import Agent, Budget, RunContext, node, run

    agent = Agent("reply", f"anthropic:{MODEL}", instructions=INSTRUCTIONS, budget=Budget(usd=1000, calls=10_000))

    @node(children=[agent])
    async def desk(ctx: RunContext, question: str) -> str:
        answer = ""
        for _ in range(n):
            answer = await ctx.run(agent, question)
        return answer

    result = await run(desk.replace(budget=Budget(usd=1000)), QUESTION, budget=Budget(usd=1000), **options)
    assert result.stop_reason == "completed", result.error
    return 0


async def long(_: str) -> AsyncIterator[Round]:
    yield _many_calls


async def long_sqlite(_: str) -> AsyncIterator[Round]:
    from outlay import open_store

    with tempfile.TemporaryDirectory() as folder:
        async with open_store(Path(folder) / "bench.db") as store:
            yield lambda n: _many_calls(n, store=store)


async def commit(_: str) -> AsyncIterator[Round]:
    """The least that durability before each call can cost: SQLite in a thread, four rows a commit, and nothing else."""
    import asyncio
    import queue
    import sqlite3
    import threading

    loop = asyncio.get_running_loop()
    asked: queue.SimpleQueue[asyncio.Future[None] | None] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:

        def work() -> None:
            database = sqlite3.connect(Path(folder) / "bench.db", isolation_level=None)
            for statement in (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "CREATE TABLE rows (body BLOB)",
            ):
                database.execute(statement)
            while (done := asked.get()) is not None:
                database.execute("BEGIN IMMEDIATE")
                database.executemany("INSERT INTO rows VALUES (?)", [(b"x" * 400,)] * 4)
                database.execute("COMMIT")
                loop.call_soon_threadsafe(done.set_result, None)
            database.close()

        async def one() -> None:
            done = loop.create_future()
            asked.put(done)
            await done

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield lambda n: one_by_one(n, one)
        finally:
            asked.put(None)
            thread.join()


CONTESTANTS = {
    "commit": commit,
    "aiohttp": aiohttp,
    "memory": memory,
    "alone": alone,
    "long": long,
    "sqlite": sqlite,
    "long-sqlite": long_sqlite,
    "sdk": sdk,
}
