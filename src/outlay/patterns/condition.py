"""A condition that ends a pattern: a function or a node that says whether, and maybe why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

from outlay.agents.agent import Agent
from outlay.errors import ConfigError
from outlay.patterns.pattern import NOT_A_FAILURE
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node
from outlay.protocols.signature import call

S = TypeVar("S")
#: It gives a bool, an object with `done`, or a text that is the reason.
Condition: TypeAlias = Callable[[S], Any] | Node[Any, Any]
#: The same with the context first. Apart, because in one union no checker can tell what a lambda takes.
InContext: TypeAlias = Callable[[RunContext[Any], S], Any]


def check_condition(condition: Any, where: str, example: str) -> None:
    """Raises ConfigError for what is no condition. `where` is the pattern and its argument, for the error's text."""
    if condition is not None and not isinstance(condition, Node) and not callable(condition):
        raise ConfigError(f"{where} is a function or a node, not {condition!r}", hint=example)
    if isinstance(condition, Agent) and cast(Any, condition).output_type is str:
        raise ConfigError(
            f"{where} asks yes or no, and {condition.name} gives text",
            hint=f"Agent({condition.name!r}, …, output_type=bool)",
        )


def node_in(condition: Any) -> tuple[Node[Any, Any], ...]:
    """The condition where it is a node, for `children`; nothing where it is a function or not there."""
    return (cast("Node[Any, Any]", condition),) if isinstance(condition, Node) else ()


async def why_ended(ctx: RunContext[Any], condition: Condition[Any] | InContext[Any], value: Any) -> str:
    """Why the condition ends it here; empty if it does not. A node that fails does not end anything: it is skipped."""
    if not isinstance(condition, Node):
        return why_of(await call(condition, ctx, value))
    node = cast("Node[Any, Any]", condition)
    try:
        verdict = await ctx.child(node, value)
    except NOT_A_FAILURE:
        raise
    except Exception as error:
        ctx.skip(node.name, "the end condition failed, and it went on", error)
        return ""
    return "" if verdict is value else why_of(verdict)  # an optional node that was skipped has said nothing


def why_of(verdict: Any) -> str:
    """What a condition said, as a reason; empty where it did not say to end."""
    verdict = getattr(verdict, "done", verdict)
    if isinstance(verdict, str):
        return verdict
    return "the condition held" if verdict else ""
