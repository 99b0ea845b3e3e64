"""What simulated models say: the agents' stand-ins where there are any, else a valid value of the output type.

A stand-in is asked once for each distinct conversation and its answer kept: stand-ins are programs, and ten thousand
runs of one flow ask them the same few things. One that draws at random is therefore asked once too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, cast, get_origin

from outlay.agents.agent import Agent
from outlay.agents.content import as_text
from outlay.forecast.agent_form import TOOL_CALL_TOKENS
from outlay.forecast.assumptions import Belief, Beliefs, has_stand_in
from outlay.forecast.distributions import weighted
from outlay.forecast.fits import Kind
from outlay.forecast.routing import sent
from outlay.models.scripted import Offline
from outlay.patterns import Router, Supervisor, Vote
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.protocols.transport import Transport
from outlay.runtime.preflight import walk
from outlay.sim.schema import satisfy
from outlay.values.content import Text, ToolCall
from outlay.values.critique import Critique
from outlay.values.debate import Judgement
from outlay.values.estimate import CHARACTERS_PER_TOKEN
from outlay.values.message import Message
from outlay.values.plan import Plan, Subtask
from outlay.values.request import ModelRequest, StopKind

#: So many different conversations are remembered for each stand-in.
_REMEMBERED = 4096
_VARIANTS = 4
#: How the runtime begins when it feeds a refused answer back (agents/agent.py).
_CORRECTION = "Your answer cannot be used:"
_FILLER = "simulated "


@dataclass(frozen=True, slots=True)
class Said:
    """An answer before its price and its time. `tokens`: its own length, None where one is to be drawn."""

    message: Message
    stop: StopKind
    kind: Kind
    tokens: int | None = None


class Answers(Protocol):
    def knows(self, request: ModelRequest) -> bool:
        """Is the answer there without asking anybody?"""
        ...

    async def learn(self, request: ModelRequest, transport: Transport) -> None:
        """Ask, and remember."""
        ...

    def to(self, request: ModelRequest, random: Random, length: int) -> Said:
        """An answer that is known, of about `length` tokens where that is free."""
        ...


class StandIn:
    """The agent's own stand-in, remembered."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[tuple[bytes, bytes, int], Said] = {}

    def knows(self, request: ModelRequest) -> bool:
        return _asked(request) in self._known

    async def learn(self, request: ModelRequest, transport: Transport) -> None:
        response = await self._model.send(request, transport)
        tokens = None if response.usage is None else response.usage.output_tokens
        kind: Kind = "tool" if response.message.tool_calls else "answer"
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[_asked(request)] = Said(response.message, response.stop, kind, tokens)

    def to(self, request: ModelRequest, random: Random, length: int) -> Said:
        return self._known[_asked(request)]


def _asked(request: ModelRequest) -> tuple[bytes, bytes, int]:
    return request.transcript.head, request.prelude.digest, request.max_output_tokens


class Generic:
    """Valid values of the output type, and text of the drawn length; tools are called with valid arguments."""

    def __init__(self, agent: Agent[Any], belief: Belief, values: Values) -> None:
        self._turns, self._values = belief.turns, values
        self._text = agent.codec.spec is None and not values.fixed
        self._arguments: dict[str, str] = {}
        self._has_tools = bool(agent.tools)

    def knows(self, request: ModelRequest) -> bool:
        return True

    async def learn(self, request: ModelRequest, transport: Transport) -> None:
        """There is nobody to ask."""

    def to(self, request: ModelRequest, random: Random, length: int) -> Said:
        if self._has_tools and request.tools:
            before = _tool_turns(request)
            if before is not None and random.random() < self._turns - 1 - before:
                return self._call(request, before)
        if self._text:
            size = length * CHARACTERS_PER_TOKEN
            # no two alike: where all repeat what they said, debates and round robins end
            text = f"{random.getrandbits(32):08x} {_FILLER * (size // len(_FILLER) + 1)}"[:size]
        else:
            text = self._values.draw(random)
        return Said(Message("assistant", (Text(text or "."),)), "end", "answer")

    def _call(self, request: ModelRequest, before: int) -> Said:
        tool = request.tools[before % len(request.tools)]
        arguments = self._arguments.get(tool.name)
        if arguments is None:
            made = json.dumps(satisfy(json.loads(tool.schema), Random(0)))  # noqa: S311 - no secret
            # blanks, so that later turns read as much as this one is billed for
            arguments = made.ljust(TOOL_CALL_TOKENS * CHARACTERS_PER_TOKEN - len(tool.name))
            self._arguments[tool.name] = arguments
        turn = request.transcript.head.hex()[:12]
        return Said(Message("assistant", (ToolCall(f"call_{turn}_0", tool.name, arguments),)), "tool", "tool")


