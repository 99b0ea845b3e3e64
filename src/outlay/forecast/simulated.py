"""Simulated models: they answer like stand-ins, and take the tokens, the seconds and the failures that are assumed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from outlay.agents.agent import Agent
from outlay.errors import ConfigError, Overloaded
from outlay.forecast.agent_form import CHARACTERS_PER_TOKEN, TOOL_CALL_TOKENS
from outlay.forecast.answers import Answers, Said, answers_of, parts_in
from outlay.forecast.assumptions import TOOL_TOKENS, Belief, Beliefs, has_stand_in, place_of
from outlay.models.naming import resolve
from outlay.models.scripted import estimate_input
from outlay.protocols.effects import ToolEffect
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import Transport
from outlay.runtime.directory import Directory, default_prices
from outlay.runtime.pending import Pending
from outlay.runtime.preflight import walk
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.settings import ModelSettings
from outlay.values.usage import Usage

#: A run with more calls than this has a loop that does not end.
MOST_CALLS = 2_000


@dataclass(slots=True)
class Chance:
    """The chance of the run that is under way, and how many calls it has made."""

    random: Random = field(default_factory=Random)
    calls: int = 0

    def begin(self, seed: int) -> None:
        self.random.seed(seed)
        self.calls = 0


class SimulatedModel:
    """Stands for one agent's model: same id and price. `exact` reserves by the real model's bound, else by the
    estimate that is billed, which is quicker and all the same where no budget binds."""

    def __init__(
        self, agent: Agent[Any], real: Model, answers: Answers, belief: Belief, chance: Chance, *, exact: bool
    ) -> None:
        self._agent, self._real, self._answers, self._belief = agent, real, answers, belief
        self._chance = chance
        self._exact = exact
        self._most = agent.max_output_tokens
        self._estimated: tuple[ModelRequest | None, int] = (None, 0)
        self._places: dict[str, str] = {}

    @property
    def id(self) -> str:
        return self._real.id

    @property
    def name(self) -> str:
        return self._real.name

    @property
    def provider(self) -> str:
        return "simulated"

    @property
    def dialect(self) -> str:
        return "simulated"

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """Nothing: no key is needed to foresee."""

    def price(self, book: PriceBook) -> Price | None:
        return self._real.price(book)

    def bound(self, request: ModelRequest) -> int:
        estimated = self._estimate(request)
        return max(self._real.bound(request), estimated) if self._exact else estimated

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        return self._estimate(request) if self._exact else None

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        chance, belief = self._chance, self._belief
        chance.calls += 1
        if chance.calls > MOST_CALLS:
            raise ConfigError(
                f"one simulated run has made {MOST_CALLS:,} calls: a loop around {request.path} has no end",
                path=request.path,
                hint="give the loop a cap; a number for a run without end would be made up",
            )
        random = chance.random
        began = asyncio.get_running_loop().time()
        if belief.failure and random.random() < belief.failure:
            await asyncio.sleep(belief.seconds_of(0).draw(random))
            raise Overloaded("a failed attempt, as assumed")
        drawn = round(min(belief.output_tokens.draw(random), self._most))
        said = await self._answers.to(request, transport, random, max(1, drawn))
        tokens, seconds = self._took(request, said, drawn, random)
        stop = said.stop
        if tokens > request.max_output_tokens:
            tokens = request.max_output_tokens
            stop = "length" if request.clipped else stop
        left = began + seconds - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)
        return ModelResponse(said.message, stop, self._usage(self._estimate(request), tokens), model=self.name)

    def _took(self, request: ModelRequest, said: Said, drawn: int, random: Random) -> tuple[int, float]:
        """Tokens and seconds of this answer: both of one measured call, or each of its distribution."""
        belief = self._belief
        fit = belief.fit
        if fit is not None:
            read = self._estimate(request) * (fit.input_factor or 1.0)
            call = fit.like(self._place(request.path), said.kind, read, random)
            if call is not None:
                return call.output_tokens, call.seconds
        tokens = max(1, drawn)
        if said.kind == "tool" and said.tokens is None:
            tokens = min(TOOL_CALL_TOKENS, self._most)
        elif belief.length_is_default and said.tokens is not None:
            tokens = said.tokens
        return tokens, belief.seconds_of(tokens).draw(random)

    def _place(self, path: str) -> str:
        place = self._places.get(path)
        if place is None:
            place = self._places[path] = place_of(path)
        return place

    def _usage(self, estimated: int, output_tokens: int) -> Usage:
        fit = self._belief.fit
        if fit is None:
            return Usage(estimated, 0, 0, output_tokens)
        tokens = round(estimated * (fit.input_factor or 1.0))
        read, written = round(tokens * fit.cache_read), round(tokens * fit.cache_write)
        return Usage(max(tokens - read - written, 0), read, written, output_tokens)

    def _estimate(self, request: ModelRequest) -> int:
        known, estimated = self._estimated
        if known is not request and (known is None or known.transcript is not request.transcript):
            fit = self._belief.fit
            estimated = self._real.bound(request) if fit is not None and fit.of_bound else estimate_input(request)
            self._estimated = (request, estimated)
        return estimated


class SimulatedModels(Directory):
    """Every agent's model, simulated. `root` is the flow; agents that are made while it runs are met as they come."""

    def __init__(self, root: Node[Any, Any], beliefs: Beliefs, chance: Chance, *, exact: bool = False) -> None:
        super().__init__(None, default_prices())
        self._agents = {node.name: node for node in reversed([*walk(root)]) if isinstance(node, Agent)}
        self._beliefs, self._chance, self._exact = beliefs, chance, exact
        self._parts = parts_in(root)

    def _find(self, agent: str, choice: str | Model, offline: Any, spare: bool) -> Model:
        real = resolve(choice) if isinstance(choice, str) else choice
        known = self._agents.get(agent)
        if known is None:
            known = self._agents[agent] = Agent(agent, choice, offline=offline)
        summarises = known.compaction is not None and offline is known.compaction.offline
        speaker = known.replace(offline=offline) if summarises else known
        answers = answers_of(speaker, real, self._beliefs, self._parts)
        return SimulatedModel(known, real, answers, self._beliefs.of(known), self._chance, exact=self._exact)


