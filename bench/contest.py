"""Contestants side by side: each in a process of its own, taking turns, so that what disturbs one disturbs all."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was measured, beside a rival of the same run.

    `target` is the most that is allowed, of the `ratio` to the rival or of the `value` itself; None promises nothing.
    """

    bench: str
    what: str
    value: float
    unit: str
    rival: str = ""
    rival_value: float | None = None
    ratio: float | None = None
    target: float | None = None
    of: Literal["ratio", "value"] = "ratio"
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the promise holds, None where there is none."""
        reached = self.ratio if self.of == "ratio" else self.value
        return None if self.target is None or reached is None else reached <= self.target


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of one contestant took: seconds of CPU (all threads) and of wall time for `n` calls."""

    cpu: float
    wall: float
    n: int
    failed: int
    peak_mb: float


class Contest:
    """The turns of all contestants, in the order they were taken."""

    def __init__(self, turns: Mapping[str, Sequence[Turn]]) -> None:
        self.turns = turns

    def median(self, who: str, of: Callable[[Turn], float]) -> float:
        return statistics.median(of(turn) for turn in self.turns[who])

    def ratio(self, who: str, rival: str, of: Callable[[Turn], float]) -> float:
        """The median of the ratios round by round: a slow round is slow for both."""
        pairs = zip(self.turns[who], self.turns[rival], strict=True)
        return statistics.median(of(ours) / of(theirs) for ours, theirs in pairs)

    def failed(self, who: str) -> int:
        return sum(turn.failed for turn in self.turns[who])

    def peak_mb(self, who: str) -> float:
        return max(turn.peak_mb for turn in self.turns[who])


def cpu_ms(turn: Turn) -> float:
    """Milliseconds of CPU a call."""
    return turn.cpu / turn.n * 1e3


def hold(bench: str, sizes: Mapping[str, int], *, rounds: int, latency_ms: int = 0) -> Contest:
    """Let the contestants of a bench (its `CONTESTANTS`) take turns of so many calls each, after one to warm up."""
    turns: dict[str, list[Turn]] = {who: [] for who in sizes}
    with ExitStack() as stack:
        url = f"http://127.0.0.1:{stack.enter_context(serve())}/{latency_ms}"
        workers = {who: stack.enter_context(_worker(bench, who, url)) for who in sizes}
        for number in range(rounds + 1):
            for who, size in sizes.items():
                turn = _turn(workers[who], who, size if number else min(size, 50))
                if number:
                    turns[who].append(turn)
    return Contest(turns)


@contextmanager
def serve() -> Generator[int]:
    """The server, by its port."""
    with _child("bench.server") as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())


@contextmanager
def _worker(bench: str, who: str, url: str) -> Generator[subprocess.Popen[str]]:
    with _child("bench.worker", bench, who, url) as worker:
        yield worker


def _turn(worker: subprocess.Popen[str], who: str, n: int) -> Turn:
    assert worker.stdin is not None
    assert worker.stdout is not None
    print(n, file=worker.stdin, flush=True)
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"bench: {who} ended with {worker.wait()}")
    return Turn(**json.loads(line))


@contextmanager
def _child(module: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """A child that ends when its stdin does."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k != "OUTLAY_STORE"}
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )
    try:
        yield child
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(30)
