"""The simulation profile: the real flow, run after run on virtual time, with simulated models, no codec and no store.

Run i has the seed (seed, i) whichever process it is in, so the same seed gives the same outcomes on one core and on
eight.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from outlay.errors import BudgetExceeded, ConfigError
from outlay.forecast.assumptions import Assumptions, Beliefs
from outlay.forecast.rightness import Judge
from outlay.forecast.shortcut import ShortCalls
from outlay.forecast.simulated import Chance, Lane, SimulatedModels, SimulatedWorld, assumed_human
from outlay.forecast.tally import MOST_TURNS, Kept, Outcome, critical_path
from outlay.forecast.workers import cores, spread
from outlay.policies.ledger import Ledger
from outlay.protocols.node import Node
from outlay.protocols.stages import Stages
from outlay.runtime import preflight
from outlay.runtime.execution import execute
from outlay.runtime.host import Host
from outlay.runtime.result import Result
from outlay.sim.loop import VirtualLoop
from outlay.values.budget import Budget

#: Fewer runs than this in one process are not worth starting it.
LEAST_SHARE = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be simulated: `n` runs of `root`, over the inputs in turn, from the run with the number `first` on.

    `common`: each agent draws from a stream of its own, so that runs of two designs of one flow differ by their design
    and not by chance (common random numbers).
    """

    root: Node[Any, Any]
    inputs: Sequence[Any]
    n: int
    seed: int = 0
    assumptions: Assumptions = field(default_factory=Assumptions)
    limits: tuple[Budget, ...] = ()
    deps: Any = None
    first: int = 0
    common: bool = False
    #: Every call goes its whole way, also where nothing on it could matter.
    whole: bool = False
    lane: Lane = "live"


def simulate(plan: Plan, beliefs: Beliefs, *, workers: int | None = None) -> list[Outcome]:
    """The outcomes, in the order of the runs. `beliefs` notes what was assumed. Raises ConfigError for a flow that
    cannot run, or whose loop has no end.
    """
    processes = _processes(plan.n, workers)
    edges = [plan.n * k // processes for k in range(processes + 1)]

    def share(k: int) -> list[Outcome]:
        return _apart(plan, beliefs if k == 0 else Beliefs(plan.assumptions), edges[k], edges[k + 1])

    return [outcome for part in spread(share, processes, processes) for outcome in part]


def _processes(n: int, workers: int | None) -> int:
    if workers is not None:
        return max(1, min(workers, n))
    return max(1, min(cores(), n // LEAST_SHARE))


def _apart(plan: Plan, beliefs: Beliefs, first: int, last: int) -> list[Outcome]:
    """On a loop of its own; in a thread of its own where this one has a loop already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _on_a_loop(plan, beliefs, first, last)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_on_a_loop, plan, beliefs, first, last).result()


def _on_a_loop(plan: Plan, beliefs: Beliefs, first: int, last: int) -> list[Outcome]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_runs(plan, beliefs, first, last))


async def _runs(plan: Plan, beliefs: Beliefs, first: int, last: int) -> list[Outcome]:
    judge = Judge(plan.root, beliefs, retries=not plan.limits) if beliefs.judge else None
    chance, kept = Chance(streams={} if plan.common else None), Kept(judge is not None)
    exact = bool(plan.limits) or any(node.budgets for node in preflight.walk(plan.root))
    directory = SimulatedModels(plan.root, beliefs, chance, exact=exact, lane=plan.lane)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert isinstance(loop, VirtualLoop)
    assert task is not None
    loop.most_turns, loop.too_long = MOST_TURNS, lambda: _endless(kept)
    shortcut = None if exact or plan.whole else ShortCalls(loop)
    stages = Stages(stand_ins=SimulatedWorld(plan.root, beliefs, chance), shortcut=shortcut)
    preflight.check(plan.root, directory, plan.limits, None)
    outcomes: list[Outcome] = []
    collecting = gc.isenabled()
    gc.disable()  # a run leaves cycles behind; collecting them in bulk is a tenth of the price
    frozen = not gc.get_freeze_count()
    if frozen:
        gc.freeze()  # and what was there before is not looked through each time
    try:
        for i in range(plan.first + first, plan.first + last):
            host = Host(directory, Ledger(), (), None, _quiet, assumed_human, (), plan.deps, stages=stages)
            host.recorder = kept.recorder
            loop.rewind()  # or a run's times would depend on how many came before it
            chance.begin(plan.seed * 1_000_003 + i)
            outcomes.append(await _run(plan, host, kept, i, judge))
            if task.cancelling():  # Ctrl-C: a run ends in good order on it, and is not the last one by itself
                raise asyncio.CancelledError
            if i % 500 == 499:
                gc.collect()
    finally:
        if frozen:
            gc.unfreeze()
        if collecting:
            gc.enable()
    return outcomes


async def _run(plan: Plan, host: Host, kept: Kept, i: int, judge: Judge | None) -> Outcome:
    value = plan.inputs[i % len(plan.inputs)]
    seed = plan.seed * 1_000_003 + i
    try:
        result: Result[Any] = await execute(host, plan.root, value, plan.limits, seed=seed, run_id=f"f{i}")
    except BudgetExceeded as stop:
        if stop.result is None:
            raise
        result = stop.result
    if isinstance(result.error, ConfigError):
        raise result.error
    tally = kept.last
    assert tally is not None
    outcome = Outcome(
        tally.dollars,
        result.seconds,
        tally.calls,
        result.stop_reason,
        result.stop_reason == "completed" and not result.degraded,
        tally.unpriced,
        tuple((agent, int(calls), spent, worked) for agent, (calls, spent, worked) in tally.agents.items()),
        critical_path(tally.spans),
        "" if result.error is None else f"{type(result.error).__name__}: {result.error}",
        tally.output_tokens,
        result.output is not None,
        overruns=tally.overruns,
        asked=tuple((agent, asked, failed) for agent, (asked, failed) in tally.asked.items()),
    )
    if judge is None:
        return outcome
    verdict = judge.judge(tally.answered)
    return replace(outcome.with_retries(verdict.times) if verdict.times else outcome, right=verdict.right)


def _endless(kept: Kept) -> ConfigError:
    assert kept.last is not None
    return kept.last.endless()


def _quiet(_: object) -> None:
    """Budget alerts of simulated runs are nobody's business."""
