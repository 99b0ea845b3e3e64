"""Whether a run survives that one provider is down, by how each pattern takes a member's failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from outlay.advice.survey import Survey
from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.agents.function import FunctionNode
from outlay.patterns.blackboard import Blackboard
from outlay.patterns.cascade import Cascade
from outlay.patterns.debate import Debate
from outlay.patterns.detached import Detached
from outlay.patterns.fanout import FanOut
from outlay.patterns.mesh import Mesh
from outlay.patterns.refine import Refine
from outlay.patterns.roundrobin import RoundRobin
from outlay.patterns.router import Router
from outlay.patterns.supervisor import Supervisor
from outlay.protocols.model import Model
from outlay.protocols.node import Node

Agents = list[Agent[Any]]


def felled(survey: Survey) -> Iterator[tuple[str, Agents]]:
    """The providers whose failure fails the run, with the agents that it hangs on."""
    providers = dict.fromkeys(provider_of(model) for agent in survey.agents for model in agent.models)
    for provider in providers:
        if found := _fall(survey.root, provider):
            yield provider, list({id(agent): agent for agent in found}.values())


def provider_of(model: str | Model) -> str:
    return model.partition(":")[0] if isinstance(model, str) else model.provider


def _fall(node: Node[Any, Any], provider: str) -> Agents:
    """The agents for whose sake a node fails where the provider is down; none where it goes on."""

    def each(nodes: Iterable[Node[Any, Any]]) -> Agents:
        return [agent for one in nodes for agent in _fall(one, provider)]

    def one_of(nodes: Sequence[Node[Any, Any]], enough: int = 1) -> Agents:
        found = [_fall(one, provider) for one in nodes]
        return [] if sum(not agents for agents in found) >= enough else [agent for one in found for agent in one]

    if node.optional or isinstance(node, FunctionNode | Detached):
        return []
    if isinstance(node, Agent):
        return _alone(node, provider)
    if isinstance(node, Router):
        routes = [] if node.on_error == "default" and not _fall(node.default, provider) else each(node.routes.values())
        return routes + one_of([node.classifier, node.default])
    if isinstance(node, FanOut):
        several = node.worker if isinstance(node.worker, tuple) else (node.worker,)
        workers = each(several) if node.on_error == "raise" else one_of(several, min(node.min_success, len(several)))
        return workers + ([] if node.merge is None else _fall(node.merge, provider))
    if isinstance(node, Supervisor):
        return _fall(node.planner, provider) + one_of(node.workers) + _fall(node.synthesizer, provider)
    if isinstance(node, Debate):
        return one_of(node.debaters) + _fall(node.judge, provider)
    if isinstance(node, Refine):
        return _fall(node.generator, provider)  # a critic that fails leaves the best version
    if isinstance(node, Cascade):
        return one_of(node.tiers)
    if isinstance(node, RoundRobin):
        return one_of(node.agents)
    if isinstance(node, Mesh):
        return _fall(node.start, provider)
    if isinstance(node, Blackboard):
        return one_of([one.node for one in node.specialists])
    return each(node.children)


def _alone(agent: Agent[Any], provider: str) -> Agents:
    """An agent by itself: its own model fails, and no fallback is with another provider."""
    first = agent.model.tiers[0] if isinstance(agent.model, ModelCascade) else agent.model
    spares = [first, *agent.fallback]
    return [agent] if all(provider_of(model) == provider for model in spares) else []
