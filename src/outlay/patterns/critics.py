"""Critics: what a refinement and a gate ask of an output. A deterministic checker goes before a model's opinion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlay.agents.agent import Agent, name_of
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node
from outlay.protocols.signature import call
from outlay.values.critique import Critique, Draft


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the critics made of an output: how many were content before the first that was not, and what that one says.

    `problem` is None where all are content. `opinion` says that it is a model's word, not a checker's.
    """

    passed: int
    score: float | None = None
    problem: str | None = None
    critic: str = ""
    opinion: bool = False


def as_critics(given: Any, owner: str) -> tuple[Any, ...]:
    """A critic or a list of them as they are asked: checkers first. Raises ConfigError for what is none."""
    several = tuple(cast("Sequence[Any]", given)) if isinstance(given, list | tuple) else (given,)
    if not several or not all(isinstance(one, Node) or callable(one) for one in several):
        raise ConfigError(f"{owner}: a critic is a checker, a node that gives a Critique, or a list of them")
    for one in several:
        if isinstance(one, Agent) and cast(Any, one).output_type is str:
            raise ConfigError(
                f"{owner}: the critic {one.name} gives text, not a Critique",
                hint=f"Agent({one.name!r}, …, output_type=Critique)",
            )
    return tuple(sorted(several, key=lambda one: isinstance(one, Node)))


async def judge(ctx: RunContext[Any], critics: Sequence[Any], task: Any, output: Any) -> Verdict:
    """Ask the critics in order, up to the first that is not content. Agents get a `Draft` of task and output."""
    score: float | None = None
    for passed, critic in enumerate(critics):
        if isinstance(critic, Node):
            node = cast("Node[Any, Any]", critic)
            asked = Draft(task, output) if isinstance(critic, Agent) else output
            verdict = _as_critique(await ctx.child(node, asked, origin=task), node)
            score = verdict.score if verdict.score is not None else score
            problem, opinion = _problem(verdict), isinstance(critic, Agent)
        else:
            plain = _Opinion(critic)
            problem, opinion = await ctx.check(plain, output), False
            score = plain.score if plain.score is not None else score
        if problem is not None:
            return Verdict(passed, score, problem, name_of(critic), opinion)
    return Verdict(len(critics), score)


class _Opinion:
    """A critic that is a plain function: a checker, or one that gives a Critique like an agent."""

    def __init__(self, critic: Callable[..., Any]) -> None:
        self._critic = critic
        self.name = getattr(critic, "name", "") or getattr(critic, "__name__", "")
        self.blocking = getattr(critic, "blocking", False)
        self.score: float | None = None

    async def __call__(self, ctx: RunContext[Any], value: Any) -> Any:
        verdict = await call(self._critic, ctx, value)
        if not isinstance(verdict, Critique):
            return verdict
        self.score = verdict.score
        return _problem(verdict)


def _problem(verdict: Critique) -> str | None:
    return None if verdict.ok else verdict.feedback or "not good enough"


def _as_critique(value: Any, critic: Node[Any, Any]) -> Critique:
    if isinstance(value, Critique):
        return value
    if value is None or (isinstance(value, str) and not isinstance(critic, Agent)):
        return Critique(value is None, value or "")  # a checker that was made a node
    raise ConfigError(
        f"the critic {critic.name} gave {type(value).__name__}, not a Critique",
        hint=f"Agent({critic.name!r}, …, output_type=Critique)",
    )
