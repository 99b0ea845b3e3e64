"""Of whom nothing is declared, where it is declared of others how often they are right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outlay.agents.agent import Agent
from outlay.forecast.assumptions import TAKEN_AS_RIGHT, Assumptions, Beliefs
from outlay.forecast.expect import Expect
from outlay.forecast.rightness import OPAQUE, Judge
from outlay.protocols.node import Node
from outlay.runtime.identity import segment
from outlay.runtime.preflight import walk


def silent(root: Node[Any, Any], beliefs: Beliefs) -> list[Node[Any, Any]]:
    """Agents, and patterns that are judged as a whole, of whom a word is missing to know how often the flow is right.
    An opinion is no answer.
    """
    judge = Judge(root, beliefs)
    whole = {*judge.declared, *judge.routes}
    covered = [node for node in walk(root) if isinstance(node, OPAQUE) or segment(node.name) in whole]
    within = {below for node in covered for below in walk(node) if below is not node}
    return [
        node
        for node in walk(root)
        if node not in within
        and node.name not in judge.critics
        and isinstance(node, (Agent, *OPAQUE))
        and (beliefs.of(node).right if isinstance(node, Agent) else beliefs.right(node.name)) is None
    ]


def taking_the_rest_as_right(root: Node[Any, Any], given: Assumptions) -> tuple[Assumptions, tuple[str, ...]]:
    """Everybody of whom nothing is declared counts as right, and is named: then what is declared of one agent shows in
    every design, and one call is not held to more than a flow is. Where nothing at all is declared, nothing changes.
    """
    beliefs = Beliefs(given)
    found = silent(root, beliefs) if beliefs.judge else []
    agents = dict(given.agents)
    for node in found:
        agents[node.name] = replace(agents.get(node.name, Expect()), right=TAKEN_AS_RIGHT)
    return replace(given, agents=agents), tuple(dict.fromkeys(node.name for node in found))
