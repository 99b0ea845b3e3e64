"""Simulated models: they answer like stand-ins, and take the tokens, the seconds and the failures that are assumed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal, TypeAlias

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.errors import ConfigError, Overloaded
from outlay.forecast.agent_form import TOOL_CALL_TOKENS, cached_prefix
from outlay.forecast.answers import Answers, Said, answers_of, parts_in
from outlay.forecast.assumptions import TOOL_TOKENS, Belief, Beliefs, has_stand_in
from outlay.forecast.distributions import Distribution
from outlay.forecast.fits import Measured, place_of
from outlay.forecast.tally import GIVE_A_CAP
from outlay.models.naming import resolve
from outlay.models.prices import InTier
from outlay.models.scripted import prelude_length, text_length, tokens_in
from outlay.protocols.effects import ToolEffect
from outlay.protocols.logprobs import check_logprobs
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import Transport
from outlay.runtime.directory import Directory, default_prices
from outlay.runtime.pending import Pending
from outlay.runtime.preflight import walk
from outlay.values.estimate import CHARACTERS_PER_TOKEN
from outlay.values.logprobs import logprobs_block
from outlay.values.message import Message
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.settings import ModelSettings
from outlay.values.usage import Usage

Lane: TypeAlias = Literal["live", "batch"]
FAILED = "a failed attempt, as assumed"
#: A run with more calls than this has a loop that does not end.
MOST_CALLS = 2_000
#: The log-probability of an answer that a gate refuses.
_HOPELESS = -100.0


@dataclass(slots=True)
class Chance:
    """The chance of the run that is under way, and how many calls it has made."""

    random: Random = field(default_factory=Random)
    calls: int = 0
    #: A stream for each agent, so that what one of them does changes nobody else's draws; None: one for all.
    streams: dict[str, Random] | None = None
    #: Which of the run's calls gave each agent its last answer, and the id of the model that did.
    answered: dict[str, tuple[int, str]] = field(default_factory=dict[str, "tuple[int, str]"])
    #: What a checker said of an agent's answer, by the number of the call.
    said: dict[tuple[str, Any, int], str | None] = field(default_factory=dict[tuple[str, Any, int], "str | None"])
    _seed: int = 0

    def begin(self, seed: int) -> None:
        self.random.seed(seed)
        self.calls = 0
        self._seed = seed
        self.answered.clear()
        self.said.clear()
        if self.streams is not None:
            self.streams.clear()

    def of(self, name: str) -> Random:
        """The chance of an agent, or of whatever else has a name."""
        if self.streams is None:
            return self.random
        found = self.streams.get(name)
        if found is None:
            found = self.streams[name] = Random(f"{self._seed}:{name}")  # noqa: S311 - no secret
        return found


class SimulatedModel:
    """Stands for one agent's model: same id and price. `exact` reserves by the real model's bound, else by the
    estimate that is billed, which is quicker and all the same where no budget binds."""

    def __init__(
        self,
        agent: Agent[Any],
        real: Model,
        answers: Answers,
        belief: Belief,
        chance: Chance,
        *,
        exact: bool,
        lane: tuple[str, Distribution] | None = None,
    ) -> None:
        self._agent, self._real, self._answers, self._belief = agent, real, answers, belief
        self._name = agent.name
        #: Asked for several times in each call.
        self.id, self.name = real.id, real.name
        self._chance = chance
        self._exact = exact
        #: Another price tier than the usual one, and how long a call takes there.
        self._tier, self._lane_seconds = lane or ("", None)
        self._prefix = cached_prefix(agent, real)
        self._most = agent.max_output_tokens
        self._estimated: tuple[ModelRequest | None, int] = (None, 0)
        self._prelude: tuple[Prelude | None, int] = (None, 0)
        self._places: dict[str, str] = {}

    @property
    def provider(self) -> str:
        return "simulated"

    @property
    def dialect(self) -> str:
        return "simulated"

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """Nothing: no key is needed to foresee."""

    def check_logprobs(self, settings: ModelSettings) -> None:
        check_logprobs(self._real, settings)

    def price(self, book: PriceBook) -> Price | None:
        return self._real.price(InTier(book, self._tier) if self._tier else book)

    def bound(self, request: ModelRequest) -> int:
        estimated = self._estimate(request)
        return max(self._real.bound(request), estimated) if self._exact else estimated

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        return self._estimate(request) if self._exact else None

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if not self.knows(request):
            await self._answers.learn(request, transport)
        seconds, response = self.attempt(request)
        left = began + seconds - loop.time()
        if left > 0:
            await asyncio.sleep(left)
        if response is None:
            raise Overloaded(FAILED)
        return response

    def knows(self, request: ModelRequest) -> bool:
        """Can it answer at once, or is a stand-in to be asked first?"""
        return self._answers.knows(request)

    def attempt(self, request: ModelRequest) -> tuple[float, ModelResponse | None]:
        """How many seconds one attempt takes, and what comes of it; None where it fails. Raises ConfigError."""
        chance, belief = self._chance, self._belief
        chance.calls += 1
        if chance.calls > MOST_CALLS:
            raise ConfigError(
                f"one simulated run has made {MOST_CALLS:,} calls: a loop around {request.path} has no end",
                path=request.path,
                hint=GIVE_A_CAP,
            )
        random = chance.of(self._name)
        if belief.failure and random.random() < belief.failure:
            return self._lost(random), None
        drawn = round(min(belief.output_tokens.draw(random), self._most))
        said = self._answers.to(request, random, max(1, drawn))
        estimated = self._estimate(request)
        call = None if belief.fit is None else belief.fit.like(self._place(request.path), said.kind, estimated, random)
        if call is not None:
            tokens, seconds = call.output_tokens, call.seconds
        else:
            tokens, seconds = self._took(said, drawn, random)
        if self._lane_seconds is not None:
            seconds = self._lane_seconds.draw(random)
        stop = said.stop
        if tokens > request.max_output_tokens:
            tokens = request.max_output_tokens
            stop = "length" if request.clipped else stop
        chance.answered[self._name] = (chance.calls, self.id)
        usage = self._usage(call, estimated, tokens, random)
        message = said.message
        if request.logprobs:  # a gate goes by them, and says no as often as is believed of this model
            value = _HOPELESS if random.random() < belief.refused else 0.0
            block = logprobs_block(self.dialect, [(len(message.text.encode(errors="surrogatepass")), value)])
            message = Message("assistant", (*message.parts, block), message.label)
        return seconds, ModelResponse(message, stop, usage, model=self.name)

    def _lost(self, random: Random) -> float:
        """Seconds of an attempt that fails: as measured, or those of a call that writes nothing."""
        fit = self._belief.fit
        if fit is not None and fit.failed:
            return fit.failed[int(random.random() * len(fit.failed))]
        return self._belief.seconds_of(0).draw(random)

    def _took(self, said: Said, drawn: int, random: Random) -> tuple[int, float]:
        """Tokens and seconds of this answer, each of its distribution."""
        belief = self._belief
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

    def _usage(self, call: Measured | None, estimated: int, output_tokens: int, random: Random) -> Usage:
        """Tokens by bucket: in the proportions of the measured call, or of all that were fitted."""
        fit = self._belief.fit
        if call is not None and call.estimated:
            scale = estimated / call.estimated
            read, written = round(call.cache_read * scale), round(call.cache_write * scale)
            return Usage(max(round(call.input_tokens * scale) - read - written, 0), read, written, output_tokens)
        if fit is not None and fit.input_factor is not None:
            tokens = round(estimated * fit.input_factor)
            read, written = round(tokens * fit.cache_read), round(tokens * fit.cache_write)
            return Usage(max(tokens - read - written, 0), read, written, output_tokens)
        prefix = min(self._prefix, estimated)
        if not prefix:
            return Usage(estimated, 0, 0, output_tokens)
        if random.random() < self._belief.warm:
            return Usage(estimated - prefix, prefix, 0, output_tokens)
        hour = prefix if self._agent.cache == "1h" else 0
        return Usage(estimated - prefix, 0, prefix, output_tokens, cache_write_1h_tokens=hour)

    def _estimate(self, request: ModelRequest) -> int:
        known, estimated = self._estimated
        if known is not request and (known is None or known.transcript is not request.transcript):
            fit = self._belief.fit
            if fit is not None and fit.of_bound:
                estimated = self._real.bound(request)
            else:
                if self._prelude[0] is not request.prelude:
                    self._prelude = (request.prelude, prelude_length(request.prelude))
                estimated = tokens_in(self._prelude[1] + request.transcript.total("text", text_length))
            self._estimated = (request, estimated)
        return estimated


class SimulatedModels(Directory):
    """Every agent's model, simulated. `root` is the flow; agents that are made while it runs are met as they come."""

    def __init__(
        self, root: Node[Any, Any], beliefs: Beliefs, chance: Chance, *, exact: bool = False, lane: Lane = "live"
    ) -> None:
        super().__init__(None, default_prices())
        self._agents = {node.name: node for node in reversed([*walk(root)]) if isinstance(node, Agent)}
        self._beliefs, self._chance, self._exact = beliefs, chance, exact
        self._parts = parts_in(root)
        self._tier = "" if lane == "live" else lane

    def _find(self, agent: str, choice: str | Model, offline: Any, spare: bool) -> Model:
        real = resolve(choice) if isinstance(choice, str) else choice
        known = self._agents.get(agent)
        if known is None:
            known = self._agents[agent] = Agent(agent, choice, offline=offline)
        summarises = known.compaction is not None and offline is known.compaction.offline
        speaker = known.replace(offline=offline) if summarises else known
        answers = answers_of(speaker, real, self._beliefs, self._parts)
        belief = self._beliefs.of(known, real.id)
        lane = (self._tier, self._beliefs.batch_seconds()) if self._tier else None
        return SimulatedModel(known, real, answers, belief, self._chance, exact=self._exact, lane=lane)


