"""How fast a flow of twelve calls is simulated on one core, and how long its closed form takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.contest import Figure

TARGET = 1_500


def measure(quick: bool) -> Sequence[Figure]:
    from outlay import Agent
    from outlay.forecast import Assumptions, closed_form
    from outlay.forecast.assumptions import Beliefs
    from outlay.forecast.simulation import Plan, simulate
    from outlay.patterns import FanOut, Pipeline

    model = "anthropic:claude-haiku-4-5"
    flow = Pipeline(*[Agent(f"step{i}", model, instructions="Do this step.", max_output_tokens=80) for i in range(12)])
    plan = Plan(flow, ["a question"], 500)
    wide = [FanOut([Agent(f"w{i}-{j}", model) for j in range(6)], name=f"f{i}") for i in range(7)]
    fifty: Any = Pipeline(*wide)
    rounds = 3 if quick else 9
    cpu = _median(lambda: simulate(plan, Beliefs(plan.assumptions), workers=1), rounds) / plan.n
    closed = _median(lambda: closed_form(fifty, "a question", Assumptions()), rounds)
    return [
        Figure("forecast", "12 calls simulated, a core", 1 / cpu, "runs/s"),
        Figure("forecast", "… one run", cpu * 1e3, "ms CPU", target=1e3 / TARGET, of="value"),
        Figure("forecast", "closed form of 50 nodes", closed * 1e3, "ms CPU", target=10, of="value"),
    ]


def _median(work: Callable[[], object], rounds: int) -> float:
    """CPU seconds; the first round warms up and does not count."""
    took: list[float] = []
    for _ in range(rounds + 1):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return statistics.median(took[1:])
