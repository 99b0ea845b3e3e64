"""Who checks what in a flow: programs, models by their opinion, or models by their own confidence."""

from __future__ import annotations

import dataclasses
import datetime
import dis
import enum
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal, cast, get_args, get_origin

from outlay.advice.survey import agents_in, distinct
from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.agents.function import FunctionNode
from outlay.patterns.blackboard import Blackboard
from outlay.patterns.cascade import Cascade
from outlay.patterns.debate import Debate
from outlay.patterns.detached import Detached
from outlay.patterns.fanout import FanOut
from outlay.patterns.gate import Gate
from outlay.patterns.mesh import Mesh
from outlay.patterns.pipeline import Pipeline
from outlay.patterns.refine import Refine
from outlay.patterns.roundrobin import RoundRobin
from outlay.patterns.router import Router
from outlay.patterns.supervisor import Supervisor
from outlay.patterns.vote import Vote
from outlay.protocols.gate import TierGate
from outlay.protocols.node import Node
from outlay.values.hints import hints_of

#: Values in which nothing can be written out.
_CLOSED = (bool, int, float, Decimal, enum.Enum, types.NoneType, datetime.date, datetime.time, datetime.timedelta)
#: What models call how sure they are of themselves.
CONFIDENCE = "confidence"


def by_models(checks: Iterable[Any]) -> list[Agent[Any]]:
    """The agents among critics and checks, those inside of other nodes included; empty where a program checks too."""
    found: list[Agent[Any]] = []
    for check in checks:
        asks = isinstance(check, Node) and not isinstance(check, FunctionNode)
        inside = agents_in([cast("Node[Any, Any]", check)]) if asks else []
        if not inside:
            return []
        found += inside
    return found


def says_how_sure(gate: Any) -> bool:
    """A gate that goes by the confidence that a model has in itself. A calibrated one does not: it was measured."""
    if isinstance(gate, TierGate):
        return False
    if getattr(gate, "goes_by", "") == CONFIDENCE:
        return True
    code = getattr(gate, "__code__", None)
    if not isinstance(code, types.CodeType):
        return False
    return any(step.argval == CONFIDENCE for step in dis.get_instructions(code))


def unchecked(node: Node[Any, Any]) -> list[Agent[Any]]:
    """The agents whose words can be the node's output without a program having looked at them."""
    return list({id(agent): agent for agent in _unchecked(node)}.values())


def _unchecked(node: Node[Any, Any]) -> Iterator[Agent[Any]]:
    if isinstance(node, Agent):
        if not node.verify and not is_closed(node.output_type) and not _gated(node.model):
            yield node
    elif isinstance(node, Pipeline):
        yield from _unchecked_stages(node.stages)
    elif isinstance(node, Refine):
        if all(isinstance(critic, Node) for critic in node.critic):
            yield from _unchecked(node.generator)
        if node.fallback is not None:
            yield from _unchecked(node.fallback)
    elif isinstance(node, Cascade):
        if not _programs(node.gate):
            yield from _all(node.tiers)
    else:
        yield from _all(speakers(node))


def _unchecked_stages(stages: Sequence[Node[Any, Any]]) -> Iterator[Agent[Any]]:
    for stage in reversed(stages):
        if isinstance(stage, Detached):
            continue
        if not isinstance(stage, Gate):
            yield from _unchecked(stage)
            return
        if not all(isinstance(check, Node) for check in stage.check):
            return


def _all(nodes: Iterable[Node[Any, Any]]) -> Iterator[Agent[Any]]:
    for node in distinct(nodes):
        yield from _unchecked(node)


def speakers(node: Node[Any, Any]) -> Sequence[Node[Any, Any]]:
    """The members whose output is, or may be, the output of a pattern."""
    if isinstance(node, Pipeline):
        return [stage for stage in node.stages if not isinstance(stage, Gate | Detached)][-1:]
    if isinstance(node, Router):
        return (*node.routes.values(), node.default)
    if isinstance(node, Refine):
        return (node.generator,) if node.fallback is None else (node.generator, node.fallback)
    if isinstance(node, Cascade):
        return tuple(node.tiers)
    if isinstance(node, Supervisor):
        return (node.synthesizer,)
    if isinstance(node, Debate):
        return (node.judge,)
    if isinstance(node, Vote):
        return (node.worker,)
    if isinstance(node, FanOut):
        workers = node.worker if isinstance(node.worker, tuple) else (node.worker,)
        return workers if node.merge is None else (node.merge,)
    if isinstance(node, RoundRobin):
        return tuple(node.agents)
    if isinstance(node, Mesh):
        return tuple(node.members.values())
    if isinstance(node, Blackboard):
        return tuple(one.node for one in node.specialists)
    if isinstance(node, FunctionNode | Gate | Detached):
        return ()  # a program gives it, or it is the input
    return node.children  # a pattern of the user's own


def _programs(gates: Iterable[Any]) -> bool:
    """One of these gates is a program that looks at more than how sure the model is of itself."""
    return any(not says_how_sure(gate) and not (isinstance(gate, TierGate) and gate.asks) for gate in gates)


def _gated(model: Any) -> bool:
    return isinstance(model, ModelCascade) and _programs(model.gate)


def is_closed(kind: Any) -> bool:
    """Only closed values, no free text: what cannot carry prose needs no reader."""
    return _is_closed(kind, ())


def _is_closed(kind: Any, within: tuple[Any, ...]) -> bool:
    """`within` are the classes that it is a field of: one that holds itself is as closed as the rest of it."""
    origin, inside = get_origin(kind), get_args(kind)
    if kind in within or origin is Literal:
        return True
    if origin is typing.Annotated:
        return _is_closed(inside[0], within)
    if origin in (typing.Union, types.UnionType, list, tuple, set, frozenset):
        return all(_is_closed(part, within) for part in inside if part is not Ellipsis)
    if not isinstance(kind, type):
        return False
    if issubclass(kind, _CLOSED):
        return True
    fields = _fields(kind)
    return bool(fields) and all(_is_closed(field, (*within, cast("Any", kind))) for field in fields)


def _fields(kind: Any) -> list[Any]:
    """The types of the fields of a model, a dataclass or a typed dict; none where nobody can tell."""
    if not (hasattr(kind, "model_fields") or dataclasses.is_dataclass(kind) or typing.is_typeddict(kind)):
        return []
    hints = hints_of(kind, extras=False)
    named: Any = getattr(kind, "model_fields", None)
    names = named if named is not None else hints
    return [hint for name, hint in hints.items() if name in names]