class Values:
    """The answers that an agent may give, with the share of each."""

    def __init__(self, texts: list[str], shares: list[float] | None = None, *, fixed: bool = False) -> None:
        self._texts = texts
        self._shares = shares or [1.0] * len(texts)
        #: Also where the output is plain text, it is one of these.
        self.fixed = fixed

    def draw(self, random: Random) -> str:
        if len(self._texts) == 1:
            return self._texts[0]
        return self._texts[weighted(self._shares, random.random())]


def values_of(agent: Agent[Any], beliefs: Beliefs, parts: Mapping[str, Node[Any, Any]]) -> Values:
    """What an agent says in the part that it plays: a router's classifier, a voter, a planner, a critic, or none."""
    part = parts.get(agent.name)
    if isinstance(part, Router):
        shares = sent(part, beliefs)
        return Values([_labelled(agent, label) for label in shares], list(shares.values()), fixed=True)
    if isinstance(part, Supervisor):
        n = min(beliefs.number("subtasks", part.name), part.max_subtasks)
        return Values([as_text(_plan(part, n))])
    if isinstance(part, Vote):
        agreement = beliefs.agreement(agent.name)
        belief = beliefs.of(agent)
        length = max(4, round(belief.output_tokens.mean(agent.max_output_tokens))) * CHARACTERS_PER_TOKEN
        usual, other = _sample(agent, 0), _sample(agent, 1)
        if agent.codec.spec is None:
            usual, other = (f"{word:<{length}}" for word in ("the usual answer.", "another answer."))
        return Values([usual, other], [agreement, 1 - agreement], fixed=True)
    flag = _flag(agent)
    if flag:
        accept = beliefs.accept(agent.name, opinion=True)
        texts = [_with(_sample(agent, 0), {flag: content}) for content in (True, False)]
        return Values(texts, [accept, 1 - accept])
    if agent.codec.spec is None:
        return Values([""])
    return Values([_sample(agent, i) for i in range(_VARIANTS)])


def parts_in(root: Node[Any, Any]) -> dict[str, Node[Any, Any]]:
    """Which agent plays which part, by the agent's name."""
    parts: dict[str, Node[Any, Any]] = {}
    for node in walk(root):
        if isinstance(node, Router):
            parts[node.classifier.name] = node
        elif isinstance(node, Supervisor):
            parts[node.planner.name] = node
        elif isinstance(node, Vote):
            parts.setdefault(node.worker.name, node)
    return parts


def answers_of(agent: Agent[Any], model: Model, beliefs: Beliefs, parts: Mapping[str, Node[Any, Any]]) -> Answers:
    """How the agent answers in the simulation."""
    if agent.offline is not None:
        return StandIn(Offline(agent.offline, model))
    if has_stand_in(agent):
        return StandIn(model)
    return Generic(agent, beliefs.of(agent), values_of(agent, beliefs, parts))


def _tool_turns(request: ModelRequest) -> int | None:
    """Calls of tools since the last thing that a user said; None where that corrects an answer."""
    turns = 0
    for link in request.transcript.links():
        message = link.message
        if message is None or message.role == "user":
            corrected = message is not None and message.text.startswith(_CORRECTION)
            return None if corrected else turns
        turns += message.role == "tool"
    return turns


def _sample(agent: Agent[Any], seed: int) -> str:
    """A value of the output type as a model would say it."""
    spec = agent.codec.spec
    return "" if spec is None else json.dumps(satisfy(json.loads(spec.schema), Random(seed)))  # noqa: S311 - no secret


def _with(text: str, changes: Mapping[str, Any]) -> str:
    value: Any = json.loads(text)
    return json.dumps({**value, **changes})


def _labelled(agent: Agent[Any], label: str) -> str:
    """The classifier's answer that means this label, surely."""
    spec = agent.codec.spec
    if spec is None:
        return label
    value = cast("dict[str, Any]", json.loads(_sample(agent, 0)))
    if spec.wrapped:
        return json.dumps({"value": label})
    return json.dumps({**value, "label": label, **({"confidence": 1.0} if "confidence" in value else {})})


def _plan(part: Supervisor[Any, Any], n: int) -> Plan:
    names = [part.workers[i % len(part.workers)].name for i in range(n)]
    return Plan([Subtask(f"t{i}", name, "a piece of the work, as simulated"[:32]) for i, name in enumerate(names)])


def _flag(agent: Agent[Any]) -> str:
    """The field in which a critic or a judge says that it is content."""
    kind: Any = agent.output_type
    kind = get_origin(kind) or kind
    if isinstance(kind, type):
        return "ok" if issubclass(kind, Critique) else "done" if issubclass(kind, Judgement) else ""
    return ""
