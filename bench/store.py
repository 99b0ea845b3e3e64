"""How a store stands up to 5,000 runs at once, each of which waits for each of its 20 events.

Every run has a lease of its own and writes under it. The PostgreSQL server is that of the tests, on this machine,
with all its writes as durable as it comes.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.contest import Figure

RUNS = 5_000
EVENTS = 20
_BODY = b"x" * 400
#: Milliseconds that an event may take to be durable, for 99 of 100.
_MOST = 1_000.0
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


def measure(quick: bool) -> Sequence[Figure]:
    figures: list[Figure] = []
    for who, name in NAMES.items():
        turns: list[dict[str, float]] = []
        for _ in range(1 if quick else 3):
            with _empty(who) as address:
                done = subprocess.run([sys.executable, "-m", __name__, address], stdout=subprocess.PIPE, check=True)
            turns.append(json.loads(done.stdout))

        def median(what: str, turns: list[dict[str, float]] = turns) -> float:
            return statistics.median(turn[what] for turn in turns)

        size = f"{RUNS:,} runs × {EVENTS} events: {name}"
        figures += [
            Figure("store", f"{size}, p99 until durable", median("p99"), "ms", target=_MOST, of="value"),
            Figure("store", "… lost", sum(turn["lost"] for turn in turns), "events", target=0, of="value"),
            Figure(
                "store",
                "… made durable",
                median("rate"),
                "events/s",
                note=f"{median('cpu'):.3f} ms CPU an event; {median('leases'):,.0f} leases/s before",
            ),
        ]
    return figures


@contextmanager
def _empty(who: str) -> Generator[str]:
    """The address of a new store."""
    if who == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield str(Path(folder) / "bench.db")
        return
    from tests.postgres_server import PostgresServer

    server = PostgresServer(fsync=True)
    try:
        yield server.url()
    finally:
        server.close()


async def _burden(address: str) -> dict[str, float]:
    from outlay import open_store
    from outlay.protocols.documents import Change
    from outlay.protocols.store import Fence, Row

    took: list[float] = []
    async with open_store(address) as store:

        async def lease(name: str) -> Fence:
            (version,) = await store.commit([Change("lease", name, b"bench", 0)])
            return Fence("lease", name, version)

        async def work(name: str, fence: Fence) -> None:
            for seq in range(EVENTS):
                begun = time.perf_counter()
                store.append((Row(name, seq, 1.5, "call_started", _BODY),), fence)
                await store.flush(name)
                took.append(time.perf_counter() - begun)

        names = [f"run-{n}" for n in range(RUNS)]
        begun = time.perf_counter()
        fences = await asyncio.gather(*map(lease, names))
        leased, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*map(work, names, fences))
        ended, cpu = time.perf_counter(), time.process_time() - cpu
        kept = {(row.run, row.seq) for row in await store.events() if row.body == _BODY}
    wanted = {(name, seq) for name in names for seq in range(EVENTS)}
    return {
        "p99": statistics.quantiles(took, n=100)[98] * 1e3,
        "lost": len(wanted - kept),
        "rate": len(took) / (ended - leased),
        "cpu": cpu / len(took) * 1e3,
        "leases": RUNS / (leased - begun),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_burden(sys.argv[1]))))
