"""What can be said of a flow's texts without running it: tokens that every turn pays, and texts that stand twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from outlay.agents.agent import Agent
from outlay.forecast.repeated import Repeated, repeated
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk
from outlay.values.estimate import estimated_tokens
from outlay.values.request import ToolSpec


@dataclass(frozen=True, slots=True)
class Static:
    """Tokens that an agent sends with every turn, estimated at four characters each; functions count as nothing."""

    agent: str
    instructions: int
    tools: int
    schema: int

    @property
    def tokens(self) -> int:
        return self.instructions + self.tools + self.schema


def statics(root: Node[Any, Any]) -> tuple[Static, ...]:
    """Of every agent that is known before the run."""
    return tuple(static_of(agent) for agent in _agents(root))


def static_of(agent: Agent[Any]) -> Static:
    """Of one agent."""
    prelude = agent.prelude_of(_texts(agent))
    tools = sum(len(_tool_text(tool)) for tool in prelude.tools)
    schema = 0 if prelude.output is None else len(prelude.output.schema)
    return Static(agent.name, _tokens(sum(map(len, prelude.system))), _tokens(tools), _tokens(schema))


def repetitions(root: Node[Any, Any]) -> tuple[Repeated, ...]:
    """Instructions and tools that several agents carry."""
    agents = _agents(root)
    said = [(agent.name, _texts(agent)) for agent in agents]
    shown = [(agent.name, [_tool_text(tool) for tool in agent.prelude_of(()).tools]) for agent in agents]
    return (*repeated("instructions", said), *repeated("tools", shown))


def repeated_texts(root: Node[Any, Any]) -> Iterator[str]:
    """A line for each long text that several agents carry."""
    for one in repetitions(root):
        if one.what == "instructions":
            shown = ", ".join(one.agents[:4]) + (", …" if len(one.agents) > 4 else "")
            yield f"{len(one.agents)} agents carry the same {one.tokens:,} tokens of {one.what}: {shown}"


def _agents(root: Node[Any, Any]) -> list[Agent[Any]]:
    return [node for node in walk(root) if isinstance(node, Agent)]


def _texts(agent: Agent[Any]) -> tuple[str, ...]:
    return tuple(part for part in agent.instruction_parts if isinstance(part, str) and part)


def _tool_text(tool: ToolSpec) -> str:
    """A tool as the model is shown it."""
    return f"{tool.name}{tool.description}{tool.schema}"


def _tokens(characters: int) -> int:
    return estimated_tokens(characters)
