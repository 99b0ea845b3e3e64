"""Agents that nothing tells apart: one agent asked several times, under several names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Any

from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey, names
from outlay.agents.agent import Agent
from outlay.patterns.debate import Debate
from outlay.patterns.fanout import FanOut
from outlay.protocols.node import Node


def look(survey: Survey) -> Iterator[Sight]:
    alike: defaultdict[Hashable, list[Agent[Any]]] = defaultdict(list)
    for agent in survey.agents:
        alike[_what_tells_apart(agent)].append(agent)
    for several in alike.values():
        if len(several) > 1:
            what = f"{names(several)} have the same model, tools and instructions"
            yield Sight(tuple(agent.name for agent in several), what, _change(survey, several))


def _what_tells_apart(agent: Agent[Any]) -> Hashable:
    """Chance is no difference: two samples of one agent differ by it as well."""
    settings = replace(agent.settings, temperature=None, top_p=None, seed=None)
    model = agent.model if isinstance(agent.model, str) else id(agent.model)
    tools = tuple(
        sorted((tool.name, id(getattr(tool, "node", None) or tool.function)) for tool in agent.toolbox.values())
    )
    parts = tuple(part if isinstance(part, str) else id(part) for part in agent.instruction_parts if part)
    checks = tuple(map(id, agent.verify))
    return model, parts, tools, id(agent.prompt), repr(agent.output_type), settings.key, checks


def _change(survey: Survey, several: list[Agent[Any]]) -> str:
    first = several[0].name
    if _asked_the_same(survey, several):
        return f"Vote({first}, n={len(several)}): the same samples, and none that could not matter"
    return f"make them one agent, {first}, or give each its own tools or instructions"


def _asked_the_same(survey: Survey, several: list[Agent[Any]]) -> bool:
    """They all get the same question from the same node."""
    return any(_asks_all(node) and all(agent in node.children for agent in several) for node in survey.nodes)


def _asks_all(node: Node[Any, Any]) -> bool:
    return isinstance(node, Debate) or (isinstance(node, FanOut) and isinstance(node.worker, tuple))


RULE = Rule(
    "equal-agents",
    "agents with equal tools and context",
    ("money",),
    "each pays for the same prompt, and what they differ in is chance; errors that they share stay unseen",
    look,
)
