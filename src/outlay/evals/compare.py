"""Compare two flows: the same cases, the same checkers, the same budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.agents.agent import Agent
from outlay.errors import ConfigError
from outlay.evals.comparison import Comparison, Setup
from outlay.evals.dataset import Dataset
from outlay.evals.evaluator import bound, evaluator
from outlay.evals.experiment import Experiment, Flow, FlowLike, Terms
from outlay.evals.judging import check_judge, kinship
from outlay.evals.measured import Measured
from outlay.evals.side import Side
from outlay.models.scripted import ScriptedModel
from outlay.protocols.clock import loop_factory
from outlay.protocols.node import Node
from outlay.runtime import preflight
from outlay.runtime.directory import Directory, default_prices
from outlay.runtime.preflight import walk
from outlay.runtime.replacements import check_keys, serving
from outlay.stores.opening import open_store
from outlay.values.budget import Budget
from outlay.values.money import usd

#: Called with `a` or `b` and what a case came to, as they come in.
OnMeasured = Callable[[str, Measured], None]


async def compare(
    a: FlowLike, b: FlowLike, dataset: Dataset | str | Path, terms: Terms, on_measured: OnMeasured | None = None
) -> Comparison:
    """Run flows A and B on each case of a data set and judge their outputs alike.

    Nothing is spent before both flows, every case's input and all that checkers expect were looked at. Raises
    ConfigError for what cannot be compared. A run that fails is a failure of its side, a checker that fails is not.
    """
    cases = dataset if isinstance(dataset, Dataset) else Dataset.read(dataset)
    first, second = _flows(a, b)
    if terms.concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, not {terms.concurrency}")
    limit = None if terms.budget is None else usd(terms.budget)
    evaluators = [evaluator(given) for given in terms.checkers]
    judge = None if terms.judge is None else check_judge(terms.judge)
    if not evaluators and judge is None:
        raise ConfigError("there is nothing to judge outputs by", hint="checkers=['exact'], or --checker exact")
    if twice := {one.name for one in evaluators if [o.name for o in evaluators].count(one.name) > 1}:
        raise ConfigError(f"two checkers are called {', '.join(sorted(twice))}", hint="name each once")
    for case in cases:
        bound(evaluators, case)
        first.convert(case.input)
        second.convert(case.input)
    async with AsyncExitStack() as stack:
        store = terms.store
        if isinstance(store, str | Path):
            store = await stack.enter_async_context(open_store(store))
        budgets = () if limit is None else (Budget(usd=limit),)
        check_keys((first.node, second.node, *([judge] if judge else [])), terms.models)
        for node, limits in ((first.node, budgets), (second.node, budgets), *([(judge, ())] if judge else [])):
            preflight.check(node, Directory(serving(node, terms.models), default_prices()), limits, store)
        sides = [
            Experiment(flow, terms, limit, evaluators, judge, store, side)
            for flow, side in ((first, "a"), (second, "b"))
        ]
        found = await _measure(sides, cases, terms.concurrency, on_measured)
    setup = Setup(
        cases.name,
        tuple(one.name for one in evaluators),
        "" if judge is None else judge.name,
        "" if judge is None else kinship(judge, (first.node, second.node)),
        limit,
        None if terms.value is None else usd(terms.value),
        _lane(terms, (first.node, second.node)),
        terms.seed,
        () if judge is None else tuple(flow.name for flow in (first, second) if kinship(judge, (flow.node,))),
    )
    stored = sum(len(side.stored) for side in sides)
    return Comparison(_side(first, found[0], limit), _side(second, found[1], limit), setup, stored)


def compare_sync(
    a: FlowLike, b: FlowLike, dataset: Dataset | str | Path, terms: Terms, on_measured: OnMeasured | None = None
) -> Comparison:
    """`compare` for code without an event loop. Raises ConfigError under a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigError("compare_sync was called under a running event loop", hint="write `await compare(…)` there")
    with asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        return runner.run(compare(a, b, dataset, terms, on_measured))


def _flows(a: FlowLike, b: FlowLike) -> tuple[Flow, Flow]:
    first, second = Flow.of(a), Flow.of(b)
    if first.name == second.name:
        first, second = (
            Flow(flow.node, f"{side} {flow.name}", flow.convert, flow.source)
            for side, flow in (("A", first), ("B", second))
        )
    return first, second


async def _measure(
    sides: Sequence[Experiment], cases: Dataset, concurrency: int, on_measured: OnMeasured | None
) -> list[tuple[Measured, ...]]:
    """Case by case, the sides taking turns at going first: neither has the warmer cache or the calmer hour.

    What takes long is shared out over `concurrency` tasks; the first error ends them all.
    """
    jobs = [
        (experiment, case)
        for number, case in enumerate(cases)
        for experiment in (sides if number % 2 == 0 else reversed(sides))
    ]
    waiting = iter(jobs)
    found: dict[tuple[str, str], Measured] = {}

    async def work() -> None:
        for experiment, case in waiting:
            found[experiment.side, case.id] = measured = await experiment.measure(case)
            if on_measured is not None:
                on_measured(experiment.side, measured)

    tasks = [asyncio.create_task(work()) for _ in range(min(concurrency, len(jobs)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [tuple(found[experiment.side, case.id] for case in cases) for experiment in sides]


def _lane(terms: Terms, flows: Sequence[Node[Any, Any]]) -> str:
    """Who answered: live models, the agents' stand-ins, or scripts, which are neither."""
    if isinstance(terms.models, str):
        return terms.models
    agents = [node for flow in flows for node in walk(flow) if isinstance(node, Agent)]
    asked = [*(model for agent in agents for model in agent.models), *(terms.models or {}).values()]
    return "scripted" if any(isinstance(model, ScriptedModel) for model in asked) else "live"


def _side(flow: Flow, cases: tuple[Measured, ...], limit: Decimal | None) -> Side:
    return Side(flow.name, _agents(flow.node), cases, limit)


def _agents(node: Node[Any, Any]) -> int:
    return sum(isinstance(one, Agent) for one in walk(node))
