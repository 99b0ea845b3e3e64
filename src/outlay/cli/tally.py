"""What a running command shows of its runs: a fold over their events that forgets what is over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from outlay.events import (
    CallFailed,
    CallFinished,
    CallStarted,
    Event,
    Fact,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunStarted,
)
from outlay.patterns import Router
from outlay.protocols.node import Node
from outlay.runtime.identity import segment
from outlay.runtime.preflight import walk


@dataclass(slots=True)
class AgentTally:
    """One agent's conversations, attempts and money. `unknown` counts the calls whose cost is not known."""

    name: str
    started: int = 0
    done: int = 0
    retries: int = 0
    failed: int = 0
    cost: Decimal = Decimal(0)
    unknown: int = 0

    @property
    def running(self) -> int:
        return max(self.started - self.done, 0)


@dataclass(slots=True)
class RouteTally:
    """Where a router sent its inputs, and why to its default."""

    default: str
    by_route: Counter[str] = field(default_factory=Counter[str])
    why: Counter[str] = field(default_factory=Counter[str])


class Tally:
    """Counts by agent and by router, over all the runs of a command."""

    def __init__(self, root: Node[Any, Any]) -> None:
        self._routers = {segment(node.name): node for node in walk(root) if isinstance(node, Router)}
        self.agents: dict[str, AgentTally] = {}
        self.routes: dict[str, RouteTally] = {}
        self._begun: set[str] = set()
        self._fresh: set[str] = set()
        self._working: dict[tuple[str, str], str] = {}
        self._facts: dict[str, dict[str, dict[str, Any]]] = {}

    @property
    def first(self) -> str | None:
        """The agent that every run begins with, if it is always the same: it has as many inputs as there are rows."""
        return next(iter(self._begun)) if len(self._begun) == 1 else None

    @property
    def spent(self) -> Decimal:
        """US dollars, as far as they are known."""
        return sum((agent.cost for agent in list(self.agents.values())), Decimal(0))

    @property
    def unknown(self) -> int:
        return sum(agent.unknown for agent in list(self.agents.values()))

    @property
    def retries(self) -> int:
        return sum(agent.retries for agent in list(self.agents.values()))

    def add(self, event: Event) -> None:
        if isinstance(event, CallFinished):
            agent = self._agent(event.agent)
            if event.cost is None:
                agent.unknown += 1
            else:
                agent.cost += event.cost
        elif isinstance(event, CallStarted):
            self._agent(event.agent).retries += event.attempt > 1
        elif isinstance(event, CallFailed):
            self._agent(event.agent).failed += 1
        elif isinstance(event, NodeStarted):
            if event.type == "agent":
                self._agent(event.name).started += 1
                self._working[event.run, event.path] = event.name
                if event.run in self._fresh:
                    self._begin(event.run, event.name)
        elif isinstance(event, NodeFinished):
            if agent := self._working.pop((event.run, event.path), ""):
                self.agents[agent].done += 1
        elif isinstance(event, Fact):
            if "route" in event.data:
                self._facts.setdefault(event.run, {}).setdefault(event.path, {}).update(event.data)
        elif isinstance(event, RunStarted):
            self._fresh.add(event.run)
        elif isinstance(event, RunFinished):
            self._end(event.run)

    def _agent(self, name: str) -> AgentTally:
        found = self.agents.get(name)
        if found is None:
            found = self.agents[name] = AgentTally(name)
        return found

    def _begin(self, run: str, agent: str) -> None:
        self._fresh.discard(run)
        self._begun.add(agent)

    def _end(self, run: str) -> None:
        self._fresh.discard(run)
        for path, facts in self._facts.pop(run, {}).items():
            name = path.rpartition("/")[2].partition("[")[0].partition("#")[0]
            router = self._routers.get(name)
            routes = self.routes.get(name)
            if routes is None:
                routes = self.routes[name] = RouteTally("" if router is None else router.default.name)
            route = str(facts["route"])
            routes.by_route[route] += 1
            if router is not None and route == routes.default:
                routes.why[_why(router, facts)] += 1


def _why(router: Router[Any, Any], facts: dict[str, Any]) -> str:
    """Why the default took it, in words that can be counted."""
    label, confidence = facts.get("label"), facts.get("confidence")
    if label in router.escalate:
        return str(label)
    if label and label not in router.routes:
        return "unknown label"
    if isinstance(confidence, int | float) and not confidence >= router.threshold:
        return "low confidence"
    return "failed"
