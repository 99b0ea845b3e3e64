"""A model as judge: an opinion, at a cost of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from outlay.agents.agent import Agent
from outlay.errors import ConfigError
from outlay.evals.measured import Opinion
from outlay.models.family import family_of
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk
from outlay.runtime.result import Result
from outlay.values.critique import Critique


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge gets to see. Neither which flow it is of, nor what it cost."""

    input: Any
    expected: Any
    output: Any


def check_judge(judge: object) -> Agent[Critique]:
    """Raises ConfigError for what is no agent that gives a Critique."""
    if isinstance(judge, Agent) and cast("Agent[Any]", judge).output_type is Critique:
        return cast("Agent[Critique]", judge)
    name = judge.name if isinstance(judge, Node) else repr(judge)
    raise ConfigError(
        f"the judge {name} is no agent that gives a Critique",
        hint="from outlay.patterns import Critique; Agent('judge', MODEL, instructions='…', output_type=Critique)",
    )


def opinion_of(result: Result[Critique]) -> Opinion:
    """A judge that failed has no opinion; what it cost stands all the same."""
    cost = result.bill.total
    if result.output is None:
        said = type(result.error).__name__ if result.error is not None else result.stop_reason
        return Opinion(None, None, f"the judge gave none: {said}", cost)
    return Opinion(result.output.ok, result.output.score, result.output.feedback[:500], cost)


def models_of(flow: Node[Any, Any]) -> list[str]:
    """The models that a flow's agents name, each once."""
    agents = [node for node in walk(flow) if isinstance(node, Agent)]
    names = [m if isinstance(m, str) else m.id for agent in agents for m in (*agent.models, *agent.fallback)]
    return list(dict.fromkeys(names))


def kinship(judge: Node[Any, Any], judged: Iterable[Node[Any, Any]]) -> str:
    """The family that judge and judged have in common; empty where they have none, or it cannot be told."""
    own = {family_of(model) for model in models_of(judge)} - {None}
    theirs = {family_of(model) for flow in judged for model in models_of(flow)} - {None}
    return ", ".join(sorted(str(family) for family in own & theirs))
