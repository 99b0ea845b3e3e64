"""Work spread over processes, where forking is possible and safe. A flow is code and does not travel: a forked process
has it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from outlay.sim.interrupts import deaf

A = TypeVar("A")
_shared: list[Callable[[int], Any]] = []


def cores() -> int:
    """How many processes may work at once: 1 where another thread could hold a lock while this one forks."""
    if "fork" not in multiprocessing.get_all_start_methods() or threading.active_count() > 1:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(work: Callable[[int], A], count: int, workers: int | None = None) -> list[A]:
    """`work(0)` … `work(count - 1)`, in order, in at most `workers` processes (None: one a core), this one included."""
    processes = min(cores() if workers is None else max(1, workers), count)
    if processes <= 1:
        return [work(k) for k in range(count)]
    _shared.append(work)
    others = set(multiprocessing.active_children())
    try:
        with ProcessPoolExecutor(processes - 1, multiprocessing.get_context("fork")) as pool:
            own = range(0, count, processes)  # every so manieth: what is long is often beside what is long
            try:
                with deaf():
                    rest = {k: pool.submit(_piece, k) for k in range(count) if k not in own}
                done = {k: work(k) for k in own}
                return [done[k] if k in done else rest[k].result() for k in range(count)]
            except BaseException:  # leaving waits for pieces that nobody wants any more
                for process in set(multiprocessing.active_children()) - others:
                    process.terminate()
                raise
    finally:
        _shared.pop()


def _piece(k: int) -> Any:
    return _shared[-1](k)
