"""Gate: a stage that checks and changes nothing. What does not pass goes no further."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, Unpack, cast, overload

from outlay.agents.agent import name_of
from outlay.agents.content import as_text
from outlay.errors import OutputInvalid
from outlay.patterns.critics import as_critics, judge
from outlay.patterns.pattern import Common, Pattern
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out

A = TypeVar("A")
_SHOWN_CHARS = 2_000


@dataclass(frozen=True, eq=False)
class Gate(Pattern[In, Out]):
    """Passes its input on where every check passes: `Pipeline(draft, Gate(citations()), publish)`.

    A check is what a critic of `Refine` is: a checker `(value) -> None | str`, a node that gives a `Critique`, or a
    list of them, checkers first. `ctx.tool_results` of a checker are what the tools of the stages before gave.

    What does not pass raises OutputInvalid, which names what is wrong, who says so and whose output it was; what was
    done until then is in `Result.partial`. A check that cannot be made lets nothing pass either. To have the
    work done again with what was wrong, make the stage before a `Refine` with the same critic. `optional=True` makes it
    advice: it is noted in `.skipped`, and the value goes on.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="none: check after check",
        cost="nothing for checkers, one call for each critic that is an agent",
        best_when="an output must not go further unseen: before a publication, a payment, the next stage",
        worst_when="the work should be done again instead (`Refine` with the same check)",
        ends="when a check is not content, or all are",
        failed_member=Consequence("error", "a check that cannot be made lets nothing pass; `optional` makes it advice"),
        at_budget=Consequence("no output", "what was to be checked is in `.partial`"),
        at_deadline=Consequence("no output", "as at the budget"),
    )

    check: Any

    if typing.TYPE_CHECKING:

        @overload
        def __init__(self: Gate[A, A], check: Callable[[A], str | None], **common: Unpack[Common]) -> None: ...
        @overload
        def __init__(self: Gate[Any, Any], check: Any, **common: Unpack[Common]) -> None: ...
        def __init__(self, check: Any, **common: Any) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "check", as_critics(self.check, "Gate"))

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return tuple(cast("Node[Any, Any]", one) for one in self.check if isinstance(one, Node))

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        verdict = await judge(ctx, self.check, ctx.origin, input)
        if verdict.problem is None:
            ctx.checked(tuple(name_of(one) for one in self.check))
            ctx.report(passed=True, score=verdict.score)
            return cast("Out", input)
        ctx.checked((verdict.critic,), verdict.problem)
        ctx.report(passed=False, critic=verdict.critic, opinion=verdict.opinion, problem=verdict.problem)
        whose = f"what {ctx.source} gave" if ctx.source else "the input"
        raise OutputInvalid(
            f"{ctx.path}: {whose} does not pass {verdict.critic}: {verdict.problem}",
            output=as_text(input)[:_SHOWN_CHARS],
            problem=verdict.problem,
            path=ctx.path,
            hint="mend the stage before, or let it correct itself: Refine(stage, the same check)",
        )
