"""A cascade of models inside an agent: each turn goes to the cheapest one first, and on to the next where its answer
does not pass the gate (Chen, Zaharia and Zou 2023, "FrugalGPT").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

from outlay.agents.gating import as_gates, goes_by_logprobs, refusal
from outlay.agents.previews import about_tokens
from outlay.errors import ConfigError, ContextTooLong, ModelError, Stopped
from outlay.policies.climbing import Climbing
from outlay.protocols.context import RunContext
from outlay.protocols.gate import TierGate
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.values.logprobs import logprobs_of
from outlay.values.money import ZERO
from outlay.values.request import ModelRequest, ModelResponse
from outlay.values.tier_answer import TierAnswer
from outlay.values.usage import Usage

#: What an agent makes of an answer: the output, None on a turn that calls tools, and what is wrong with it.
Reading = Callable[[ModelResponse], tuple[Any, str | None]]


@dataclass(frozen=True, eq=False)
class ModelCascade:
    """Models for `Agent(model=)`, the cheapest first: `Cascade(["anthropic:claude-haiku-4-5", …], gate)` makes one.

    Before the gate stands what needs no opinion: the output decodes, the tools called exist and their arguments fit,
    the model neither declined nor broke off. `attempts` is how often a tier is asked before the next one is. The
    first answer that passes joins the conversation; those before it are billed and forgotten.

    Where the last tier does not pass either, its answer is taken and the result is degraded. A turn begins at the
    cheapest tier; a correction (the agent's own `verify` said no) above the one that gave the refused answer. A tier
    that would cost more than it saves, at these prices and with what caches hold, or by what it settled in the last
    turns of a run or of all runs of a map, is left out (policies/climbing.py).
    """

    tiers: Sequence[str | Model]
    gate: Any
    attempts: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", tuple(self.tiers))
        object.__setattr__(self, "gate", as_gates(self.gate))
        check_shape(self.tiers, self.attempts)

    @property
    def models(self) -> tuple[str | Model, ...]:
        """Every model that it may call: the tiers, and those that its gates ask."""
        asked = [one for gate in self.gate if isinstance(gate, TierGate) for one in gate.asks]
        if nodes := [cast("Node[Any, Any]", one).name for one in asked if isinstance(one, Node)]:
            raise ConfigError(
                f"a gate of a cascade of models asks the node {nodes[0]}",
                hint="let it ask a model, or make the cascade one of nodes",
            )
        return (*self.tiers, *cast("list[str | Model]", asked))

    def reads_logprobs(self, tier: int) -> bool:
        """Does a gate go by the log-probabilities of this tier's answers?"""
        return tier < len(self.tiers) and any(goes_by_logprobs(gate, tier) for gate in self.gate)


def check_shape(tiers: Sequence[Any], attempts: int) -> None:
    """Raises ConfigError for a cascade of nothing."""
    if not tiers:
        raise ConfigError("a cascade needs at least one tier", hint="Cascade([cheap, strong], gate)")
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"Cascade: attempts= is how often a tier is asked, at least 1, not {attempts!r}")