class SimulatedWorld:
    """What takes the place of tools and checkers (protocols/stages.py).

    A tool with side effects, or one that asks for approval, never runs. Other tools run where the agent's calls of them
    are its stand-in's, and each distinct call once; a generic agent calls them with made-up arguments, and gets text of
    the assumed length. Checkers run on stand-ins' answers; of generic ones the assumed share passes.
    """

    def __init__(self, root: Node[Any, Any], beliefs: Beliefs, chance: Chance) -> None:
        self._beliefs, self._chance = beliefs, chance
        self._agents = {node for node in walk(root) if isinstance(node, Agent)}
        self._all_real = all(has_stand_in(agent) for agent in self._agents)
        self._known: dict[tuple[str, str], Any] = {}

    def tool(self, node: Node[Any, Any], effect: ToolEffect) -> ToolEffect:
        if not effect.leaf:
            return effect  # a node as a tool: it is part of the flow
        generic = isinstance(node, Agent) and not has_stand_in(node)
        if generic or effect.side_effect or effect.requires_approval:
            tokens = self._beliefs.of(node).tool_tokens if isinstance(node, Agent) else TOOL_TOKENS
            text = "." * round(tokens * CHARACTERS_PER_TOKEN)

            async def filler(_: Any) -> Any:
                return text

            return replace(effect, invoke=filler, requires_approval=False, encode=None, decode=None, in_thread=False)
        return replace(effect, invoke=self._once(effect))

    def _once(self, effect: ToolEffect) -> Callable[[Any], Any]:
        key = (effect.tool, repr(sorted(effect.arguments.items())))

        async def invoke(context: Any) -> Any:
            if key not in self._known:
                self._known[key] = await effect.invoke(context)
            return self._known[key]

        return invoke

    def checks(self, node: Node[Any, Any]) -> bool:
        return has_stand_in(node) if isinstance(node, Agent) else self._all_real

    def problem(self, node: Node[Any, Any]) -> str | None:
        if isinstance(node, Agent):
            each = 1 - (1 - self._beliefs.of(node).refused) ** (1 / max(1, len(node.verify)))
        else:
            each = 1 - self._beliefs.accept(node.name, opinion=False)
        return "refused, as assumed" if self._chance.random.random() < each else None


def assumed_human(item: Pending) -> str:
    """What a person answers in a simulated run: the default, or the first that is offered."""
    return item.default or (item.options[0] if item.options else "yes")


__all__ = ["MOST_CALLS", "Chance", "SimulatedModel", "SimulatedModels", "SimulatedWorld", "assumed_human"]
