"""The tools with which an agent hands its work over to a peer, or asks one and goes on."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any, cast

from outlay.agents.agent import Agent
from outlay.agents.output import portable
from outlay.agents.tool import Tool
from outlay.errors import ConfigError, ToolError, TurnLimit
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node
from outlay.values.handoff import Handoff
from outlay.values.plan import Task

_NAME_LENGTH = 64


def handoff_tool(sender: Agent[Any], peer: Node[Any, Any]) -> Tool:
    """`handoff_to_PEER(task, summary)`, or `(task, artifact)` for an agent whose output has a type of its own: it may
    hand over its work so far in that type. It ends the sender's turn.
    """
    kind: Any = cast(Any, sender).output_type

    async def hand_over(task: str, summary: str = "", artifact: Any = None) -> Handoff[Any]:
        """Hand over.

        Args:
            task: What the peer is to do, complete in itself: it sees nothing else of this conversation.
            summary: What is known and done so far, as far as the peer needs it.
            artifact: Your work so far.
        """
        return Handoff(peer.name, task, summary or None if artifact is None else artifact)

    # of the agent's own type, so that a resumed run gets the same artifact again
    hand_over.__annotations__["return"] = Handoff[portable(kind)]
    shown = ("task", "summary") if kind is str else ("task", "artifact")
    parameters = inspect.signature(hand_over).parameters
    cast(Any, hand_over).__signature__ = inspect.Signature(
        [parameters[name].replace(annotation=portable(kind) | None if name == "artifact" else str) for name in shown]
    )
    description = f"Hand the work over to {peer.name} and end your turn. {_about(peer)}".strip()
    return Tool(_tool_name("handoff_to_", peer), hand_over, description, ends_turn=True, timeout=None)


def ask_tool(peer: Node[Any, Any]) -> Tool:
    """`ask_PEER(question)`: the peer's answer is the result, and the asker goes on."""

    async def ask(ctx: RunContext[Any], question: str) -> Any:
        """Ask.

        Args:
            question: The question, complete in itself: the peer sees nothing else of this conversation.
        """
        try:
            answer = await ctx.run(peer, Task(ctx.origin, question))
        except TurnLimit as limit:  # the peer's own limit says nothing of the asker
            raise ToolError(f"{peer.name} found no answer: {limit.message}", tool=peer.name) from limit
        if isinstance(answer, Handoff):
            raise ToolError(f"{peer.name} wanted to hand the question to {answer.peer}", tool=peer.name)
        return answer

    description = f"Ask {peer.name} a question and go on with the answer. {_about(peer)}".strip()
    return _Ask(_tool_name("ask_", peer), ask, description, timeout=None)


@dataclass(frozen=True, eq=False)
class _Ask(Tool):
    """It runs a peer, and nothing else."""

    @property
    def leaf(self) -> bool:
        return False


def check_names(agent: Agent[Any], tools: tuple[Tool, ...]) -> None:
    """Raises ConfigError where a tool for a peer has the name of another tool."""
    taken = set(agent.toolbox)
    for tool in tools:
        if tool.name in taken:
            raise ConfigError(
                f"Mesh: agent {agent.name!r} would have two tools named {tool.name!r}",
                hint="rename the agent's own tool, or the peer: peer.replace(name='…')",
            )
        taken.add(tool.name)
        tool.spec  # noqa: B018 - a type no schema expresses is refused here, not after the first paid call


def _about(peer: Node[Any, Any]) -> str:
    return str(getattr(peer, "description", "") or "")


def _tool_name(prefix: str, peer: Node[Any, Any]) -> str:
    return (prefix + re.sub(r"[^A-Za-z0-9_-]", "_", peer.name))[:_NAME_LENGTH]