@dataclass(slots=True)
class Climb:
    """The turns of one conversation over a cascade."""

    cascade: ModelCascade
    ctx: RunContext[Any]
    choose: Callable[[str | Model], Model]
    read: Reading
    least_output_tokens: int | None = None
    max_input_tokens: int | None = None
    #: Where the model of a tier fails: an error is no failed check, and goes to these first.
    fallback: Sequence[Model] = ()
    turn: int = 0
    #: The tier whose answer was taken last.
    taken: int = 0
    #: US dollars at list price that gates spent on asking others about the answer that is looked at.
    gate_usd: Decimal = ZERO

    async def answer(self, request: ModelRequest, *, correcting: bool) -> ModelResponse:
        """The first answer that passes, or the last tier's. Raises ModelError, Stopped, and ConfigError for a gate
        that raises.
        """
        top = len(self.cascade.tiers) - 1
        first = min(self.taken + 1, top) if correcting else 0
        self.turn += 1
        best: tuple[int, ModelResponse, Any] | None = None
        left_out = self._leaves_out(request) if top else ()
        tiers = [tier for tier in range(first, top + 1) if tier not in left_out]
        for tier, attempt in [(t, a) for t in tiers for a in range(self.cascade.attempts)]:
            try:
                response, answer, problem = await self._ask(tier, attempt, request)
            except Stopped as stop:
                raise stop if best is None or best[2] is None else stop.with_best(best[2], self.ctx.path) from None
            except ModelError as error:
                self._decide(tier, attempt, failed=type(error).__name__)
                if best is None and not (isinstance(error, ContextTooLong) and tier < top):
                    raise
                if tier < top:
                    continue
                assert best is not None
                self.ctx.skip(f"tier-{tier}", "it failed, the best answer so far stands", error)
                break
            if problem is None:
                self.taken = tier
                return response
            if answer is not None:
                best = tier, response, answer.output
            if tier == top and attempt == self.cascade.attempts - 1:
                if best is None:  # nothing can be read: what the agent makes of that is as without a cascade
                    self.taken = tier
                    return response
                self.ctx.skip("gate", f"the top tier did not pass: {problem}"[:500])
            else:
                self.ctx.retract(problem)
        assert best is not None
        self.taken = best[0]
        return best[1]

    def _climbing(self, request: ModelRequest) -> Climbing:
        tiers = len(self.cascade.tiers)
        return self.ctx.learned(f"cascade of {tiers}: {request.agent}", lambda: Climbing(tiers))

    def _leaves_out(self, request: ModelRequest) -> list[int]:
        """The tiers that would cost more than they save. Recorded: a resumed run goes the way of the first."""
        climbing = self._climbing(request)
        known = climbing.output_tokens
        expected = Usage(output_tokens=request.max_output_tokens if known is None else round(known))
        models = [self.choose(tier) for tier in self.cascade.tiers]
        prices = [self.ctx.instead(model, request, expected, ahead=True) for model in models]
        usd = [None if price is None else float(price) for price in prices]
        found: list[int] = self.ctx.drawn("tiers", lambda: list(climbing.leaves_out(usd)))
        if found:
            self.ctx.decide("tiers_left_out", tiers=found, usd=usd, shares=[one.share for one in climbing.seen])
        return found

    async def _ask(
        self, tier: int, attempt: int, request: ModelRequest
    ) -> tuple[ModelResponse, TierAnswer | None, str | None]:
        """One tier's response, what it says (None where that cannot be read), and why it is not good enough."""
        if self.cascade.reads_logprobs(tier):
            request = replace(request, logprobs=True)
        response = await self._call(self.cascade.tiers[tier], request, f"tier:{tier}")
        model = self.choose(self.cascade.tiers[tier]).id
        self.gate_usd = ZERO
        output, problem = self.read(response)
        if problem is not None:
            self._reckon(tier, settled=False, request=request, response=response)
            self._decide(tier, attempt, model=model, gate="readable", problem=problem)
            return response, None, problem
        answer = self._seen(request, response, output, tier, model)
        gate, found = await refusal(self.ctx, self.cascade.gate, answer)
        # recorded: a resumed run goes the way of the first, whatever a gate would say by now
        problem = self.ctx.drawn(f"tier:{tier}", lambda: found)
        instead = self._reckon(tier, settled=problem is None, request=request, response=response)
        self._decide(tier, attempt, model=model, gate=gate, problem=problem, instead=instead)
        return response, answer, problem

    def _reckon(self, tier: int, *, settled: bool, request: ModelRequest, response: ModelResponse) -> str | None:
        """Take down what this answer did. Of one that was taken below the top: about what the top would have cost for
        it, in US dollars, None where a price or the tokens are unknown.
        """
        usage, top = response.usage, len(self.cascade.tiers) - 1
        if usage is None:
            return None
        if not usage.total_tokens:  # a student's: it counts none
            usage = Usage(output_tokens=about_tokens(response.message.text))
        tokens = usage.output_tokens
        self._climbing(request).answered(tier, settled=settled, gate_usd=float(self.gate_usd), output_tokens=tokens)
        if tier == top or not settled:
            return None
        instead = self.ctx.instead(self.choose(self.cascade.tiers[top]), request, usage)
        return None if instead is None else str(instead)

    def _seen(self, request: ModelRequest, response: ModelResponse, output: Any, tier: int, model: str) -> TierAnswer:
        async def ask(other: str | Model) -> TierAnswer:
            theirs = await self._call(other, request, "gate")
            price = self.ctx.price(self.choose(other))
            if price is not None and theirs.usage is not None:
                self.gate_usd += price.cost(theirs.usage)
            read, problem = self.read(theirs)
            return self._seen(request, theirs, None if problem else read, tier, self.choose(other).id)

        return TierAnswer(
            self.ctx.input,
            output,
            tier,
            ask,
            final=not response.message.tool_calls and response.stop != "pause",
            text=response.message.text,
            tool_calls=response.message.tool_calls,
            versions={model: response.model},
            logprobs=logprobs_of(response.message) if request.logprobs else None,
        )

    async def _call(self, model: str | Model, request: ModelRequest, purpose: str) -> ModelResponse:
        return await self.ctx.call_model(
            self.choose(model),
            request,
            least_output_tokens=self.least_output_tokens,
            max_input_tokens=self.max_input_tokens,
            fallback=() if purpose == "gate" else self.fallback,
            purpose=purpose,
        )

    def _decide(
        self,
        tier: int,
        attempt: int,
        *,
        model: str = "",
        gate: str = "",
        problem: str | None = None,
        failed: str = "",
        instead: str | None = None,
    ) -> None:
        decided(
            self.ctx,
            self.turn,
            tier,
            len(self.cascade.tiers),
            attempt,
            who=model or self.choose(self.cascade.tiers[tier]).id,
            gate=gate,
            problem=problem,
            failed=failed,
            instead=instead,
        )


def decided(
    ctx: RunContext[Any],
    turn: int,
    tier: int,
    tiers: int,
    attempt: int,
    *,
    who: str,
    gate: str = "",
    problem: str | None = None,
    failed: str = "",
    **facts: Any,
) -> None:
    """Record what became of one attempt of a tier: what the folds of escalations and of savings count."""
    ctx.decide(
        "cascade",
        turn=turn,
        tier=tier,
        tiers=tiers,
        attempt=attempt,
        who=who,
        gate=gate,
        passed=problem is None and not failed,
        problem=(problem or "")[:500],
        failed=failed,
        **facts,
    )
