"""The frontier of a flow's designs: which of them nothing beats in dollars, seconds and success."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from outlay.agents.agent import Agent
from outlay.agents.function import as_node
from outlay.errors import ConfigError
from outlay.forecast.assumptions import Assumed, Assumptions, Beliefs
from outlay.forecast.foresight import unasked
from outlay.forecast.frontier.choosing import (
    Limits,
    Measured,
    Swing,
    cheapest,
    nearest,
    pareto,
    smallest_better,
    swing,
)
from outlay.forecast.frontier.derived import cut, suggested
from outlay.forecast.frontier.designs import Design, Space
from outlay.forecast.frontier.language import space_of, written
from outlay.forecast.frontier.levers import label
from outlay.forecast.frontier.measuring import ROUGHLY, Bench, Question, from_runs
from outlay.forecast.frontier.single import one_call
from outlay.forecast.silent import taking_the_rest_as_right
from outlay.forecast.simulated import Lane
from outlay.forecast.simulation import Plan, simulate
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk

#: A space may have so many designs; one that is derived is cut down to `MOST_DERIVED`.
MOST, MOST_DERIVED = 2_000, 96


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """`measured` are all designs, the base first; `best` those that no other one beats, the cheapest first.

    `cheapest` keeps to the `limits` (None: none does, and `nearest` comes closest). `swings` are single changes of the
    base. `single` is one call of the agent `of`, `single_batch` that call in the batch lane where the space has it, and
    `smallest` the smallest flow with more quality per dollar than it has in the same lane. `unasked` are agents that no
    run of the flow as it stands came to. `judged`: it was declared how often answers are right, and success counts
    it; `silent` are those of whom nothing was, and who are taken as right.
    """

    flow: str
    space: Space
    runs: int
    seed: int
    measured: tuple[Measured, ...]
    best: tuple[Measured, ...]
    limits: Limits
    cheapest: Measured | None
    nearest: Measured | None
    swings: tuple[Swing, ...]
    single: Measured | None
    single_batch: Measured | None
    of: str
    smallest: Measured | None
    unasked: tuple[str, ...]
    judged: bool
    silent: tuple[str, ...]
    #: Designs that are no flow, with the reason.
    impossible: tuple[tuple[Design, str], ...]
    #: Errors in which runs of the flow as it stands end, with their number.
    failures: tuple[tuple[str, int], ...]
    assumed: tuple[Assumed, ...]
    #: Real seconds that it took.
    took: float = field(compare=False)

    @property
    def base(self) -> Measured:
        return self.measured[0]

    def render(self) -> str:
        """As a terminal shows it, in plain text."""
        from outlay.forecast.frontier.render import rendered

        return rendered(self)

    def svg(self) -> str:
        """All designs as points of dollars and seconds."""
        from outlay.forecast.frontier.picture import scatter

        return scatter(self)

    def __str__(self) -> str:
        return self.render()


def frontier(
    node: Any,
    inputs: Sequence[Any] = (),
    *,
    space: Space | str | None = None,
    n: int = 400,
    limits: Limits | None = None,
    assumptions: Assumptions | None = None,
    seed: int = 0,
    deps: Any = None,
    workers: int | None = None,
    most: int = MOST,
    single: str = "",
) -> Frontier:
    """Measure every design of `space` (text as in `levers`, None: what the flow suggests) in `n` runs with common
    random numbers; designs that another one clearly beats in a rough look are left at that.

    `single` names the agent whose one call the flow is held against. Raises ConfigError for a flow that cannot run, a
    loop without an end, a call without a price, and a space that is empty or has more than `most` designs.
    """
    root = as_node(node)
    if n < 1:
        raise ConfigError(f"a frontier needs at least one run of each design, not {n}")
    began = time.perf_counter()
    given, taken = taking_the_rest_as_right(root, assumptions or Assumptions())
    beliefs = Beliefs(given)
    asked_of_each = Question(root, tuple(inputs) or ("x" * 200,), n, seed, given, deps, workers)
    found = _space(asked_of_each, space, most)
    if not inputs:
        beliefs.note("the input", "", "a text of 50 tokens", "default")
    bench = Bench(asked_of_each, beliefs)
    designs, impossible = bench.possible(found.designs())
    flows = {design.picks for design in designs}
    singles = [(lever, design) for lever, design in found.single_changes() if design.picks in flows]
    measured = bench.measure(designs, keep=[found.base, *(design for _, design in singles)])
    by_picks = {one.design.picks: one for one in measured}
    close = [one for one in measured if one.runs == n]
    best = pareto([one for one in close if one.success] or close)
    asked = limits or Limits()
    chosen = cheapest(close, asked) if asked.any else None
    alone, of = _single(bench, single, sorted({design.lane for design in designs}))
    for one in best:
        _note(beliefs, root, bench.node(one.design))
        if one.design.lane == "batch":
            beliefs.batch_seconds()
    return Frontier(
        flow=root.name,
        space=found,
        runs=n,
        seed=seed,
        measured=tuple(measured),
        best=tuple(best),
        limits=asked,
        cheapest=chosen,
        nearest=nearest(close, asked) if asked.any and chosen is None else None,
        swings=tuple(
            swing(lever.name, by_picks[design.picks], by_picks[found.base.picks]) for lever, design in singles
        ),
        single=alone.get("live"),
        single_batch=alone.get("batch"),
        of=of,
        smallest=smallest_better(close, alone) if alone else None,
        unasked=unasked(root, bench.base_outcomes),
        judged=beliefs.judge,
        silent=taken,
        impossible=tuple(impossible),
        failures=tuple(Counter(one.error for one in bench.base_outcomes if one.error).most_common(5)),
        assumed=beliefs.used,
        took=time.perf_counter() - began,
    )


def _space(asked: Question, space: Space | str | None, most: int) -> Space:
    if space is None:
        return _suggested(asked, min(most, MOST_DERIVED))
    found = space_of(asked.root, written(space)) if isinstance(space, str) else space
    if found.size > most:
        sizes = " × ".join(f"{len(lever.choices)} ({lever.name})" for lever in found.levers)
        raise ConfigError(
            f"the space has {found.size:,} designs, the limit is {most:,}: {sizes}",
            hint="name fewer settings, or look at some levers at a time; --most raises the limit",
        )
    return found


def _suggested(asked: Question, most: int) -> Space:
    """What the flow suggests; where that is too much, the levers that gain most when they are set alone."""
    found = suggested(asked.root)
    if found.size <= most:
        return found
    few = replace(asked, n=-(-asked.n // ROUGHLY))
    bench = Bench(few, Beliefs(asked.assumptions))
    designs, _ = bench.possible([found.base, *(design for _, design in found.single_changes())])
    by_picks = {one.design.picks: one for one in bench.measure(designs, keep=designs)}
    gains: dict[str, float] = {}
    for lever, design in found.single_changes():
        if (one := by_picks.get(design.picks)) is not None:
            single = swing(lever.name, one, by_picks[found.base.picks])
            gains[lever.name] = max(gains.get(lever.name, 0.0), single.gain)
    return cut(found, gains, most)


def _single(bench: Bench, name: str, lanes: Iterable[Lane]) -> tuple[dict[Lane, Measured], str]:
    """One call in each of these lanes, measured like the designs, and whose it is; nothing where the flow is that."""
    asked = bench.asked
    if name and name not in {node.name for node in walk(asked.root) if isinstance(node, Agent)}:
        raise ConfigError(
            f"no agent of {asked.root.name} is named {name!r}", hint="--single names an agent of the flow"
        )
    agent = one_call(asked.root, bench.base_outcomes, name)
    if agent is None:
        return {}, ""
    texts = [value if isinstance(value, str) else str(value) for value in asked.inputs]
    found: dict[Lane, Measured] = {}
    for lane in lanes:
        plan = Plan(agent, texts, asked.n, asked.seed, asked.assumptions, common=True, lane=lane)
        outcomes = simulate(plan, Beliefs(asked.assumptions), workers=asked.workers)
        found[lane] = from_runs(Design((), ()), outcomes)
    return found, f"{agent.name} on {label(agent.models[0])}"


def _note(beliefs: Beliefs, root: Node[Any, Any], design: Node[Any, Any]) -> None:
    """List what is believed of the agents of a design with the models that they have there."""
    own = {node.name: node for node in walk(root) if isinstance(node, Agent)}
    for node in walk(design):
        if isinstance(node, Agent) and node.name in own:
            for choice in node.models:
                beliefs.of(own[node.name], choice if isinstance(choice, str) else choice.id)


__all__ = ["MOST", "Frontier", "frontier"]
