"""The nodes of a flow that are known before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from outlay.agents.agent import Agent
from outlay.protocols.node import Node


def walk(root: Node[Any, Any]) -> Iterator[Node[Any, Any]]:
    """Every node of a flow that is known before it runs, once, parents first."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        stack.extend(reversed([*node.children, *tool_nodes(node)]))


def tool_nodes(node: Node[Any, Any]) -> list[Node[Any, Any]]:
    """The nodes that stand as tools of an agent."""
    if not isinstance(node, Agent):
        return []
    return [inner for tool in node.toolbox.values() if (inner := getattr(tool, "node", None)) is not None]
