"""What passes between the steps of a flow, as far as both ends say so."""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Union, cast

from outlay.advice.checking import speakers
from outlay.advice.survey import distinct
from outlay.agents.agent import Agent
from outlay.agents.function import FunctionNode
from outlay.patterns.blackboard import Blackboard
from outlay.patterns.cascade import Cascade
from outlay.patterns.debate import Debate
from outlay.patterns.detached import Detached
from outlay.patterns.fanout import FanOut
from outlay.patterns.gate import Gate
from outlay.patterns.pipeline import Pipeline
from outlay.patterns.refine import Refine
from outlay.patterns.roundrobin import RoundRobin
from outlay.patterns.router import Router
from outlay.patterns.supervisor import Supervisor
from outlay.patterns.vote import Vote
from outlay.protocols.node import Node
from outlay.values.critique import Revision
from outlay.values.debate import Hearing, Rebuttal
from outlay.values.hints import hints_of
from outlay.values.plan import Synthesis, Task
from outlay.values.turn import Conversation


@dataclass(frozen=True, slots=True)
class Passage:
    """`giver` (a step's name, or the pattern's) hands a value of type `given` to `taker`. None: nobody says."""

    giver: str
    given: Any
    taker: Node[Any, Any]
    #: The agent whose words it is, where it is one's alone.
    author: Agent[Any] | None = None


def passages(node: Node[Any, Any]) -> Iterator[Passage]:
    """What a pattern hands to its members beside its own input."""
    if isinstance(node, Pipeline):
        stages = [stage for stage in node.stages if not isinstance(stage, Gate | Detached)]
        for before, after in pairwise(stages):
            yield Passage(before.name, gives(before), after, before if isinstance(before, Agent) else None)
    elif isinstance(node, FanOut) and node.merge is not None:
        many = isinstance(node.worker, tuple)
        given = dict if many or isinstance(node.merge, Agent) else _list_of(gives(cast("Node[Any, Any]", node.worker)))
        if not many and isinstance(node.merge, Agent):
            given = list  # long results are shown by their beginning
        yield Passage(node.name, given, node.merge)
    elif isinstance(node, Refine):
        if not isinstance(node.generator, Agent) and node.max_rounds > 1:
            yield Passage(f"{node.name}, from the second round on,", Revision, node.generator)
        if node.fallback is not None:
            yield Passage(node.name, Revision, node.fallback)
    elif isinstance(node, Debate):
        yield Passage(node.name, Hearing, node.judge)
        if node.max_rounds:
            for debater in node.debaters:
                if not isinstance(debater, Agent):
                    yield Passage(f"{node.name}, after the first answers,", Rebuttal, debater)
    elif isinstance(node, Supervisor):
        yield from (Passage(node.name, Task, worker) for worker in node.workers)
        yield Passage(node.name, Synthesis, node.synthesizer)
    elif isinstance(node, RoundRobin):
        yield from (Passage(node.name, Conversation, member) for member in node.agents)
    elif isinstance(node, Blackboard):
        yield from (Passage(node.name, dict, one.node) for one in node.specialists)


def free_texts(node: Node[Any, Any]) -> Iterator[tuple[Agent[Any], Agent[Any]]]:
    """The pairs of members of a pattern in which the second reads what the first wrote freely. Talk is left out: who
    debates or speaks in turn is meant to.
    """
    pairs: list[tuple[Node[Any, Any], Node[Any, Any]]] = []
    if isinstance(node, Pipeline):
        pairs += pairwise([stage for stage in node.stages if not isinstance(stage, Gate | Detached)])
    elif isinstance(node, FanOut) and node.merge is not None:
        workers = node.worker if isinstance(node.worker, tuple) else (node.worker,)
        pairs += [(worker, node.merge) for worker in workers]
    elif isinstance(node, Supervisor):
        pairs += [(worker, node.synthesizer) for worker in node.workers]
    for before, after in pairs:
        for writer in voices(before):
            if isinstance(after, Agent) and writer.output_type is str:
                yield writer, after


def voices(node: Node[Any, Any]) -> Iterator[Agent[Any]]:
    """The agents whose words are, or may be, a node's output."""
    if isinstance(node, Agent):
        yield node
        return
    for one in distinct(speakers(node)):
        yield from voices(one)


def gives(node: Node[Any, Any]) -> Any:
    """The type of a node's output; None where nobody says."""
    if isinstance(node, Agent):
        ends = any(tool.ends_turn for tool in node.toolbox.values())
        return None if ends else cast("Any", node.output_type)
    if isinstance(node, FunctionNode):
        return _returned(node)
    if isinstance(node, Pipeline):
        stages = [stage for stage in node.stages if not isinstance(stage, Gate | Detached)]
        return gives(stages[-1]) if stages else None
    if isinstance(node, Router):
        return _any_of([gives(route) for route in distinct(speakers(node))])
    if isinstance(node, FanOut):
        if node.merge is not None:
            return gives(node.merge)
        return dict if isinstance(node.worker, tuple) else _list_of(gives(node.worker))
    if isinstance(node, Vote):
        return gives(node.worker)
    if isinstance(node, Refine):
        return (
            gives(node.generator) if node.fallback is None else _any_of([gives(node.generator), gives(node.fallback)])
        )
    if isinstance(node, Supervisor):
        return gives(node.synthesizer)
    if isinstance(node, Cascade):
        return _any_of([gives(tier) for tier in node.tiers])
    if isinstance(node, RoundRobin):
        return list
    return None


def _returned(node: FunctionNode[Any, Any]) -> Any:
    found = hints_of(node.function).get("return")
    origin = typing.get_origin(found) or found
    if found in (Any, object) or (isinstance(origin, type) and issubclass(origin, Awaitable)):
        return None
    return found


def _any_of(kinds: list[Any]) -> Any:
    """A union; None where one of them is not known."""
    if any(kind is None for kind in kinds):
        return None
    return Union[tuple(kinds)]  # noqa: UP007 - its parts are known at run time only


def _list_of(kind: Any) -> Any:
    return list if kind is None else list[kind]
