"""Thousands of runs at once for hours: is memory flat, is an event lost, do all bills add up?

    python -m bench load                        hours of virtual time: two processes, half of the runs in each
    python -m bench load --real-minutes 10      and as many runs in one process for so long over real sockets

On virtual time a run is four agents behind a provider that has bad days (`outlay.testing.Faults`), with a store and
books of its own; its events are counted against its store, its bill against the books. In real time the runs share one
SQLite file and the emulator, which is another process; events and bills are held against both at the end.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from bench.contest import Figure

RUNS, HOURS = 5_000, 4.0
CORES = 2
MODEL = "claude-haiku-4-5"
#: Seconds that an answer takes, virtual and real: so long that two cores can do with so many runs.
VIRTUAL_LATENCY, REAL_LATENCY = 300.0, 60.0
#: Of memory from the first to the last third of the time that is measured.
_MOST_GROWTH = 1.05
#: Of the time, before memory is looked at: the runs begin, and the caches fill.
_WARM_UP = 0.3


@dataclass
class Tally:
    """What all runs of a process came to. Money in US dollars; `memory` in megabytes, by hour since the start."""

    runs: int = 0
    completed: int = 0
    calls: int = 0
    events: int = 0
    lost: int = 0
    wrong_bills: int = 0
    billed: Decimal = Decimal(0)
    in_doubt: Decimal = Decimal(0)
    in_flight: int = 0
    most_in_flight: int = 0
    hours: float = 0.0
    real_seconds: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def add(self, result: Any) -> None:
        bill = result.bill
        self.runs += 1
        self.completed += result.stop_reason == "completed"
        self.calls += sum(line.calls + line.retries for line in bill.lines)
        self.billed += bill.at_least
        self.in_doubt += bill.in_doubt
        self.wrong_bills += bill.total is None or sum(line.cost or 0 for line in bill.lines) != bill.total


def measure(quick: bool, real_minutes: float = 0.0) -> Sequence[Figure]:
    runs, hours = (500, 1.0) if quick else (RUNS, HOURS)
    figures = _told("virtual", f"{hours:g} h virtual", _together(runs, hours), runs)
    if real_minutes:
        (tally,) = _apart([("real", runs, real_minutes)])
        figures += _told("real", f"{real_minutes:g} min real", [tally], runs)
    return figures


def _together(runs: int, hours: float) -> list[Tally]:
    return _apart([("virtual", runs // CORES, hours, seed) for seed in range(CORES)])


def _apart(works: Sequence[tuple[object, ...]]) -> list[Tally]:
    """Each in a process of its own, at the same time."""
    commands = [[sys.executable, "-m", __name__, *map(str, work)] for work in works]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    tallies: list[Tally] = []
    for process in running:
        out, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{process.args} failed")
        found: Any = json.loads(out)
        found["billed"], found["in_doubt"] = Decimal(found["billed"]), Decimal(found["in_doubt"])
        tallies.append(Tally(**found))
    return tallies


def _told(kind: str, span: str, tallies: Sequence[Tally], runs: int) -> list[Figure]:
    def total(name: str) -> float:
        return sum(getattr(tally, name) for tally in tallies)

    seconds = max(tally.real_seconds for tally in tallies)
    # each process holds its share of the runs, and memory is that of all of them
    slope, growth, level = (sum(found) for found in zip(*map(_slope, tallies), strict=True))
    growth /= len(tallies)
    note = f"{total('calls'):,.0f} calls, {total('completed') / max(total('runs'), 1):.2%} completed, {seconds:.0f} s"
    note += f", {total('most_in_flight'):,.0f} in flight"
    return [
        Figure("load", f"{runs:,} at once, {span}: runs", total("runs"), "runs", note=note),
        Figure(
            "load",
            f"… events that are not in the store, of {total('events'):,.0f}",
            total("lost"),
            "events",
            target=0,
            of="value",
        ),
        Figure("load", "… bills that do not add up", total("wrong_bills"), "runs", target=0, of="value"),
        Figure("load", "… memory", level, "MB", note=f"{slope:+.2f} MB an hour ({kind})"),
        Figure("load", "… the last third beside the first", growth, "×", target=_MOST_GROWTH, of="value"),
    ]


def _slope(tally: Tally) -> tuple[float, float, float]:
    """Megabytes an hour by least squares, the last third over the first, and the median, once it is warm."""
    warm = [(at, mb) for at, mb in tally.memory if at >= _WARM_UP * tally.hours]
    if len(warm) < 6:
        return 0.0, 1.0, math.nan
    times, sizes = [at for at, _ in warm], [mb for _, mb in warm]
    third = len(warm) // 3
    growth = statistics.median(sizes[-third:]) / statistics.median(sizes[:third])
    return statistics.linear_regression(times, sizes).slope, growth, statistics.median(sizes)


def memory() -> float:
    """Megabytes that this process holds; its peak where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _joined(found: dict[str, str]) -> str:
    return " ".join(found.values())


async def _keep_up(tally: Tally, runs: int, hours: float, one: Callable[[int, int], Awaitable[None]]) -> None:
    """So many users, each of whom begins anew when he is done, until the time is over; then the last ones end."""
    loop = asyncio.get_running_loop()
    began, until = loop.time(), loop.time() + hours * 3_600

    async def user(number: int) -> None:
        # one after another, so that they are not all at the same step for the rest of the time
        await asyncio.sleep(number / runs * hours * 3_600 * _WARM_UP)
        turn = 0
        while loop.time() < until:
            tally.in_flight += 1
            tally.most_in_flight = max(tally.most_in_flight, tally.in_flight)
            await one(number, turn)
            tally.in_flight -= 1
            turn += 1

    async def look() -> None:
        while True:
            await asyncio.sleep(hours * 3_600 / 200)
            if loop.time() < until:  # afterwards there are fewer and fewer
                tally.memory.append(((loop.time() - began) / 3_600, memory()))

    looking = asyncio.create_task(look())
    await asyncio.gather(*(user(number) for number in range(runs)))
    looking.cancel()
    tally.hours = hours


