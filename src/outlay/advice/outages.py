"""Whether a run survives that one provider is down, by how each pattern takes a member's failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from outlay.advice.survey import Survey, distinct
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


def felled(survey: Survey, *, functions_fall: bool = False) -> Iterator[tuple[str, Agents]]:
    """The providers whose failure fails the run, with the agents that it hangs on. Whether a function goes on without
    what it runs is for its code to say: it does, or (`functions_fall`) it does not.
    """
    for provider in dict.fromkeys(provider_of(model) for agent in survey.agents for model in agent.models):
        if found := _Outage(provider, functions_fall).fells(survey.root):
            yield provider, found


def provider_of(model: str | Model) -> str:
    return model.partition(":")[0] if isinstance(model, str) else model.provider


class _Outage:
    """One provider is down. Each node is looked at once, however many places it stands in."""

    def __init__(self, provider: str, functions_fall: bool) -> None:
        self._provider, self._functions_fall = provider, functions_fall
        self._known: dict[int, Agents] = {}

    def fells(self, node: Node[Any, Any]) -> Agents:
        """The agents for whose sake a node fails; none where it goes on."""
        if id(node) not in self._known:
            self._known[id(node)] = list({id(agent): agent for agent in self._look(node)}.values())
        return self._known[id(node)]

    def _look(self, node: Node[Any, Any]) -> Agents:
        if node.optional or isinstance(node, Detached):
            return []
        if isinstance(node, FunctionNode):
            return self._each(node.children) if self._functions_fall else []
        if isinstance(node, Agent):
            return _alone(node, self._provider)
        if isinstance(node, Router):
            saved = node.on_error == "default" and not self.fells(node.default)
            routes = [] if saved else self._each(node.routes.values())
            return routes + self._one_of([node.classifier, node.default])
        if isinstance(node, FanOut):
            several = node.worker if isinstance(node.worker, tuple) else (node.worker,)
            enough = len(several) if node.on_error == "raise" else min(node.min_success, len(several))
            return self._one_of(several, enough) + ([] if node.merge is None else self.fells(node.merge))
        if isinstance(node, Supervisor):
            return self.fells(node.planner) + self._one_of(node.workers) + self.fells(node.synthesizer)
        if isinstance(node, Debate):
            return self._one_of(node.debaters) + self.fells(node.judge)
        if isinstance(node, Refine):
            return self.fells(node.generator)  # a critic that fails leaves the best version
        if isinstance(node, Cascade):
            return self._one_of(node.tiers)
        if isinstance(node, RoundRobin):
            return self._one_of(node.agents)
        if isinstance(node, Mesh):
            return self.fells(node.start)
        if isinstance(node, Blackboard):
            return self._one_of([one.node for one in node.specialists])
        return self._each(node.children)

    def _each(self, nodes: Iterable[Node[Any, Any]]) -> Agents:
        return [agent for one in distinct(nodes) for agent in self.fells(one)]

    def _one_of(self, nodes: Sequence[Node[Any, Any]], enough: int = 1) -> Agents:
        """It goes on with `enough` of them."""
        fallen = [one for one in nodes if self.fells(one)]
        return [] if len(nodes) - len(fallen) >= enough else self._each(fallen)


def _alone(agent: Agent[Any], provider: str) -> Agents:
    """An agent by itself: its own model fails, and no fallback is with another provider."""
    first = agent.model.tiers[0] if isinstance(agent.model, ModelCascade) else agent.model
    spares = [first, *agent.fallback]
    return [agent] if all(provider_of(model) == provider for model in spares) else []
