"""Cascade: the cheapest first, and a stronger one where a check says no (Chen, Zaharia and Zou 2023, "FrugalGPT").

Not a fallback (another model after an error) and not a router (a choice before the call): it pays for an answer, looks
at it, and pays again only where it must.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, Unpack, overload

from outlay.agents.cascade import ModelCascade, check_shape, decided
from outlay.agents.function import as_node
from outlay.agents.gating import as_gates, goes_by_logprobs, refusal
from outlay.errors import ConfigError, OutputInvalid, OutputTruncated, Refused, Stopped, TurnLimit, one_line
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern, Step
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.gate import TierGate
from outlay.protocols.model import Model
from outlay.protocols.node import In, Node, Out
from outlay.values.tier_answer import TierAnswer

A = TypeVar("A")
B = TypeVar("B")
#: A tier that gave nothing that can be used: that is a failed check, not an error of its provider.
_NO_ANSWER = (OutputInvalid, OutputTruncated, Refused, TurnLimit)


@dataclass(frozen=True, eq=False)
class Cascade(Pattern[In, Out]):
    """Ask the tiers in order, cheapest first; the first output that passes `gate` is the output.

    `gate` is a checker `(output) -> None | str`, a gate of `outlay.routing` (a calibrated confidence, the agreement of
    cheap models, an expected tool call), or a list of them: all must pass. `attempts` is how often a tier is asked
    before the next one is. Each tier is reserved at its own price when its turn comes.

    Of nodes it is a node; each tier's path ends in `[tier-i]`, its calls have the purpose `tier:i` on the bill. Of
    models (`Cascade(["anthropic:claude-haiku-4-5", …], gate)`) it is a model for `Agent(model=)`, which routes turn by
    turn: see `ModelCascade`.

    A tier that gives nothing usable (OutputInvalid, Refused, OutputTruncated, TurnLimit) did not pass. Any other
    error of a tier is raised, unless a tier below gave an answer: errors are a fallback's business. Where the last
    tier does not pass or fails, its answer, else the best from below, is the output, and the result is degraded.
    A stop has that answer as its best. Raises ConfigError for a gate that raises.

    Facts: `tier` and `node` of the output, `passed`, and `escalations`.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="none: tier after tier",
        cost="one call where the first tier passes, one more for each that does not; checkers cost nothing",
        best_when="a cheap model is mostly right and a program, or a calibrated gate, can tell when",
        worst_when="most inputs need the last tier: then the cheap calls come on top",
        ends="at the first tier that passes; after the last its answer stands, degraded",
        failed_member=Consequence("goes on", "the best answer from below stands; raised where there is none"),
        at_budget=Consequence("best so far", "the best answer from below"),
        at_deadline=Consequence("best so far", "as at the budget"),
    )

    tiers: Sequence[Node[In, Out]]
    gate: Any
    attempts: int = field(default=1, kw_only=True)

    if typing.TYPE_CHECKING:

        @overload
        def __new__(cls, tiers: Sequence[str | Model], gate: Any, *, attempts: int = 1) -> ModelCascade: ...
        @overload
        def __new__(
            cls, tiers: Sequence[Step[A, B]], gate: Any, *, attempts: int = 1, **common: Unpack[Common]
        ) -> Cascade[A, B]: ...
        def __new__(cls, tiers: Any, gate: Any, *, attempts: int = 1, **common: Any) -> Any: ...

        def __init__(self, tiers: Sequence[Any], gate: Any, *, attempts: int = 1, **common: Unpack[Common]) -> None: ...

    else:

        def __new__(cls, tiers=(), gate=None, **options):
            if tiers and not any(isinstance(tier, Node) or _is_function(tier) for tier in tiers):
                return ModelCascade(tiers, gate, **options)
            return super().__new__(cls)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shape(self.tiers, self.attempts)
        object.__setattr__(self, "tiers", tuple(as_node(tier) for tier in self.tiers))
        object.__setattr__(self, "gate", as_gates(self.gate))
        if any(goes_by_logprobs(gate) for gate in self.gate):
            raise ConfigError(
                "Cascade: a node's output has no log-probabilities, an answer of a model has",
                hint="give the gate to a cascade of models: Agent(model=Cascade([small, large], logprobs(…)))",
            )

    @property
    def input_type(self) -> Any:
        return self.tiers[0].input_type

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        asked = [one for gate in self.gate if isinstance(gate, TierGate) for one in gate.asks]
        distinct = {id(node): node for node in (*self.tiers, *(as_node(one) for one in asked))}
        return tuple(distinct.values())

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        best = _Best()
        ctx.if_stopped(lambda: best.output)
        top = len(self.tiers) - 1
        try:
            for tier, node in enumerate(self.tiers):
                for attempt in range(self.attempts):
                    if await self._passes(ctx, input, best, tier, node, attempt):
                        return best.output
        except Stopped as stop:
            raise stop.with_best(best.output, ctx.path) from None
        if best.tier is None:
            assert best.error is not None
            raise best.error
        ctx.skip(
            f"{self.tiers[top].name}[tier-{top}]",
            "the top tier failed, the best answer from below stands"
            if best.tier < top
            else f"the top tier did not pass: {best.problem}"[:500],
            best.error,
        )
        self._report(ctx, best.tier, passed=False)
        return best.output

    async def _passes(
        self, ctx: RunContext[Any], input: In, best: _Best, tier: int, node: Node[In, Out], attempt: int
    ) -> bool:
        """Ask one tier once. Raises Stopped, and the errors of a provider before there is any answer."""
        gate, problem, failed = "", None, ""
        try:
            output = await ctx.child(node, input, key=_key(tier, attempt), origin=input, purpose=f"tier:{tier}")
        except _NO_ANSWER as error:
            gate, problem, best.error = "usable", one_line(error), error
        except NOT_A_FAILURE:
            raise
        except Exception as error:
            failed, best.error = type(error).__name__, error
            if best.tier is None:
                decided(ctx, 1, tier, len(self.tiers), attempt, who=node.name, failed=failed)
                raise
        else:
            gate, found = await refusal(ctx, self.gate, _answer(ctx, input, output, tier, attempt))
            # recorded: a resumed run goes the way of the first, whatever a gate would say by now
            problem = ctx.drawn(f"tier:{tier}", lambda: found)
            best.output, best.tier, best.problem, best.error = output, tier, problem or "", None
        decided(ctx, 1, tier, len(self.tiers), attempt, who=node.name, gate=gate, problem=problem, failed=failed)
        if problem is not None or failed:
            return False
        self._report(ctx, tier, passed=True)
        return True

    def _report(self, ctx: RunContext[Any], tier: int, *, passed: bool) -> None:
        ctx.report(tier=tier, node=self.tiers[tier].name, passed=passed, escalations=tier)


@dataclass(slots=True)
class _Best:
    """The latest answer that there is (`tier` None: none yet), and how the latest attempt ended."""

    output: Any = None
    tier: int | None = None
    problem: str = ""
    error: Exception | None = None


def _answer(ctx: RunContext[Any], input: Any, output: Any, tier: int, attempt: int) -> TierAnswer:
    async def ask(other: Any) -> TierAnswer:
        node = as_node(other)
        theirs = await ctx.child(node, input, key=f"gate-{tier}.{attempt}", origin=input, purpose="gate")
        return _answer(ctx, input, theirs, tier, attempt)

    return TierAnswer(input, output, tier, ask, text=output if isinstance(output, str) else "", versions=ctx.versions)


def _key(tier: int, attempt: int) -> str:
    return f"tier-{tier}" if attempt == 0 else f"tier-{tier}.{attempt + 1}"


def _is_function(tier: Any) -> bool:
    """A plain function may stand for a node; a model has an id."""
    return callable(tier) and not hasattr(tier, "id")
