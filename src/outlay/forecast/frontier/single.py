"""One call in the place of a flow: what every flow of several calls should be held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outlay.agents.agent import Agent
from outlay.forecast.tally import Outcome
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk


def one_call(root: Node[Any, Any], outcomes: Sequence[Outcome], name: str = "") -> Agent[Any] | None:
    """The agent called `name`, or else the one that the flow spends most on, as it would answer by itself in one call:
    its model, instructions and output cap, without tools, checks and prompt of its own. None where the flow is that
    already, or names no agent before it runs.
    """
    agents = {node.name: node for node in walk(root) if isinstance(node, Agent)}
    if not agents or (isinstance(root, Agent) and not root.tools and not root.verify):
        return None
    agent = agents.get(name) or max(agents.values(), key=lambda one: _dollars(outcomes, one.name))
    instructions = [part for part in agent.instruction_parts if isinstance(part, str)]
    return Agent(
        agent.name,
        agent.models[0],
        instructions=instructions,
        max_output_tokens=agent.max_output_tokens,
        settings=agent.settings,
        cache=agent.cache,
    )


def _dollars(outcomes: Sequence[Outcome], name: str) -> float:
    return sum(dollars for outcome in outcomes for agent, _, dollars, _ in outcome.agents if agent == name)
