"""A forecast: what a flow will cost, take and manage, before anything is spent."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlay.agents.agent import Agent
from outlay.agents.function import as_node
from outlay.analysis.percentiles import percentile
from outlay.errors import ConfigError
from outlay.forecast.assumptions import Assumed, Assumptions, Beliefs
from outlay.forecast.closed import NotApplicable, closed_form
from outlay.forecast.expected import Expected
from outlay.forecast.figures import Range, Rate, Success
from outlay.forecast.routing import Ceiling, ceilings
from outlay.forecast.silent import silent
from outlay.forecast.simulated import Chance, SimulatedModels
from outlay.forecast.simulation import Plan, simulate
from outlay.forecast.statics import Static, repeated_texts, statics
from outlay.forecast.tally import Outcome
from outlay.protocols.node import Node
from outlay.runtime.host import Budgets, as_budgets
from outlay.runtime.preflight import walk
from outlay.values.budget import Budget

#: What limits may stop is tried out on at most so many runs.
TRIED = 2_000


@dataclass(frozen=True, slots=True)
class AgentShare:
    """One agent's part: calls and dollars of the mean run, and its share of all dollars and of the critical path of the
    slowest twentieth. `spent` and `worked` are the dollars and the seconds of its calls in a run; a run without it
    counts as 0. `success`: it gave an answer, of the times that it was asked (None: nobody waited for it); `right`: how
    often that is right, given a right input, where that is declared.
    """

    name: str
    calls: float
    dollars: float
    of_dollars: float
    of_slowest: float
    static_tokens: int
    spent: Range
    worked: Range
    success: Success | None
    right: float | None
    #: A model of it has no price: its dollars are a lower bound, or nothing is known of them.
    unpriced: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """What a limit does to the flow: how many runs it stops, with it in force."""

    text: str
    stops: Rate


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """`dollars` is None where no call has a price, and a lower bound where some have none (`unpriced` models).

    `success`: completed, and nothing skipped; `right`: and right, where that is declared of all that took part.
    `routers`: the accuracy of each one's routing, the ceiling of what it can manage. `closed` is the closed form's
    answer beside the simulation's. `failures` are errors with the number of runs that ended in them.
    """

    flow: str
    runs: int
    seed: int
    dollars: Range | None
    seconds: Range
    calls: Range
    success: Success
    right: Success | None
    routers: tuple[Ceiling, ...]
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
    unknown = _unpriced(root, directory)
    unpriced = tuple(dict.fromkeys(model for _, model in unknown))
    limits = as_budgets(budget)
    began = time.perf_counter()
    plan = Plan(root, given, n, seed, beliefs.given, deps=deps)
    outcomes = simulate(plan, beliefs, workers=workers)
    tried = tuple(_limit(plan, beliefs, one, workers) for one in limits)
    took = time.perf_counter() - began
    known = [outcome.dollars for outcome in outcomes]
    found = statics(root)
    aside = Beliefs(beliefs.given)
    right = _right(outcomes)
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
        success=Success.among(sum(outcome.clean for outcome in outcomes), n),
        right=right,
        routers=ceilings(root, beliefs),
        agents=_agents(outcomes, found, _declared(root, beliefs), {agent for agent, _ in unknown}),
        critical_path=_usual_path(outcomes),
        limits=tried,
        failures=tuple(Counter(outcome.error for outcome in outcomes if outcome.error).most_common(5)),
        unpriced=unpriced,
        statics=found,
        assumed=beliefs.used,
        warnings=(*_unjudged(root, beliefs, right), *_not_asked(root, outcomes), *repeated_texts(root), *_hedged(root)),
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
    return tuple(dict.fromkeys(model for _, model in _unpriced(root, directory)))


def unasked(root: Node[Any, Any], outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Agents of the flow that no run came to: what is set of them moves nothing."""
    asked = {name for outcome in outcomes for name, *_ in outcome.agents}
    return tuple(dict.fromkeys(node.name for node in walk(root) if isinstance(node, Agent) and node.name not in asked))


def not_asked(names: Sequence[str]) -> str:
    """What is to be said of them."""
    return f"{', '.join(names)}: not asked in any of these runs: give inputs that get there (--rows FILE)"


def _not_asked(root: Node[Any, Any], outcomes: Iterable[Outcome]) -> list[str]:
    names = unasked(root, outcomes)
    return [not_asked(names)] if names else []


def _unjudged(root: Node[Any, Any], beliefs: Beliefs, right: Success | None) -> list[str]:
    """Something is declared of how often outputs are right, and not enough for the flow's."""
    names = dict.fromkeys(node.name for node in silent(root, Beliefs(beliefs.given)))
    if right is not None or not beliefs.judge or not names:
        return []
    missing = ", ".join(names)
    return [f"how often the answer is right is not known: nothing is declared of {missing} (--right NAME=SHARE)"]


def _unpriced(root: Node[Any, Any], directory: SimulatedModels) -> list[tuple[str, str]]:
    """Agents, and ids of their models that have no price."""
    found: list[tuple[str, str]] = []
    for node in walk(root):
        if isinstance(node, Agent):
            models = [directory.model(node.name, choice, node.offline) for choice in node.models]
            found += [(node.name, model.id) for model in models if directory.price(model) is None]
    return found


def _hedged(root: Node[Any, Any]) -> list[str]:
    names = dict.fromkeys(node.name for node in walk(root) if isinstance(node, Agent) and node.hedge is not None)
    if not names:
        return []
    return [f"{', '.join(names)}: a call that a hedge cuts off may be billed too, and is not in these dollars"]


def _right(outcomes: Sequence[Outcome]) -> Success | None:
    chances = [outcome.right * outcome.clean for outcome in outcomes if outcome.right is not None]
    return Success.among(math.fsum(chances), len(chances)) if len(chances) == len(outcomes) else None


def _declared(root: Node[Any, Any], beliefs: Beliefs) -> dict[str, float]:
    """How often each agent is right, given a right input."""
    steps = {node.name: beliefs.of(node).right for node in walk(root) if isinstance(node, Agent)}
    return {name: step.right() for name, step in steps.items() if step is not None}


def _agents(
    outcomes: Sequence[Outcome], found: Sequence[Static], right: Mapping[str, float], unpriced: Collection[str]
) -> tuple[AgentShare, ...]:
    calls: defaultdict[str, float] = defaultdict(float)
    asked: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    spent: defaultdict[str, list[float]] = defaultdict(list)
    worked: defaultdict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        for name, count, cost, seconds in outcome.agents:
            calls[name] += count
            spent[name].append(cost)
            worked[name].append(seconds)
        for name, times, without in outcome.asked:
            asked[name] += times
            failed[name] += without
    dollars = {name: math.fsum(costs) for name, costs in spent.items()}
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

    def over_all(values: list[float]) -> Range:
        return Range.of([*values, *[0.0] * (n - len(values))])

    shares = [
        AgentShare(
            name,
            calls[name] / n,
            dollars[name] / n,
            dollars[name] / whole,
            slow[name] / waited,
            tokens.get(name, 0),
            over_all(spent[name]),
            over_all(worked[name]),
            Success.among(asked[name] - failed[name], asked[name]) if asked[name] else None,
            right.get(name),
            name in unpriced,
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


__all__ = ["AgentShare", "Forecast", "Limit", "Range", "Rate", "Success", "forecast"]
