"""Many seeds, on as many cores as there are."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from outlay.sim.interrupts import deaf, mortal
from outlay.sim.schedule import Outcome, simulate

#: Seeds that one process plays before it reports: enough that handing them over costs nothing.
_AT_ONCE = 50
#: Fewer are played in this process: another one takes as long to start.
_FEW = 100


@dataclass(frozen=True, slots=True)
class Summary:
    """`seeds` and `calls` are counts, `failed` the outcomes with violations, `seconds` real ones."""

    seeds: int
    calls: int
    seconds: float
    failed: tuple[Outcome, ...]

    @property
    def violations(self) -> int:
        return sum(len(outcome.violations) for outcome in self.failed)


Play = Callable[[Sequence[int]], list[Outcome]]


def random_flows(seeds: Sequence[int]) -> list[Outcome]:
    """Each seed with a flow of its own."""
    return [simulate(seed) for seed in seeds]


def play_all(
    seeds: range, play: Play = random_flows, *, on_progress: Callable[[int, int], None] | None = None
) -> Summary:
    """Play every seed; `on_progress` gets how many are done and how many laws they broke so far.

    `play` must be importable, because other processes run it.
    """
    began, done, calls = time.perf_counter(), 0, 0
    failed: list[Outcome] = []
    for outcomes in _played(seeds, play):
        done += len(outcomes)
        calls += sum(outcome.calls for outcome in outcomes)
        failed += (outcome for outcome in outcomes if outcome.violations)
        if on_progress is not None:
            on_progress(done, len(failed))
    return Summary(done, calls, time.perf_counter() - began, tuple(sorted(failed, key=lambda outcome: outcome.seed)))


def _played(seeds: range, play: Play) -> Iterator[list[Outcome]]:
    chunks: Iterable[Sequence[int]] = [seeds[at : at + _AT_ONCE] for at in range(0, len(seeds), _AT_ONCE)]
    workers = min(_cores(), len(seeds) // _FEW)
    if workers < 2:
        yield from map(play, chunks)
        return
    # not forked: the caller may have threads, and a fork takes their locks along
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), mortal) as pool:
        try:
            with deaf():
                outcomes = [pool.submit(play, chunk) for chunk in chunks]
            for outcome in outcomes:
                yield outcome.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # leaving alone would play all of them
            raise


def _cores() -> int:
    with suppress(AttributeError):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
