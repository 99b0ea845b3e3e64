"""Supervisor: plan, let workers do the parts, put the results together."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, Unpack

from outlay.agents.agent import Agent
from outlay.agents.function import as_node
from outlay.errors import ConfigError, DeadlineExceeded, PlanInvalid, Stopped, TurnLimit, one_line
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.values.critique import Feedback, Revision
from outlay.values.plan import Plan, Subtask, Synthesis, Task

A = TypeVar("A")


@dataclass(frozen=True, eq=False)
class Supervisor(Pattern[In, Out]):
    """A planner splits the goal into subtasks for named workers; each starts as soon as what it depends on is done;
    the synthesizer makes one answer of the results.

    A planner that is an agent is shown the workers at the end of its instructions. A plan that cannot be run goes
    back to it once, then PlanInvalid names what is wrong. One failed worker degrades the result and is named to
    the synthesizer as failed, never as an answer. What the synthesizer may cost is set aside from the start. Up to
    `max_rounds` plans are made while subtasks fail.
    """

    planner: Node[Any, Any]
    workers: Sequence[Node[Any, Any]]
    synthesizer: Node[Any, Out]
    max_subtasks: int = field(default=20)
    max_rounds: int = field(default=1)

    if typing.TYPE_CHECKING:

        def __init__(
            self: Supervisor[Any, A],
            planner: Any,
            workers: Sequence[Any],
            synthesizer: Node[Any, A] | Callable[..., Any],
            max_subtasks: int = 20,
            max_rounds: int = 1,
            **common: Unpack[Common],
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "workers", tuple(as_node(worker) for worker in self.workers))
        object.__setattr__(self, "synthesizer", as_node(self.synthesizer))
        if not self.workers:
            raise ConfigError("a Supervisor needs at least one worker")
        if self.max_subtasks < 1 or self.max_rounds < 1:
            raise ConfigError("Supervisor: max_subtasks and max_rounds must be at least 1")
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
            return _shown_the_workers(planner, self.workers, self.max_subtasks)
        return planner

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return (self.informed_planner, *self.workers, self.synthesizer)

    @cached_property
    def by_name(self) -> Mapping[str, Node[Any, Any]]:
        return {worker.name: worker for worker in self.workers}

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        ctx.reserve_finish(self.synthesizer)
        work = _Work(self, ctx, input)
        plan = await self._plan(ctx, input, None)
        for round in range(1, self.max_rounds + 1):
            await work.do(plan)
            if not work.failed or work.stop is not None or round == self.max_rounds:
                break
            try:
                plan = await self._plan(ctx, input, _failures(work))
            except Stopped as stop:
                work.stop = stop
                break
            except NOT_A_FAILURE:
                raise
            except Exception as error:  # what is done is paid for: it is put together without another round
                ctx.skip(self.planner.name, "no further plan", error)
                break
        ctx.report(subtasks=len(work.results) + len(work.failed), failed=dict(work.failed))
        if not work.results:
            raise work.stop or work.first_error or PlanInvalid(f"{ctx.path}: no subtask gave a result", path=ctx.path)
        if isinstance(work.stop, DeadlineExceeded):
            raise work.stop  # there is no time left to put anything together
        synthesis = Synthesis(
            input, plan.synthesis_instructions, work.in_order(work.results), work.in_order(work.failed)
        )
        return await ctx.child(self.synthesizer, synthesis, origin=input, finishing=True)

    async def _plan(self, ctx: RunContext[Any], goal: Any, feedback: str | None) -> Plan:
        """A plan that can be run. Raises PlanInvalid after one correction."""
        plan = await self._ask(ctx, goal, None, feedback)
        problems = problems_of(plan, self.by_name.keys(), self.max_subtasks)
        if problems:
            ctx.decide("plan_refused", problems=problems)
            plan = await self._ask(ctx, goal, plan, "This plan cannot be run: " + "; ".join(problems))
            problems = problems_of(plan, self.by_name.keys(), self.max_subtasks)
        if problems:
            raise PlanInvalid(
                f"{ctx.path}: the plan cannot be run: " + "; ".join(problems),
                problems=tuple(problems),
                path=ctx.path,
                hint=f"the workers are {', '.join(self.by_name)}; a stronger planner may help",
            )
        return plan

    async def _ask(self, ctx: RunContext[Any], goal: Any, draft: Any, feedback: str | None) -> Plan:
        planner = self.informed_planner
        if feedback is None:
            plan = await ctx.child(planner, goal)
        elif isinstance(planner, Agent):
            plan = await ctx.child(planner, Feedback(feedback), transcript=ctx.transcript_of(planner))
        else:
            plan = await ctx.child(planner, Revision(goal, draft, feedback))
        if not isinstance(plan, Plan):
            raise ConfigError(
                f"{ctx.path}: the planner {planner.name} gave {type(plan).__name__}, not a Plan",
                hint=f"Agent({planner.name!r}, …, output_type=Plan)",
            )
        return plan


@dataclass(slots=True)
class _Work:
    """The subtasks of one goal: what is done, what failed and why."""

    supervisor: Supervisor[Any, Any]
    ctx: RunContext[Any]
    goal: Any
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    first_error: Exception | None = None
    stop: Stopped | None = None
    round: int = 0
    #: Ids in the order in which plans named them: what finishes first must not change the synthesizer's prompt.
    ids: dict[str, None] = field(default_factory=dict[str, None])

    def in_order(self, found: Mapping[str, A]) -> dict[str, A]:
        return {id: found[id] for id in self.ids if id in found}

    async def do(self, plan: Plan) -> None:
        """Run the subtasks that have no result yet, each as soon as its dependencies are settled."""
        todo = [subtask for subtask in plan.subtasks if subtask.id not in self.results]
        self.ids.update(dict.fromkeys(subtask.id for subtask in plan.subtasks))
        self.failed.clear()
        self.round += 1
        settled = {subtask.id: asyncio.Event() for subtask in todo}

        async def one(subtask: Subtask) -> None:
            try:
                for needed in subtask.depends_on:
                    if needed in settled:
                        await settled[needed].wait()
                await self._run(subtask)
            finally:
                settled[subtask.id].set()

        await self.ctx.gather(*(one(subtask) for subtask in todo))

    async def _run(self, subtask: Subtask) -> None:
        ctx = self.ctx
        worker = self.supervisor.by_name[subtask.worker]
        key = subtask.id if self.round == 1 else f"{subtask.id}.{self.round}"  # a new plan may use an id again
        place = f"{worker.name}[{key}]"
        missing = [needed for needed in subtask.depends_on if needed not in self.results]
        if missing:
            self._failed(subtask, place, f"needs {', '.join(missing)}, which has no result")
            return
        if self.stop is not None:
            self._failed(subtask, place, f"not started: {self.stop.reason}")
            return
        task = Task(self.goal, subtask.task, {needed: self.results[needed] for needed in subtask.depends_on})
        try:
            result = await ctx.child(worker, task, key=key)
        except TurnLimit as limit:  # one subtask's own limit says nothing of the others
            self._lost(subtask, place, limit)
        except Stopped as stop:
            self.stop = self.stop or stop
            self._failed(subtask, place, one_line(stop), stop)
        except NOT_A_FAILURE:
            raise
        except Exception as error:
            self._lost(subtask, place, error)
        else:
            if result is task:  # an optional worker was skipped: a task is no answer to itself
                self.failed[subtask.id] = "the worker was skipped"
            else:
                self.results[subtask.id] = result

    def _lost(self, subtask: Subtask, place: str, error: Exception) -> None:
        """The worker failed."""
        self.first_error = self.first_error or error
        self.failed[subtask.id] = one_line(error)
        self.ctx.skip(place, "the worker failed", error)

    def _failed(self, subtask: Subtask, place: str, reason: str, error: Exception | None = None) -> None:
        self.failed[subtask.id] = reason
        self.ctx.skip(place, reason, error)


def problems_of(plan: Plan, workers: typing.Collection[str], max_subtasks: int) -> list[str]:
    """Why a plan cannot be run; empty if it can."""
    found: list[str] = []
    if not plan.subtasks:
        found.append("it has no subtasks")
    if len(plan.subtasks) > max_subtasks:
        found.append(f"it has {len(plan.subtasks)} subtasks, at most {max_subtasks} are allowed")
    ids = [subtask.id for subtask in plan.subtasks]
    found += [f"the id {id!r} is used twice" for id in sorted({id for id in ids if ids.count(id) > 1})]
    for subtask in plan.subtasks:
        if subtask.worker not in workers:
            found.append(f"{subtask.id} names an unknown worker {subtask.worker!r}")
        found += [f"{subtask.id} depends on {d!r}, which is not there" for d in subtask.depends_on if d not in ids]
    cycle = _cycle(plan)
    if cycle:
        found.append(f"a cycle: {' → '.join(cycle)}")
    return found


def _cycle(plan: Plan) -> list[str]:
    """One cycle of dependencies, first id repeated at the end; empty if there is none."""
    needs = {subtask.id: subtask.depends_on for subtask in plan.subtasks}
    done: set[str] = set()
    for start in needs:
        trail: dict[str, None] = {}
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            id, leaving = stack.pop()
            if leaving:
                trail.pop(id, None)
                done.add(id)
            elif id in trail:
                names = list(trail)
                return [*names[names.index(id) :], id]
            elif id not in done and id in needs:
                trail[id] = None
                stack.append((id, True))
                stack.extend((needed, False) for needed in needs[id])
    return []


def _failures(work: _Work) -> str:
    lost = "; ".join(f"{id}: {reason}" for id, reason in work.failed.items())
    done = ", ".join(work.results) or "none"
    return (
        f"Some subtasks failed: {lost}. Done already: {done}. Give a new plan for what is still missing; "
        "it may depend on the ids that are done if it lists them again."
    )


def _shown_the_workers(planner: Agent[Any], workers: Sequence[Node[Any, Any]], most: int) -> Agent[Any]:
    """The planner with its workers named in its fixed instructions, where they are part of the cached prefix."""
    lines = [f"- {worker.name}: {getattr(worker, 'description', '') or 'no description'}" for worker in workers]
    text = f"Plan with these workers only, at most {most} subtasks:\n" + "\n".join(lines)
    return planner.replace(instructions=[*planner.instruction_parts, text])
