"""What the rules look at: a flow's tree, who stands below whom, what its models cost, and what is known of its runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from outlay.advice.evidence import Evidence
from outlay.agents.agent import Agent
from outlay.agents.tool import NodeTool, Tool
from outlay.errors import ConfigError
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.runtime.directory import Directory, default_prices
from outlay.runtime.preflight import walk
from outlay.values.price import Price


@dataclass(frozen=True, eq=False)
class Survey:
    """A flow as far as it is known before it runs. `runs` of it are expected within five minutes; `expected` are the
    output tokens that an agent is said to need, by name; `evidence` is what a store knows of it; `webhook`: alerts of
    its runs are posted to somebody."""

    root: Node[Any, Any]
    runs: int = 1
    expected: dict[str, float] = field(default_factory=dict[str, float])
    evidence: Evidence = field(default_factory=Evidence)
    webhook: bool = False

    @cached_property
    def nodes(self) -> tuple[Node[Any, Any], ...]:
        return tuple(walk(self.root))

    @cached_property
    def agents(self) -> tuple[Agent[Any], ...]:
        return tuple(node for node in self.nodes if isinstance(node, Agent))

    @property
    def tools(self) -> Iterator[tuple[Agent[Any], Tool]]:
        """Every tool that is no node, with the agent that may call it."""
        for agent in self.agents:
            yield from ((agent, tool) for tool in agent.toolbox.values() if not isinstance(tool, NodeTool))

    @cached_property
    def _parents(self) -> dict[int, list[Node[Any, Any]]]:
        found: defaultdict[int, list[Node[Any, Any]]] = defaultdict(list)
        for node in self.nodes:
            for child in below(node):
                found[id(child)].append(node)
        return found

    def parents(self, node: Node[Any, Any]) -> Sequence[Node[Any, Any]]:
        """The nodes that may run it; none for the root, several where it stands in several places."""
        return self._parents.get(id(node), [])

    def above(self, node: Node[Any, Any]) -> Iterator[Node[Any, Any]]:
        """Every node that it may run below of, nearest first."""
        seen: set[int] = set()
        waiting = list(self.parents(node))
        while waiting:
            one = waiting.pop(0)
            if id(one) not in seen:
                seen.add(id(one))
                yield one
                waiting += self.parents(one)

    def limits(self, node: Node[Any, Any], resources: Sequence[str]) -> bool:
        """A budget of one of these resources holds for the node, wherever in the flow it runs."""
        limiting = [one for one in self.nodes if _has_limit(one, resources)]
        if not limiting:
            return False
        blocked = {id(one) for one in limiting}
        # where a way down from the root passes no such node, it runs without
        reached, waiting = set[int](), [self.root]
        while waiting:
            one = waiting.pop()
            if id(one) not in blocked and id(one) not in reached:
                reached.add(id(one))
                waiting += below(one)
        return id(node) not in reached

    @cached_property
    def _directory(self) -> Directory:
        return Directory("live", default_prices())

    def models(self, agent: Agent[Any]) -> list[Model]:
        """The models that an agent may call, the usual one first; without those that cannot be found."""
        found: list[Model] = []
        for choice in agent.models:
            try:
                found.append(self._directory.model(agent.name, choice, agent.offline))
            except ConfigError:  # the check of the setting says so
                continue
        return found

    def price(self, model: Model) -> Price | None:
        return self._directory.price(model)

    def price_of(self, provider: str, name: str) -> Price | None:
        """The list price of a model that nobody in the flow uses."""
        return self._directory.book.find(provider, name)


def _has_limit(node: Node[Any, Any], resources: Sequence[str]) -> bool:
    return any(getattr(budget, resource) is not None for budget in node.budgets for resource in resources)


def below(node: Node[Any, Any]) -> list[Node[Any, Any]]:
    """The nodes that a node may run: its children, and those that an agent has as tools."""
    if not isinstance(node, Agent):
        return list(node.children)
    return [tool.node for tool in node.toolbox.values() if isinstance(tool, NodeTool) and tool.node is not None]


def agents_in(nodes: Iterable[Node[Any, Any]]) -> list[Agent[Any]]:
    """Every agent in these nodes or below them, each once."""
    found = {id(one): one for node in nodes for one in walk(node) if isinstance(one, Agent)}
    return list(found.values())


def distinct(nodes: Iterable[Node[Any, Any]]) -> list[Node[Any, Any]]:
    """Each once: one node may stand in several places."""
    return list({id(node): node for node in nodes}.values())


def names(nodes: Iterable[Node[Any, Any]], most: int = 4) -> str:
    """`a, b, c, d, …`"""
    all_names = [node.name for node in nodes]
    return ", ".join(all_names[:most]) + (", …" if len(all_names) > most else "")
