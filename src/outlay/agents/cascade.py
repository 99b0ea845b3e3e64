"""A cascade of models inside an agent: each turn goes to the cheapest one first, and on to the next where its answer
does not pass the gate (Chen, Zaharia and Zou 2023, "FrugalGPT").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from outlay.agents.gating import as_gates, goes_by_logprobs, refusal
from outlay.agents.previews import about_tokens
from outlay.errors import ConfigError, ContextTooLong, ModelError, Stopped
from outlay.protocols.context import RunContext
from outlay.protocols.gate import TierGate
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.values.logprobs import logprobs_of
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
    cheapest tier; a correction (the agent's own `verify` said no) above the one that gave the refused answer.
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

    async def answer(self, request: ModelRequest, *, correcting: bool) -> ModelResponse:
        """The first answer that passes, or the last tier's. Raises ModelError, Stopped, and ConfigError for a gate
        that raises.
        """
        top = len(self.cascade.tiers) - 1
        first = min(self.taken + 1, top) if correcting else 0
        self.turn += 1
        best: tuple[int, ModelResponse, Any] | None = None
        for tier, attempt in [(t, a) for t in range(first, top + 1) for a in range(self.cascade.attempts)]:
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

    async def _ask(
        self, tier: int, attempt: int, request: ModelRequest
    ) -> tuple[ModelResponse, TierAnswer | None, str | None]:
        """One tier's response, what it says (None where that cannot be read), and why it is not good enough."""
        if self.cascade.reads_logprobs(tier):
            request = replace(request, logprobs=True)
        response = await self._call(self.cascade.tiers[tier], request, f"tier:{tier}")
        model = self.choose(self.cascade.tiers[tier]).id
        output, problem = self.read(response)
        if problem is not None:
            self._decide(tier, attempt, model=model, gate="readable", problem=problem)
            return response, None, problem
        answer = self._seen(request, response, output, tier, model)
        gate, found = await refusal(self.ctx, self.cascade.gate, answer)
        # recorded: a resumed run goes the way of the first, whatever a gate would say by now
        problem = self.ctx.drawn(f"tier:{tier}", lambda: found)
        instead = self._instead(tier, request, response) if problem is None else None
        self._decide(tier, attempt, model=model, gate=gate, problem=problem, instead=instead)
        return response, answer, problem

    def _instead(self, tier: int, request: ModelRequest, response: ModelResponse) -> str | None:
        """About what the last tier would have cost for this answer, in US dollars; None at the last tier, or where a
        price or the tokens are unknown. A student counts no tokens: four characters are one, then.
        """
        if tier == len(self.cascade.tiers) - 1 or response.usage is None:
            return None
        price = self.ctx.price(self.choose(self.cascade.tiers[-1]))
        usage = response.usage
        if not usage.total_tokens:
            prelude = request.prelude
            schemas = [prelude.output.schema] if prelude.output is not None else []
            asked = [*prelude.system, *(tool.description + tool.schema for tool in prelude.tools), *schemas]
            read = "".join((*asked, *(message.text for message in request.messages)))
            usage = Usage(about_tokens(read), 0, 0, about_tokens(response.message.text))
        return None if price is None else str(price.cost(usage))

    def _seen(self, request: ModelRequest, response: ModelResponse, output: Any, tier: int, model: str) -> TierAnswer:
        async def ask(other: str | Model) -> TierAnswer:
            theirs = await self._call(other, request, "gate")
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
