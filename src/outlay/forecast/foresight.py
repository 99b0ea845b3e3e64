"""A forecast: what a flow will cost, take and manage, before anything is spent."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from outlay.agents.agent import Agent
from outlay.agents.function import as_node
from outlay.analysis.percentiles import mean, percentile
from outlay.errors import ConfigError
from outlay.forecast.assumptions import Assumed, Assumptions, Beliefs
from outlay.forecast.closed import NotApplicable, closed_form
from outlay.forecast.expected import Expected
from outlay.forecast.simulated import Chance, SimulatedModels
from outlay.forecast.simulation import Plan, simulate
from outlay.forecast.statics import Static, repeated_texts, statics
from outlay.forecast.tally import Outcome
from outlay.protocols.node import Node
from outlay.runtime.host import Budgets, as_budgets
from outlay.values.budget import Budget

#: What limits may stop is tried out on at most so many runs.
TRIED = 2_000
BINS = 10
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Range:
    """Percentiles and the mean of what was simulated; `bins` counts runs in equal steps from `least` to `most`."""

    p5: float
    p50: float
    p95: float
    mean: float
    least: float
    most: float
    bins: tuple[int, ...]

    @staticmethod
    def of(values: Sequence[float]) -> Range:
        low, half, high = (percentile(values, p) or 0.0 for p in (5, 50, 95))
        least, most = min(values), percentile(values, 99.5) or 0.0
        width = (most - least) / BINS or 1.0
        bins = Counter(min(BINS - 1, int((value - least) / width)) for value in values)
        return Range(low, half, high, mean(values) or 0.0, least, most, tuple(bins[i] for i in range(BINS)))


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of runs, with its 95 % interval (Wilson 1927)."""

    share: float
    low: float
    high: float

    @staticmethod
    def of(hits: int, n: int) -> Rate:
        p, z2 = hits / n, _Z**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return Rate(p, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class AgentShare:
    """One agent's part of the mean run. `of_slowest`: its share of the critical path of the slowest twentieth."""

    name: str
    calls: float
    dollars: float
    of_dollars: float
    of_slowest: float
    static_tokens: int


@dataclass(frozen=True, slots=True)
class Limit:
    """What a limit does to the flow: how many runs it stops, with it in force."""

    text: str
    stops: Rate


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """`dollars` is None where no call has a price, and a lower bound where some have none (`unpriced` models).

    `success`: completed, and nothing skipped. `closed` is the closed form's answer beside the simulation's.
    `failures` are errors with the number of runs that ended in them.
    """

    flow: str
    runs: int
    seed: int
    dollars: Range | None
    seconds: Range
    calls: Range
    success: Rate
    agents: tuple[AgentShare, ...]
    critical_path: tuple[str, ...]
    limits: tuple[Limit, ...]
    failures: tuple[tuple[str, int], ...]
    unpriced: tuple[str, ...]
    statics: tuple[Static, ...]
    assumed: tuple[Assumed, ...]
    warnings: tuple[str, ...]
    closed: Expected | NotApplicable
    #: Real seconds that the simulation took.
    took: float = field(compare=False)

    def render(self) -> str:
        """As a terminal shows it, in plain text."""
        from outlay.forecast.render import rendered

        return rendered(self)

    def svg(self) -> str:
        """Histograms of dollars and seconds as a picture."""
        from outlay.forecast.picture import histograms

        return histograms(self)

    def __str__(self) -> str:
        return self.render()


def forecast(
    node: Any,
    inputs: Sequence[Any] = (),
    *,
    n: int = 10_000,
    assumptions: Assumptions | None = None,
    budget: Budgets = None,
    seed: int = 0,
    deps: Any = None,
    workers: int | None = None,
) -> Forecast:
    """Simulate `n` runs of the real flow over `inputs` in turn (none: a text of 50 tokens), and the closed form.

    Nothing is spent and no key is needed. `budget` is tried out on runs of its own. `workers` processes, by default as
    many as there are cores. The same seed gives the same forecast. Raises ConfigError for a flow that cannot run, a
    loop without an end, and a money budget over models without a price.
    """
    root = as_node(node)
    if n < 1:
        raise ConfigError(f"a forecast needs at least one run, not {n}")
    given = tuple(inputs) or ("x" * 200,)
    beliefs = Beliefs(assumptions or Assumptions())
    if not inputs:
        beliefs.note("the input", "", "a text of 50 tokens", "default")
    directory = SimulatedModels(root, beliefs, Chance())
    unpriced = unpriced_models(root, directory)
    limits = as_budgets(budget)
    began = time.perf_counter()
    plan = Plan(root, given, n, seed, beliefs.given, deps=deps)
    outcomes = simulate(plan, beliefs, workers=workers)
    tried = tuple(_limit(plan, beliefs, one, workers) for one in limits)
    took = time.perf_counter() - began
    known = [outcome.dollars for outcome in outcomes]
    found = statics(root)
    aside = Beliefs(beliefs.given)
    closed = closed_form(root, given[0], beliefs=aside, directory=directory)
    if isinstance(closed, Expected):
        beliefs.also(aside)
    return Forecast(
        flow=root.name,
        runs=n,
        seed=seed,
        dollars=None if unpriced and not any(known) else Range.of(known),
        seconds=Range.of([outcome.seconds for outcome in outcomes]),
        calls=Range.of([float(outcome.calls) for outcome in outcomes]),
        success=Rate.of(sum(outcome.clean for outcome in outcomes), n),
        agents=_agents(outcomes, found),
        critical_path=_usual_path(outcomes),
        limits=tried,
        failures=tuple(Counter(outcome.error for outcome in outcomes if outcome.error).most_common(5)),
        unpriced=unpriced,
        statics=found,
        assumed=beliefs.used,
        warnings=tuple(repeated_texts(root)),
        closed=closed,
        took=took,
    )


def _limit(plan: Plan, beliefs: Beliefs, limit: Budget, workers: int | None) -> Limit:
    runs = min(plan.n, TRIED)
    limited = Plan(plan.root, plan.inputs, runs, plan.seed, plan.assumptions, (limit,), plan.deps)
    outcomes = simulate(limited, beliefs, workers=workers)
    stopped = sum(outcome.reason in ("budget", "deadline") for outcome in outcomes)
    words = [] if limit.money is None else [f"a ${limit.money:f} budget"]
    words += [] if limit.seconds is None else [f"a limit of {limit.seconds:g} s"]
    words += [f"a limit of {getattr(limit, unit):,} {unit}" for unit in ("tokens", "calls") if getattr(limit, unit)]
    return Limit(" and ".join(words) or "a budget", Rate.of(stopped, runs))


def unpriced_models(root: Node[Any, Any], directory: SimulatedModels) -> tuple[str, ...]:
    """The models of a flow whose price nobody knows."""
    from outlay.runtime.preflight import walk

    found: dict[str, None] = {}
    for node in walk(root):
        if isinstance(node, Agent):
            for choice in node.models:
                model = directory.model(node.name, choice, node.offline)
                if directory.price(model) is None:
                    found[model.id] = None
    return tuple(found)


def _agents(outcomes: Sequence[Outcome], found: Sequence[Static]) -> tuple[AgentShare, ...]:
    calls: Counter[str] = Counter()
    dollars: Counter[str] = Counter()
    for outcome in outcomes:
        for name, count, cost in outcome.agents:
            calls[name] += count
            dollars[name] += cost  # pyright: ignore[reportArgumentType] - a Counter of floats
    whole = math.fsum(dollars.values()) or 1.0
    edge = percentile([outcome.seconds for outcome in outcomes], 95) or 0.0
    slow: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.seconds >= edge:
            for name, seconds in outcome.critical:
                slow[name] += seconds  # pyright: ignore[reportArgumentType]
    waited = math.fsum(slow.values()) or 1.0
    tokens = {one.agent: one.tokens for one in found}
    n = len(outcomes)
    shares = [
        AgentShare(
            name, calls[name] / n, dollars[name] / n, dollars[name] / whole, slow[name] / waited, tokens.get(name, 0)
        )
        for name in calls
    ]
    return tuple(sorted(shares, key=lambda one: (-one.dollars, one.name)))


def _usual_path(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """The critical path that most of all the time is spent on."""
    paths: Counter[tuple[str, ...]] = Counter()
    for outcome in outcomes:
        names = tuple(name for name, _ in outcome.critical)
        paths[names] += outcome.seconds  # pyright: ignore[reportArgumentType]
    return paths.most_common(1)[0][0]


__all__ = ["AgentShare", "Forecast", "Limit", "Range", "Rate", "forecast"]
