"""What can be said of a flow's texts without running it: tokens that every turn pays, and texts that stand twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from outlay.agents.agent import Agent
from outlay.forecast.agent_form import CHARACTERS_PER_TOKEN
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk

#: Shorter texts may well be equal.
LEAST_CHARACTERS = 200


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
    found: list[Static] = []
    for agent in _agents(root):
        prelude = agent.prelude_of(_texts(agent))
        tools = sum(len(tool.name) + len(tool.description) + len(tool.schema) for tool in prelude.tools)
        schema = 0 if prelude.output is None else len(prelude.output.schema)
        found.append(Static(agent.name, _tokens(sum(map(len, prelude.system))), _tokens(tools), _tokens(schema)))
    return tuple(found)


def repeated_texts(root: Node[Any, Any]) -> Iterator[str]:
    """A line for each long text that several agents carry."""
    carriers: dict[str, list[str]] = defaultdict(list)
    for agent in _agents(root):
        for text in dict.fromkeys(_texts(agent)):
            carriers[text].append(agent.name)
    for text, names in carriers.items():
        if len(names) > 1 and len(text) >= LEAST_CHARACTERS:
            shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
            yield f"{len(names)} agents carry the same {_tokens(len(text)):,} tokens of instructions: {shown}"


def _agents(root: Node[Any, Any]) -> list[Agent[Any]]:
    return [node for node in walk(root) if isinstance(node, Agent)]


def _texts(agent: Agent[Any]) -> tuple[str, ...]:
    return tuple(part for part in agent.instruction_parts if isinstance(part, str) and part)


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
