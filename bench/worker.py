"""The process of one contestant: a number of calls in, what they took out.

python -m bench.worker bench.call aiohttp http://127.0.0.1:PORT/0
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

#: Make `n` calls; gives how many failed.
Round = Callable[[int], Awaitable[int]]
Contestant = Callable[[str], AsyncIterator[Round]]
#: ru_maxrss is in kilobytes, on macOS in bytes.
_TO_MB = 2**20 if sys.platform == "darwin" else 2**10


def main(bench: str, who: str, url: str) -> None:
    os.environ["ANTHROPIC_BASE_URL"] = url
    os.environ["ANTHROPIC_API_KEY"] = "bench"
    _many_files()
    contestant = asynccontextmanager(importlib.import_module(bench).CONTESTANTS[who])
    with asyncio.Runner() as runner:
        entered = contestant(url)
        turn = runner.run(entered.__aenter__())
        for line in sys.stdin:
            print(json.dumps(runner.run(_timed(turn, int(line)))), flush=True)
        runner.run(entered.__aexit__(None, None, None))


async def _timed(turn: Round, n: int) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    failed = await turn(n)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _TO_MB
    return {"cpu": cpu, "wall": wall, "n": n, "failed": failed, "peak_mb": peak}


def _many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))


if __name__ == "__main__":
    main(*sys.argv[1:])
