"""What it costs that a run can go on: bytes and CPU a step, a wide fan-out of effects, the resume of a long run.

A step is one effect, as long as nothing else is said. Models answer at once.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.contest import Figure

LENGTHS = (50, 200, 400)
STEPS = 500
WIDE = 1_000
EFFECT_SECONDS = 0.2
#: Concurrent runs for the CPU of a step: they share commits.
RUNS, TURNS = 50, 20


def measure(quick: bool) -> Sequence[Figure]:
    turns = 1 if quick else 5

    def median(what: str, *arguments: object) -> dict[str, float]:
        taken = [_apart(what, *arguments) for _ in range(turns)]
        return {name: statistics.median(turn[name] for turn in taken) for name in taken[0]}

    figures: list[Figure] = []
    for kind, what, most in (
        ("drafts", "drafts of 1 KB", 4.0),
        ("turns", "turns with a tool's 1 KB, two effects each", None),
    ):
        grown = {length: median("grow", kind, length) for length in LENGTHS}
        for length, found in grown.items():
            note = f"{found['cpu']:.2f} ms CPU a step"
            kilobytes = found["bytes"] / 1024
            figures.append(
                Figure("journal", f"{length} {what}", kilobytes, "KB a step", target=most, of="value", note=note)
            )
        first, last = grown[LENGTHS[0]], grown[LENGTHS[-1]]
        growth, slower = last["bytes"] / first["bytes"], last["cpu"] / first["cpu"]
        figures += [
            Figure("journal", "… the longest beside the shortest, bytes a step", growth, "×", target=1.1, of="value"),
            Figure("journal", "… CPU a step", slower, "×", target=1.3, of="value"),
        ]
    cost = median("overhead")
    figures.append(
        Figure(
            "journal",
            f"{RUNS} runs × {TURNS} turns, SQLite above none",
            cost["cpu"],
            "ms CPU a step",
            target=0.3,
            of="value",
            note=f"{cost['bare']:.2f} ms without a store",
        )
    )
    wide = median("fan_out")
    figures.append(
        Figure(
            "journal",
            f"{WIDE:,} effects of {EFFECT_SECONDS} s at once, SQLite",
            wide["wall"],
            "s",
            target=0.5,
            of="value",
        )
    )
    resumed = median("resume")
    figures += [
        Figure("journal", f"resume after {STEPS} turns, SQLite", resumed["wall"], "s", target=1.0, of="value"),
        Figure("journal", f"… after {STEPS} effects in a row", resumed["row"], "s", target=1.0, of="value"),
    ]
    return figures


def _apart(what: str, *arguments: object) -> dict[str, float]:
    """Measured in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __name__, what, str(Path(folder) / "bench.db"), *map(str, arguments)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def conversation(turns: int) -> Any:
    """An agent that calls a tool turn after turn; the tool gives back 1 KB that is new each time."""
    from outlay import Agent, tool
    from outlay.testing import Reply, ScriptedModel

    @tool
    def look(number: int) -> str:
        """Look something up."""
        return f"{number:08d}" * 128

    def answer(request: Any) -> Any:
        turn = len(request.messages) // 2
        return "done" if turn + 1 >= turns else Reply(tool_calls=[("look", {"number": turn})])

    return Agent("a", ScriptedModel(answer), tools=[look], max_turns=turns + 1)


def drafts(number: int) -> Any:
    """An agent that writes 1 KB, is told to write it again, and so on: all of it is one conversation."""
    from outlay import Agent
    from outlay.patterns import Refine
    from outlay.testing import ScriptedModel

    def never(text: str) -> str:
        return "again"

    def answer(request: Any) -> str:
        return f"{len(request.messages):08d}" * 128

    return Refine(Agent("a", ScriptedModel(answer)), never, max_rounds=number)


def _size(path: str) -> int:
    return Path(path).stat().st_size


async def grow(path: str, kind: str, turns: str) -> dict[str, float]:
    from outlay import open_store, run

    n, make = int(turns), {"drafts": drafts, "turns": conversation}[kind]
    async with open_store(path) as store:
        await run(make(2), "warm up", store=store)
    before = _size(path)
    cpu = time.process_time()
    async with open_store(path) as store:
        result = await run(make(n), "x", store=store)
    cpu = time.process_time() - cpu
    assert result.stop_reason == "completed", result.error
    return {"bytes": (_size(path) - before) / n, "cpu": cpu / n * 1e3}


async def overhead(path: str) -> dict[str, float]:
    """Runs side by side with a store and without, in turns."""
    from outlay import open_store, run

    async def all_of_them(store: Any) -> float:
        agents = [conversation(TURNS) for _ in range(RUNS)]
        cpu = time.process_time()
        results = await asyncio.gather(*(run(agent, "x", store=store) for agent in agents))
        assert all(result.output == "done" for result in results)
        return (time.process_time() - cpu) / RUNS / TURNS * 1e3

    bare, kept = list[float](), list[float]()
    async with open_store(path) as store:
        await all_of_them(store)
        for _ in range(5):
            bare.append(await all_of_them(None))
            kept.append(await all_of_them(store))
    return {"cpu": statistics.median(k - b for k, b in zip(kept, bare, strict=True)), "bare": statistics.median(bare)}


async def fan_out(path: str) -> dict[str, float]:
    from outlay import RunContext, node, open_store, run

    async def slow(n: int) -> int:
        await asyncio.sleep(EFFECT_SECONDS)
        return n

    @node
    async def wide(ctx: RunContext, text: str) -> int:
        return sum(await ctx.gather(*(ctx.effect("slow", slow, n) for n in range(WIDE))))

    async with open_store(path) as store:
        await run(wide, "warm up", store=store)
        began = time.perf_counter()
        result = await run(wide, "x", store=store)
        took = time.perf_counter() - began
    assert result.output == WIDE * (WIDE - 1) // 2, result.error
    return {"wall": took}


async def resume(path: str) -> dict[str, float]:
    """A run that fails after its last step goes on from there."""
    from outlay import RunContext, node, open_store, run
    from outlay.patterns import Pipeline

    async def nothing(n: int) -> str:
        return f"{n:08d}" * 128

    @node
    async def row(ctx: RunContext, text: str) -> str:
        for n in range(STEPS):
            await ctx.effect("step", nothing, n)
        return text

    async def timed(work: Any) -> float:
        tries: list[int] = []

        @node
        async def last(ctx: RunContext, text: str) -> str:
            tries.append(1)
            if len(tries) == 1:
                raise ValueError("broke off")
            return text

        flow = Pipeline(work, last)
        async with open_store(path) as store:
            name = f"resumed-{work.name}"
            await run(flow, "x", store=store, run_id=name)
        async with open_store(path) as store:
            began = time.perf_counter()
            result = await run(flow, "x", store=store, run_id=name)
            took = time.perf_counter() - began
        assert result.stop_reason == "completed", result.error
        return took

    return {"wall": await timed(conversation(STEPS)), "row": await timed(row)}


if __name__ == "__main__":
    works: dict[str, Callable[..., Any]] = {"grow": grow, "overhead": overhead, "fan_out": fan_out, "resume": resume}
    print(json.dumps(asyncio.run(works[sys.argv[1]](*sys.argv[2:]))))
