"""Refine: a generator drafts, a critic says what is wrong, until it is good or the rounds are used up.

A deterministic checker goes before a model's opinion (generator-critic; Madaan et al. 2023, "Self-Refine").
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Unpack, cast

from outlay.agents.agent import Agent
from outlay.agents.function import as_node
from outlay.errors import ConfigError, Stopped
from outlay.patterns.critics import as_critics, judge
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.values.critique import Feedback, Revision


@dataclass(frozen=True, slots=True)
class Version:
    """A draft and what the critics made of it (`Verdict` says what the fields mean)."""

    output: Any
    passed: int
    score: float | None = None
    feedback: str = ""
    critic: str = ""
    opinion: bool = False

    def beats(self, other: Version | None) -> bool:
        """Is this at least as good? A later draft that is equally good has the feedback in it."""
        if other is None:
            return True
        return (self.passed, self._score) >= (other.passed, other._score)

    @property
    def _score(self) -> float:
        return float("-inf") if self.score is None or self.score != self.score else self.score


@dataclass(frozen=True, eq=False)
class Refine(Pattern[In, Out]):
    """`critic` is a checker `(output) -> None | str`, a node giving `Critique(ok, feedback, score)`, or a list of them,
    asked in that order (checkers first). A generator that is an agent goes on in its transcript; another node gets
    `Revision(input, draft, feedback)`.

    The best version so far is kept, never a worse later one. After `max_rounds` drafts `fallback` gets the best
    as a Revision; without one it is returned and the result is degraded.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="none: draft, critic, draft",
        cost="up to 2 × `max_rounds` calls with a transcript that grows; checkers cost nothing",
        best_when="a program can tell good from bad and say why",
        worst_when="the critic is the same model with the same blind spots",
        ends="when all critics are content, or after `max_rounds`: then `fallback`, or the best version, degraded",
        failed_member=Consequence("goes on", "after a first version the best so far stands; before one it is raised"),
        at_budget=Consequence("best so far", "the best version so far, or a draft that nobody judged"),
        at_deadline=Consequence("best so far", "as at the budget"),
    )

    generator: Node[In, Out]
    critic: Any
    max_rounds: int = field(default=3)
    fallback: Node[Any, Out] | None = field(default=None)

    if typing.TYPE_CHECKING:

        def __init__(
            self,
            generator: Node[In, Out] | Callable[..., Any],
            critic: Any,
            max_rounds: int = 3,
            fallback: Any = None,
            **common: Unpack[Common],
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "generator", as_node(self.generator))
        object.__setattr__(self, "critic", as_critics(self.critic, "Refine"))
        if self.fallback is not None:
            object.__setattr__(self, "fallback", as_node(self.fallback))
        if self.max_rounds < 1:
            raise ConfigError(f"Refine: max_rounds must be at least 1, not {self.max_rounds}")

    @property
    def input_type(self) -> Any:
        return self.generator.input_type

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        critics = [cast("Node[Any, Any]", one) for one in self.critic if isinstance(one, Node)]
        return (self.generator, *critics, *(() if self.fallback is None else (self.fallback,)))

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        best: Version | None = None
        draft: Version | None = None
        output: Any = None
        ctx.if_stopped(lambda: output if best is None else best.output)
        for round in range(1, self.max_rounds + 1):
            try:
                output = await self._generate(ctx, input, draft)
                draft = await self._judge(ctx, input, output)
            except Stopped as stop:  # a draft that nobody judged is better than none
                raise stop.with_best(output if best is None else best.output, ctx.path) from None
            except NOT_A_FAILURE:
                raise
            except Exception as error:
                if best is None:
                    raise
                ctx.skip(self.generator.name, f"round {round} failed, the best version so far stands", error)
                return best.output
            best = draft if draft.beats(best) else best
            if draft.passed == len(self.critic):
                ctx.report(rounds=round, accepted=True, score=draft.score)
                return draft.output
        assert best is not None
        ctx.report(
            rounds=self.max_rounds,
            accepted=False,
            score=best.score,
            feedback=best.feedback,
            critic=best.critic,
            opinion=best.opinion,
        )
        if self.fallback is not None:
            return await self._fall_back(ctx, self.fallback, input, best)
        ctx.skip("critic", f"not content after {self.max_rounds} rounds: {best.feedback}"[:500])
        return best.output

    async def _fall_back(self, ctx: RunContext[Any], fallback: Node[Any, Out], input: In, best: Version) -> Any:
        try:
            return await ctx.child(fallback, Revision(input, best.output, best.feedback), origin=input)
        except Stopped as stop:
            raise stop.with_best(best.output, ctx.path) from None
        except NOT_A_FAILURE:
            raise
        except Exception as error:
            ctx.skip(fallback.name, "the fallback failed, the best version so far stands", error)
            return best.output

    async def _generate(self, ctx: RunContext[Any], input: In, draft: Version | None) -> Any:
        if draft is None:
            return await ctx.child(self.generator, input)
        if isinstance(self.generator, Agent):
            feedback = Feedback(f"Your answer is not good enough yet: {draft.feedback}\nGive the better answer only.")
            return await ctx.child(self.generator, feedback, origin=input, transcript=ctx.transcript_of(self.generator))
        return await ctx.child(self.generator, Revision(input, draft.output, draft.feedback), origin=input)

    async def _judge(self, ctx: RunContext[Any], input: In, output: Any) -> Version:
        verdict = await judge(ctx, self.critic, input, output)
        return Version(output, verdict.passed, verdict.score, verdict.problem or "", verdict.critic, verdict.opinion)
