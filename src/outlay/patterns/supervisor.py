"""Supervisor: plan, let workers do the parts, put the results together."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeVar, Unpack

from outlay.agents.agent import Agent
from outlay.agents.function import as_node
from outlay.agents.previews import MAX_RESULT_TOKENS
from outlay.errors import ConfigError, DeadlineExceeded, PlanInvalid, Stopped
from outlay.patterns.contradictions import contradictions_of, with_opinions
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern
from outlay.patterns.planning import problems_of, setbacks, shown_the_workers
from outlay.patterns.profile import Consequence, Profile
from outlay.patterns.subtasks import Work
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.values.claim import Contradiction
from outlay.values.critique import Feedback, Revision
from outlay.values.plan import Plan, Replan, Synthesis

A = TypeVar("A")
_SHOW_BOTH_SIDES = (
    "Some results contradict each other. List each contradiction with who says what, how sure they are and by which "
    "source; do not average them, and choose a side only with a reason."
)


@dataclass(frozen=True, eq=False)
class Supervisor(Pattern[In, Out]):
    """A planner splits the goal into subtasks for named workers; each starts as soon as what it depends on is done;
    the synthesizer makes one answer of the results (orchestrator and workers; Anthropic 2024, "Building effective
    agents").

    A planner that is an agent is shown the workers at the end of its instructions. A plan that cannot be run goes
    back to it once, then PlanInvalid names what is wrong. One failed worker degrades the result and is named to
    the synthesizer as failed, never as an answer. What the synthesizer may cost is set aside from the start.

    Up to `max_rounds` plans are made: another one while subtasks fail, or where the `Claim`s of two subtasks say
    different things of one subject and the planner has not been shown that yet. It is told what failed and what
    contradicts; finished subtasks are kept. What still contradicts is listed in `Synthesis.contradictions`, and in
    the facts, with each claim's worker and confidence; what only the synthesizer calls a contradiction is listed
    there as its opinion. A result over `max_result_tokens` is passed on by its beginning, and kept as an artifact
    (give its reader `tools=[read_artifact]`); `tokens_by_worker` in the facts says about how much each worker gave.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="subtasks start as soon as what they depend on is done; wall time is the longest chain",
        cost="2 + subtasks calls; each further round one plan and its subtasks",
        best_when="the parts are known only once the goal is seen, and most of them stand alone",
        worst_when="small goals: planning and putting together cost two calls that one agent does not need",
        ends="with the synthesis, after at most `max_rounds` plans",
        failed_member=Consequence("goes on", "named to the synthesizer as failed; what depends on it is not run"),
        at_budget=Consequence("answer", "the synthesizer puts together what is there: its call is set aside"),
        at_deadline=Consequence("no output", "results of subtasks are in `.partial`"),
    )

    planner: Node[Any, Any]
    workers: Sequence[Node[Any, Any]]
    synthesizer: Node[Any, Out]
    max_subtasks: int = field(default=20)
    max_rounds: int = field(default=1)
    max_result_tokens: int = field(default=MAX_RESULT_TOKENS)

    if typing.TYPE_CHECKING:

        def __init__(
            self: Supervisor[Any, A],
            planner: Any,
            workers: Sequence[Any],
            synthesizer: Node[Any, A] | Callable[..., Any],
            max_subtasks: int = 20,
            max_rounds: int = 1,
            max_result_tokens: int = MAX_RESULT_TOKENS,
            **common: Unpack[Common],
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "workers", tuple(as_node(worker) for worker in self.workers))
        object.__setattr__(self, "synthesizer", as_node(self.synthesizer))
        if not self.workers:
            raise ConfigError("a Supervisor needs at least one worker")
        for limit in ("max_subtasks", "max_rounds", "max_result_tokens"):
            if getattr(self, limit) < 1:
                raise ConfigError(f"Supervisor: {limit} must be at least 1, not {getattr(self, limit)!r}")
        planner = as_node(self.planner)
        object.__setattr__(self, "planner", planner)
        kind: Any = getattr(planner, "output_type", Plan)
        if isinstance(kind, type) and not issubclass(kind, Plan):
            raise ConfigError(
                f"Supervisor: the planner {planner.name} gives {kind.__name__}, not a Plan",
                hint=f"Agent({planner.name!r}, …, output_type=Plan)",
            )

    @cached_property
    def informed_planner(self) -> Node[Any, Any]:
        """The planner as it is run: an agent is shown the workers."""
        planner = self.planner
        if isinstance(planner, Agent):
            return shown_the_workers(planner, self.workers, self.max_subtasks)
        return planner

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return (self.informed_planner, *self.workers, self.synthesizer)

    @cached_property
    def by_name(self) -> Mapping[str, Node[Any, Any]]:
        return {worker.name: worker for worker in self.workers}

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        ctx.reserve_finish(self.synthesizer)
        work = Work(ctx, input, self.by_name, self.max_result_tokens)
        ctx.if_stopped(work.cut_off)
        instructions, contradictions = await self._rounds(ctx, input, work)
        facts: dict[str, Any] = {
            "subtasks": len(work.results) + len(work.failed),
            "rounds": work.rounds,
            "failed": dict(work.failed),
            "tokens_by_worker": dict(work.tokens),
        }
        ctx.report(**facts, contradictions=with_opinions(contradictions, None))
        if not work.results:
            raise work.stop or work.first_error or PlanInvalid(f"{ctx.path}: no subtask gave a result", path=ctx.path)
        if isinstance(work.stop, DeadlineExceeded):
            raise work.stop  # there is no time left to put anything together
        if contradictions:
            instructions = f"{instructions}\n{_SHOW_BOTH_SIDES}".lstrip()
        results = work.view(work.in_order(work.results))
        synthesis = Synthesis(input, instructions, results, work.in_order(work.failed), contradictions)
        output = await ctx.child(self.synthesizer, synthesis, origin=input, finishing=True)
        listed = with_opinions(contradictions, output)
        if len(listed) > len(contradictions):
            ctx.report(contradictions=listed)
        return output

    async def _rounds(self, ctx: RunContext[Any], goal: Any, work: Work) -> tuple[str, tuple[Contradiction, ...]]:
        """Plan and work until nothing failed and nothing new contradicts, or the rounds are used up."""
        plan = await self._plan(ctx, goal, None, work)
        instructions = plan.synthesis_instructions
        shown: set[str] = set()
        while True:
            await work.do(plan)
            contradictions = contradictions_of(work.in_order(work.results), work.worker_of)
            news = [one for one in contradictions if one.about not in shown]
            if not (work.failed or news) or work.stop is not None or work.rounds == self.max_rounds:
                return instructions, contradictions
            shown.update(one.about for one in news)
            replan = Replan(
                goal,
                plan,
                setbacks(work.failed, contradictions, list(work.results)),
                dict(work.failed),
                contradictions,
                tuple(work.results),
            )
            try:
                plan = await self._plan(ctx, goal, replan, work)
            except Stopped as stop:
                work.stop = stop
                return instructions, contradictions
            except NOT_A_FAILURE:
                raise
            except Exception as error:  # what is done is paid for: it is put together without another round
                ctx.skip(self.planner.name, "no further plan", error)
                return instructions, contradictions
            instructions = plan.synthesis_instructions or instructions
            if not plan.subtasks:  # the planner is content with what is there
                return instructions, contradictions

    async def _plan(self, ctx: RunContext[Any], goal: Any, again: Replan | None, work: Work) -> Plan:
        """A plan that can be run. Raises PlanInvalid after one correction."""

        def problems_with(plan: Plan) -> list[str]:
            return problems_of(plan, self.by_name.keys(), self.max_subtasks, may_be_empty=bool(work.results))

        plan = await self._ask(ctx, goal, again)
        problems = problems_with(plan)
        if problems:
            ctx.decide("plan_refused", problems=problems)
            plan = await self._ask(ctx, goal, Revision(goal, plan, "This plan cannot be run: " + "; ".join(problems)))
            problems = problems_with(plan)
        if problems:
            raise PlanInvalid(
                f"{ctx.path}: the plan cannot be run: " + "; ".join(problems),
                problems=tuple(problems),
                path=ctx.path,
                hint=f"the workers are {', '.join(self.by_name)}; a stronger planner may help",
            )
        return plan

    async def _ask(self, ctx: RunContext[Any], goal: Any, again: Revision | None) -> Plan:
        planner = self.informed_planner
        if again is None:
            plan = await ctx.child(planner, goal)
        elif isinstance(planner, Agent):
            feedback = Feedback(again.feedback)
            plan = await ctx.child(planner, feedback, transcript=ctx.transcript_of(planner))
        else:
            plan = await ctx.child(planner, again)
        if not isinstance(plan, Plan):
            raise ConfigError(
                f"{ctx.path}: the planner {planner.name} gave {type(plan).__name__}, not a Plan",
                hint=f"Agent({planner.name!r}, …, output_type=Plan)",
            )
        return plan
