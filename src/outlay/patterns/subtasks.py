"""The subtasks of one goal at work: what is done, what failed and why, what each worker gave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from outlay.agents.previews import shown
from outlay.errors import Stopped, TurnLimit, one_line
from outlay.patterns.pattern import NOT_A_FAILURE
from outlay.protocols.context import RunContext
from outlay.protocols.node import Node
from outlay.values.plan import Plan, Results, Subtask, Task

A = TypeVar("A")


@dataclass(slots=True)
class Work:
    """The subtasks of one goal, over all rounds. A result stays: no later round pays for it again."""

    ctx: RunContext[Any]
    goal: Any
    workers: Mapping[str, Node[Any, Any]]
    max_result_tokens: int
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    #: The results as they are passed on: a long one by its beginning.
    shown: dict[str, Any] = field(default_factory=dict[str, Any])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    #: About how many tokens of results each worker has handed over, as they are shown.
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    first_error: Exception | None = None
    stop: Stopped | None = None
    rounds: int = 0
    #: The subtasks of this round that are neither done nor given up.
    open: dict[str, Subtask] = field(default_factory=dict[str, Subtask])
    #: Ids in the order in which plans named them: what finishes first must not change the synthesizer's prompt.
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def in_order(self, found: Mapping[str, A]) -> dict[str, A]:
        return {id: found[id] for id in self.ids if id in found}

    def worker_of(self, id: str) -> str:
        return self.ids[id]

    async def do(self, plan: Plan) -> None:
        """Run the subtasks that have no result yet, each as soon as its dependencies are settled."""
        todo = [subtask for subtask in plan.subtasks if subtask.id not in self.results]
        self.ids.update((subtask.id, subtask.worker) for subtask in todo)
        self.failed.clear()
        self.open = {subtask.id: subtask for subtask in todo}
        self.rounds += 1
        settled = {subtask.id: asyncio.Event() for subtask in todo}

        async def one(subtask: Subtask) -> None:
            try:
                for needed in subtask.depends_on:
                    if needed in settled:
                        await settled[needed].wait()
                await self._run(subtask)
                del self.open[subtask.id]
            finally:
                settled[subtask.id].set()

        await self.ctx.gather(*(one(subtask) for subtask in todo))

    def cut_off(self) -> None:
        """The deadline is here: the subtasks that have no result are told."""
        for subtask in self.open.values():
            self._not_done(subtask, self._place(subtask), "not finished: deadline")

    def _key(self, subtask: Subtask) -> str:
        return subtask.id if self.rounds == 1 else f"{subtask.id}.{self.rounds}"  # a new plan may use an id again

    def _place(self, subtask: Subtask) -> str:
        return f"{subtask.worker}[{self._key(subtask)}]"

    async def _run(self, subtask: Subtask) -> None:
        ctx = self.ctx
        worker, place = self.workers[subtask.worker], self._place(subtask)
        missing = [needed for needed in subtask.depends_on if needed not in self.results]
        if missing:
            self._not_done(subtask, place, f"needs {', '.join(missing)}, which has no result")
            return
        if self.stop is not None:
            self._not_done(subtask, place, f"not started: {self.stop.reason}")
            return
        task = Task(self.goal, subtask.task, self.view(subtask.depends_on))
        try:
            result = await ctx.child(worker, task, key=self._key(subtask))
        except TurnLimit as limit:  # one subtask's own limit says nothing of the others
            self._lost(subtask, place, limit)
        except Stopped as stop:
            self.stop = self.stop or stop
            self._not_done(subtask, place, one_line(stop), stop)
        except NOT_A_FAILURE:
            raise
        except Exception as error:
            self._lost(subtask, place, error)
        else:
            if result is task:  # an optional worker was skipped: a task is no answer to itself
                self.failed[subtask.id] = "the worker was skipped"
            elif isinstance(result, Exception):  # handed over instead of raised: it is no answer all the same
                self._lost(subtask, place, result)
            else:
                await self._done(subtask, result)

    def view(self, ids: Mapping[str, Any] | list[str]) -> Results:
        """Results as a node is given them."""
        return Results({id: self.results[id] for id in ids}, {id: self.shown[id] for id in ids})

    async def _done(self, subtask: Subtask, result: Any) -> None:
        seen, tokens = await shown(self.ctx, result, self.max_result_tokens, subtask.worker)
        self.results[subtask.id] = result
        self.shown[subtask.id] = seen
        self.tokens[subtask.worker] = self.tokens.get(subtask.worker, 0) + tokens

    def _lost(self, subtask: Subtask, place: str, error: Exception) -> None:
        """The worker failed."""
        self.first_error = self.first_error or error
        self.failed[subtask.id] = one_line(error)
        self.ctx.skip(place, "the worker failed", error)

    def _not_done(self, subtask: Subtask, place: str, reason: str, error: Exception | None = None) -> None:
        self.failed[subtask.id] = reason
        self.ctx.skip(place, reason, error)
