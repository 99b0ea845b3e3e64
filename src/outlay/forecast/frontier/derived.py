"""The space that a flow suggests by itself: what could be set otherwise without naming anything that is not in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.errors import ConfigError
from outlay.forecast.frontier.designs import Lever, Space
from outlay.forecast.frontier.levers import KINDS, argument_lever, lane_lever, models_lever, shown, stage_lever
from outlay.patterns import Debate, FanOut, Pipeline, Refine, Vote
from outlay.protocols.node import Node
from outlay.runtime.directory import Directory, default_prices
from outlay.runtime.preflight import walk

#: How often a refused answer may be fed back, where the flow says nothing else.
_RETRIES = (0, 1, 2)
#: Of fewer rounds and samples the fewest: a cap of a thousand suggests no thousand designs.
_FEWEST = 4


def suggested(root: Node[Any, Any]) -> Space:
    """Models that other agents of the flow have, and cascades of them; corrections; rounds and samples, fewer ones;
    workers one after the other; optional stages left out; the batch lane where every model has a price there.

    Raises ConfigError where there is nothing of this.
    """
    levers = tuple(lever for lever in _levers(root) if len(lever.choices) > 1)
    if not levers:
        raise ConfigError(
            f"{root.name} suggests nothing to set otherwise",
            hint="say what may change (--space models=AGENT:MODEL|MODEL), or let functions declare what they run: "
            "@node(children=[…])",
        )
    return Space(levers)


def cut(space: Space, gains: Mapping[str, float], most: int) -> Space:
    """The space with the levers that gain most by themselves, as many as make at most `most` designs; the others are
    named. `gains` by lever; of equal ones the first.
    """
    kept: set[str] = set()
    size = 1
    for lever in sorted(space.levers, key=lambda lever: -gains.get(lever.name, 0.0)):
        if size * len(lever.choices) <= most:
            size *= len(lever.choices)
            kept.add(lever.name)
    return Space(
        tuple(lever for lever in space.levers if lever.name in kept),
        tuple(lever.name for lever in space.levers if lever.name not in kept),
    )


def _levers(root: Node[Any, Any]) -> Iterator[Lever]:
    nodes = list(dict.fromkeys(walk(root)))
    agents = [node for node in nodes if isinstance(node, Agent)]
    yield from _models(agents)
    for node in nodes:
        if isinstance(node, Refine | Debate):
            yield argument_lever([node], "rounds", range(1, node.max_rounds)[:_FEWEST])
        elif isinstance(node, Vote):
            yield argument_lever([node], "samples", range(1, node.n, 2)[:_FEWEST])
        elif isinstance(node, Pipeline):
            yield from (stage_lever(node, stage) for stage in node.stages if stage.optional and len(node.stages) > 1)
    for agent in agents:
        if agent.verify and KINDS["retries"].fits(agent):
            yield argument_lever([agent], "retries", _RETRIES)
    for node in nodes:
        if isinstance(node, FanOut):
            yield argument_lever([node], "parallel", (1, None))
    if _has_batch_prices(agents):
        yield lane_lever()


def _models(agents: list[Agent[Any]]) -> Iterator[Lever]:
    """Each agent on every model of the flow, the cheaper ones of which may go before its own."""
    known = list(dict.fromkeys(model for agent in agents for model in agent.models))
    directory = Directory(None, default_prices())
    for agent in agents:
        settings: list[Any] = [model for model in known if shown(model) != shown(agent.model)]
        own = None if isinstance(agent.model, ModelCascade) else _rate(directory, agent, agent.model)
        if agent.verify and own is not None:
            settings += [
                (model, agent.model)
                for model in settings[:]
                if (rate := _rate(directory, agent, model)) is not None and rate < own
            ]
        yield models_lever(agent, settings)


def _rate(directory: Directory, agent: Agent[Any], choice: Any) -> float | None:
    price = directory.price(directory.model(agent.name, choice))
    return None if price is None else float(price.rates.output)


def _has_batch_prices(agents: list[Agent[Any]]) -> bool:
    directory = Directory(None, default_prices())
    models = [directory.model(agent.name, choice) for agent in agents for choice in agent.models]
    return bool(models) and all(directory.price_at(model, "batch") is not None for model in models)


__all__ = ["cut", "suggested"]
