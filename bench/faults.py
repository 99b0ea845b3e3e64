"""A fan-out under faults on virtual time: how many items come through where one request in a hundred goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from bench.contest import Figure

RATE = 0.01
#: Items of a thousand that may fail.
_MOST = 1.0


def measure(quick: bool) -> Sequence[Figure]:
    from outlay.sim.faults import KINDS

    items, seeds = (5_000, 2) if quick else (5_000, 20)
    began, outcomes = time.perf_counter(), [_fan_out(seed, items) for seed in range(seeds)]
    failed, calls = (sum(outcome[i] for outcome in outcomes) for i in range(2))
    done = items * seeds
    wall = time.perf_counter() - began
    return [
        Figure(
            "faults",
            f"{done:,} items, {len(KINDS)} kinds of faults, {RATE:.0%} of requests: failed",
            failed / done * 1e3,
            "‰",
            target=_MOST,
            of="value",
            note=f"{failed} items; {1 - failed / done:.3%} came through",
        ),
        Figure("faults", "… requests an item", calls / done, "", note=f"{wall:.0f} s of real time"),
    ]


def _fan_out(seed: int, items: int) -> tuple[int, int]:
    """Items that failed, and requests that the provider got."""
    from outlay import Agent, run
    from outlay.patterns import FanOut
    from outlay.sim import VirtualLoop
    from outlay.testing import Faults, ScriptedModel

    inner = ScriptedModel(lambda request: "fine", price=(1, 5))
    model = Faults(seed, RATE, latency=(0.5, 3)).wrap(inner)
    flow: Any = FanOut(Agent("worker", model), min_success=0)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(run(flow, [str(i) for i in range(items)], on_alert=()))
    assert len(result.unwrap()) + len(result.skipped) == items, "an item is lost"
    return len(result.skipped), len(model.books.exchanges)
