"""A flow with some arguments changed: every node that is or contains a changed one is made anew, the others stay.

What stands in two places still is one node afterwards. A function's code names its nodes itself, so it gets a context
that runs the changed node where the code asks for the old one.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Mapping, Sequence
from functools import wraps
from typing import Any, cast

from outlay.agents.function import FunctionNode
from outlay.agents.tool import NodeTool
from outlay.errors import ConfigError
from outlay.patterns import FanOut, Pipeline, Specialist
from outlay.protocols.node import Node


def rewritten(
    root: Node[Any, Any],
    arguments: Mapping[str, Mapping[str, Any]],
    without: Collection[str] = (),
    at_once: Collection[str] = (),
) -> Node[Any, Any]:
    """The flow with `arguments` (by the name of the node), its pipelines without the stages named; of the pipelines in
    `at_once` every stage gets the pipeline's input, and all of them run at the same time.

    Raises ConfigError where a node does not take an argument, or nothing would be left of a pipeline.
    """
    return _Rewriting(arguments, without, at_once).node(root)


class _Rewriting:
    def __init__(
        self, arguments: Mapping[str, Mapping[str, Any]], without: Collection[str], at_once: Collection[str]
    ) -> None:
        self._arguments, self._without, self._at_once = arguments, without, at_once
        #: By node. A node that is being made stands for itself: a function may name itself among its children.
        self._made: dict[Node[Any, Any], Node[Any, Any]] = {}

    def node(self, node: Node[Any, Any]) -> Node[Any, Any]:
        found = self._made.get(node)
        if found is None:
            self._made[node] = node
            found = self._made[node] = self._remade(node)
        return found

    def _remade(self, node: Node[Any, Any]) -> Node[Any, Any]:
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(node):
            if field.init:
                value = getattr(node, field.name)
                new = (
                    self._stages(node) if field.name == "stages" and isinstance(node, Pipeline) else self._value(value)
                )
                if new is not value:
                    changes[field.name] = new
        changes |= self._arguments.get(node.name, {})
        if isinstance(node, FunctionNode) and "nodes" in changes:
            theirs = dict(zip(node.nodes, changes["nodes"], strict=True))
            changes["function"] = _running_others(node.function, theirs)
        new = node.replace(**changes) if changes else node
        if isinstance(new, Pipeline) and new.name in self._at_once:
            return FanOut(
                list(new.stages),
                on_error="raise",
                name=new.name,
                description=new.description,
                budget=new.budget,
                optional=new.optional,
            )
        return new

    def _stages(self, node: Pipeline[Any, Any]) -> tuple[Node[Any, Any], ...]:
        left = tuple(self.node(stage) for stage in node.stages if stage.name not in self._without)
        if not left:
            raise ConfigError(f"nothing is left of {node.name}", hint="leave one of its stages in")
        return node.stages if _same(left, node.stages) else left

    def _value(self, value: Any) -> Any:
        """The same object where nothing in it has changed."""
        if isinstance(value, Node):
            return self.node(cast("Node[Any, Any]", value))
        if isinstance(value, NodeTool):
            return self._tool(value)
        if isinstance(value, Specialist):
            node = self.node(value.node)
            return value if node is value.node else dataclasses.replace(value, node=node)
        if isinstance(value, list | tuple):
            several = cast("Sequence[Any]", value)
            new = [self._value(one) for one in several]
            return several if _same(new, several) else tuple(new)
        if isinstance(value, Mapping):
            table = cast("Mapping[Any, Any]", value)
            changed = {self._value(key): self._value(one) for key, one in table.items()}
            both = [*changed, *changed.values()], [*table, *table.values()]
            return table if _same(*both) else changed
        return value

    def _tool(self, tool: NodeTool) -> NodeTool:
        if tool.node is None or (node := self.node(tool.node)) is tool.node:
            return tool
        return dataclasses.replace(tool, node=node, function=node.run)


def _same(new: Sequence[Any], old: Sequence[Any]) -> bool:
    return len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))


def _running_others(function: Any, theirs: Mapping[Node[Any, Any], Node[Any, Any]]) -> Any:
    """`(ctx, input)` that runs the other node wherever the function names the one that it knows."""

    @wraps(function)
    async def run(ctx: Any, input: Any) -> Any:
        result = function(_Redirected(ctx, theirs), input)
        return await result if inspect.isawaitable(result) else result

    return run


class _Redirected:
    """A node's context in all but which nodes it runs."""

    def __init__(self, ctx: Any, theirs: Mapping[Node[Any, Any], Node[Any, Any]]) -> None:
        self._ctx, self._theirs = ctx, theirs

    def run(self, node: Any, input: Any, *, key: str | None = None) -> Any:
        return self._ctx.run(self._theirs.get(node, node), input, key=key)

    def detach(self, node: Any, input: Any, **options: Any) -> None:
        self._ctx.detach(self._theirs.get(node, node), input, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)
