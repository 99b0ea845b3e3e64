"""Stored: a node whose answer is kept, and given again to the same input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from outlay.agents.agent import Agent
from outlay.agents.content import as_text
from outlay.agents.function import as_node
from outlay.agents.keeping import Kept, check_kept, scope_of, seconds_of
from outlay.agents.results import plain_json
from outlay.agents.tool import NodeTool
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


@dataclass(frozen=True, eq=False)
class Stored(Node[In, Out], Generic[In, Out]):
    """Runs `node`, and for `seconds` gives its answer again to the same input: `Stored(crew, 3600)`.

    Kept in the run's store, for all runs on it, while the node's code, prompts and models are the same; never across
    labels, the scopes of the budgets that pay, or `scope` (text, or a function of the context). What was given again
    is a stored answer on the bill, with what the node cost then. An answer that has no JSON is not kept (`output_type`
    says how to read it back; an agent's own is known), nor one that was degraded, or came about with side effects or
    people.

    Raises ConfigError for a node with tools that have side effects or need approval: giving its answer again would not
    do what it does.
    """

    node: Node[In, Out]
    seconds: float | timedelta
    scope: str | Callable[..., Any] = field(default="", kw_only=True)
    output_type: Any = field(default=None, kw_only=True)
    name: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "node", as_node(self.node))
        if not self.name:
            object.__setattr__(self, "name", f"stored-{self.node.name}")
        super().__post_init__()
        check_kept(f"Stored({self.node.name})", "seconds", self.seconds)
        for tool in _tools(self.node):
            if tool.side_effect or tool.requires_approval:
                raise ConfigError(
                    f"Stored({self.node.name}): its tool {tool.name} changes the world, a stored answer would not",
                    hint=f"keep the answer of the part without {tool.name}",
                )

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return (self.node,)

    @property
    def input_type(self) -> Any:
        return self.node.input_type

    @cached_property
    def _adapter(self) -> Any:
        """What reads an answer back, None for plain JSON."""
        if self.output_type is None:
            return self.node.codec.adapter if isinstance(self.node, Agent) else None
        from pydantic import TypeAdapter

        return TypeAdapter(self.output_type)

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        scope = await scope_of(self.name, self.scope, ctx)
        kept = Kept(ctx, self.node, ["node", as_text(input)], scope)
        if (found := await kept.find(seconds_of(self.seconds))) is not None:
            told = {"agent": self.node.name, "age": round(found["age"], 3), "seconds": found["seconds"]}
            ctx.decide("stored_answer", saved=found["cost"], **told)
            return self._read(found["output"])
        began = ctx.now()
        output: Any = await ctx.run(self.node, input)
        so_far = ctx.so_far()
        stored = self._written(output)
        if stored is None or so_far.unfit:
            ctx.decide("not_stored", why=so_far.unfit or "the answer has no JSON: say output_type=")
            return cast("Out", output)
        cost = None if so_far.cost is None else str(so_far.cost)
        await kept.keep(output=stored, cost=cost, seconds=round(ctx.now() - began, 3))
        return self._read(stored)

    def _written(self, output: Any) -> str | None:
        if self._adapter is None:
            plain = plain_json(output)
            return None if plain is None else plain.decode()
        try:
            return self._adapter.dump_json(output, warnings="error").decode()
        except Exception:  # pydantic has many words for no
            return None

    def _read(self, stored: str) -> Out:
        import json

        return cast("Out", json.loads(stored) if self._adapter is None else self._adapter.validate_json(stored))


def _tools(node: Node[Any, Any]) -> Iterator[Any]:
    """The tools of all agents below a node, as far as they are known."""
    seen: set[int] = set()
    stack: list[Any] = [node]
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        tools = one.toolbox.values() if isinstance(one, Agent) else ()
        yield from tools
        stack.extend((*one.children, *(tool.node for tool in tools if isinstance(tool, NodeTool) and tool.node)))