# ── virtual time ──────────────────────────────────────────────────────────────────────────────────────────


async def _virtual(tally: Tally, runs: int, hours: float, seed: int) -> None:
    from outlay import Agent, Budget, run, tool
    from outlay.events import Retracted, TextDelta
    from outlay.patterns import FanOut, Pipeline
    from outlay.sim.distributions import LogNormal
    from outlay.sim.faulty import Books
    from outlay.stores.memory import MemoryStore
    from outlay.testing import Faults, Reply, ScriptedModel

    kinds: Any = dict.fromkeys((429, 500, 529, "no_connection", "read_timeout", "reset", "broken_json"), 0.002)

    @tool
    def look(what: str) -> str:
        """Look something up."""
        return f"{what} " * 20

    def answer(request: Any) -> Any:
        if request.agent == "drafter" and len(request.messages) == 1:
            return Reply(tool_calls=[("look", {"what": "it"})])
        return f"{request.agent} on {request.text[:40]}"

    async def one(number: int, turn: int) -> None:
        # a provider and a store for each: what is left of a run when it is over is what is looked for
        draw = Random(f"{seed} {number} {turn}")
        books = Books()
        faults = Faults(draw.randrange(2**32), kinds, latency=LogNormal(VIRTUAL_LATENCY, 0.6))
        model = faults.wrap(ScriptedModel(answer, price=(1, 5)), books)
        agents = {name: Agent(name, model, max_output_tokens=200) for name in ("drafter", "left", "right", "writer")}
        both = FanOut([agents["left"], agents["right"]], merge=_joined, name="both")
        flow: Any = Pipeline(agents["drafter"].replace(tools=[look]), both, agents["writer"], name="flow")
        store, heard = MemoryStore(), set[int]()

        def listen(event: Any) -> None:
            if not isinstance(event, TextDelta | Retracted):
                heard.add(event.seq)

        question, run_id = f"question {draw.randrange(10**6)}", f"{number}.{turn}"
        options: dict[str, Any] = {"budget": Budget(usd="1"), "on_event": listen, "on_alert": ()}
        result = await run(flow, question, store=store, run_id=run_id, **options)
        rows = await store.events(run_id)
        tally.add(result)
        tally.events += len(heard)
        tally.lost += len(heard ^ {row.seq for row in rows}) + (not rows or rows[-1].kind != "run_finished")
        total = result.bill.total
        tally.wrong_bills += total is None or not total <= books.billed <= total + result.bill.in_doubt

    await _keep_up(tally, runs, hours, one)


# ── real time ─────────────────────────────────────────────────────────────────────────────────────────────


async def _real(tally: Tally, runs: int, minutes: float) -> None:
    from outlay import Agent, Budget, open_store, run
    from outlay.patterns import FanOut, Pipeline

    agents = [
        Agent(name, f"anthropic:{MODEL}", max_output_tokens=50) for name in ("drafter", "left", "right", "writer")
    ]
    flow: Any = Pipeline(agents[0], FanOut(agents[1:3], merge=_joined, name="both"), agents[3], name="flow")
    counted: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(Path(folder) / "load.db") as store:

            async def one(number: int, turn: int) -> None:
                run_id, text = f"{number}.{turn}", f"question {number} {turn}"
                result = await run(flow, text, budget=Budget(usd="1"), store=store, run_id=run_id, on_alert=())
                tally.add(result)
                counted[run_id] = len(result.events)

            await _keep_up(tally, runs, minutes / 60, one)
            stored = {span.run: span.events for span in await store.runs()}
            tally.events = sum(counted.values())
            tally.lost = sum(abs(n - stored.get(run_id, 0)) for run_id, n in counted.items())
            finished = await store.events(None, ("run_finished",))
            tally.lost += len(counted.keys() ^ {row.run for row in finished})


def _against_the_emulator(tally: Tally, runs: int, minutes: float) -> None:
    command = [sys.executable, "-m", "bench.provider", str(REAL_LATENCY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdin is not None
        assert provider.stdout is not None
        os.environ["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{int(provider.stdout.readline())}"
        os.environ["ANTHROPIC_API_KEY"] = "bench"
        asyncio.run(_real(tally, runs, minutes))
        provider.stdin.close()
        charged = _charged(json.loads(provider.stdout.readline()))
    tally.wrong_bills += not tally.billed <= charged <= tally.billed + tally.in_doubt


def _charged(billed: dict[str, dict[str, int]]) -> Decimal:
    """The provider's invoice at list prices."""
    from outlay.runtime.directory import default_prices
    from outlay.values.usage import Usage

    total = Decimal(0)
    for model, tokens in billed.items():
        price = default_prices().find("anthropic", model)
        assert price is not None
        assert not tokens["cache_write_5m_tokens"], "such short prompts are not written to a cache"
        total += price.cost(Usage(tokens["input_tokens"], tokens["cache_read_tokens"], 0, tokens["output_tokens"]))
    return total


def _files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16_384, hard), hard))


def main(kind: str, runs: str, span: str, seed: str = "0") -> None:
    from outlay.sim import VirtualLoop

    tally, began = Tally(), time.perf_counter()
    if kind == "virtual":
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(_virtual(tally, int(runs), float(span), int(seed)))
    else:
        _files()
        _against_the_emulator(tally, int(runs), float(span))
    tally.real_seconds = time.perf_counter() - began
    print(json.dumps(asdict(tally), default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