class SimulatedWorld:
    """What takes the place of tools and checkers (protocols/stages.py).

    A tool with side effects, or one that asks for approval, never runs. Other tools run where the agent's calls of them
    are its stand-in's, and each distinct call once; a generic agent calls them with made-up arguments, and gets text of
    the assumed length. Each takes the assumed seconds. Checkers run on stand-ins' answers, unless it is declared how
    many are refused; of generic ones the assumed share passes. A checker that stands in a cascade's gate too says the
    same twice of one answer.
    """

    def __init__(self, root: Node[Any, Any], beliefs: Beliefs, chance: Chance) -> None:
        self._beliefs, self._chance = beliefs, chance
        self._agents = {node for node in walk(root) if isinstance(node, Agent)}
        self._all_real = all(has_stand_in(agent) for agent in self._agents)
        self._known: dict[tuple[str, str], Any] = {}

    def tool(self, node: Node[Any, Any], effect: ToolEffect) -> ToolEffect:
        if not effect.leaf:
            return effect  # a node as a tool: it is part of the flow
        seconds = self._beliefs.of(node).tool_seconds.draw(self._chance.of(node.name)) if isinstance(node, Agent) else 0
        generic = isinstance(node, Agent) and not has_stand_in(node)
        if generic or effect.side_effect or effect.requires_approval:
            tokens = self._beliefs.of(node).tool_tokens if isinstance(node, Agent) else TOOL_TOKENS
            text = "." * round(tokens * CHARACTERS_PER_TOKEN)

            async def filler(_: Any) -> Any:
                await asyncio.sleep(seconds)
                return text

            return replace(effect, invoke=filler, requires_approval=False, encode=None, decode=None, in_thread=False)
        return replace(effect, invoke=self._once(effect, seconds))

    def _once(self, effect: ToolEffect, seconds: float) -> Callable[[Any], Any]:
        key = (effect.tool, repr(sorted(effect.arguments.items())))

        async def invoke(context: Any) -> Any:
            await asyncio.sleep(seconds)
            if key not in self._known:
                self._known[key] = await effect.invoke(context)
            return self._known[key]

        return invoke

    def checks(self, node: Node[Any, Any]) -> bool:
        if isinstance(node, Agent):
            return has_stand_in(node) and not self._beliefs.says_what_is_refused(node)
        return self._all_real

    def problem(self, node: Node[Any, Any], checker: Callable[..., Any]) -> str | None:
        if not isinstance(node, Agent):
            return self._drawn(node, 1 - self._beliefs.accept(node.name, opinion=False))
        if not isinstance(node.model, ModelCascade):
            return self._refused(node, "", len(node.verify))
        call, model = self._chance.answered.get(node.name, (0, ""))
        said = self._chance.said
        key = (node.name, checker, call)
        if key not in said:
            gates = node.model.gate
            said[key] = self._refused(node, model, len(gates) if checker in gates else len(node.verify))
        return said[key]

    def _refused(self, agent: Agent[Any], model: str, checkers: int) -> str | None:
        """Of so many checkers, which together refuse the assumed share."""
        refused = self._beliefs.of(agent, model).refused
        return self._drawn(agent, 1 - (1 - refused) ** (1 / max(1, checkers)))

    def _drawn(self, node: Node[Any, Any], share: float) -> str | None:
        return "refused, as assumed" if self._chance.of(node.name).random() < share else None


def assumed_human(item: Pending) -> str:
    """What a person answers in a simulated run: the default, or the first that is offered."""
    return item.default or (item.options[0] if item.options else "yes")


__all__ = ["MOST_CALLS", "Chance", "SimulatedModel", "SimulatedModels", "SimulatedWorld", "assumed_human"]
