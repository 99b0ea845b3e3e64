"""Two processes that increment one counter in one SQLite file, 10,000 times each: no lost update, and how fast."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.contest import Figure
from outlay.sharing import State
from outlay.stores import open_store

WRITERS = 2


def measure(quick: bool) -> Sequence[Figure]:
    n = 1_000 if quick else 10_000
    ours, count = _raced("outlay", n)
    bare, _ = _raced("bare", n)
    what, rate = f"{WRITERS} processes × {n:,} increments of one counter", WRITERS * n
    rival = "sqlite3, one UPDATE a commit"
    return [
        Figure("sharing", what, rate / ours, "increments/s", rival, rate / bare, ours / bare),
        Figure("sharing", "… lost updates", rate - count, "", target=0, of="value"),
    ]


def _raced(who: str, n: int) -> tuple[float, int]:
    """Seconds of wall time, start of the interpreters included, and the counter afterwards."""
    with tempfile.TemporaryDirectory(prefix="outlay-bench-") as folder:
        path = Path(folder) / "outlay.db"
        asyncio.run(_outlay(path, 0))
        if who == "bare":
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE counter AS SELECT 0 AS n")
            connection.close()
        started = time.perf_counter()
        command = [sys.executable, "-m", "bench.sharing", who, str(path), str(n)]
        children = [subprocess.Popen(command) for _ in range(WRITERS)]
        codes = [child.wait() for child in children]
        if any(codes):
            raise RuntimeError(f"a writer of {who} failed")
        seconds = time.perf_counter() - started
        return seconds, asyncio.run(_count(path)) if who == "outlay" else n * WRITERS


async def _count(path: Path) -> int:
    async with open_store(path) as store:
        return (await State(store, "team").get("count")).value


async def _outlay(path: Path, n: int) -> None:
    async with open_store(path) as store:
        team = State(store, "team")
        for _ in range(n):
            await team.update("count", lambda count: count + 1, default=0)


def _bare(path: Path, n: int) -> None:
    """The least that can be done: no version, no reader, nothing decided outside the database."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    for _ in range(n):
        connection.execute("UPDATE counter SET n = n + 1")
    connection.close()


if __name__ == "__main__":
    who, path, n = sys.argv[1:]
    if who == "outlay":
        asyncio.run(_outlay(Path(path), int(n)))
    else:
        _bare(Path(path), int(n))
