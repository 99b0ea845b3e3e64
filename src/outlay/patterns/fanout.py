"""FanOut: many at once. One worker over many items, or many workers over one input."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, Unpack, cast, overload

from outlay.agents.agent import Agent
from outlay.agents.content import as_text
from outlay.agents.function import as_node
from outlay.agents.previews import MAX_RESULT_TOKENS, shown
from outlay.errors import ConfigError, Stopped, TurnLimit, one_line
from outlay.patterns.pattern import NOT_A_FAILURE, Budgets, Common, Pattern, Step
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.protocols.signature import call
from outlay.values.plan import ResultList, Results

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
X = TypeVar("X")
OnError = Literal["skip", "raise"]


class Limits(Common, total=False):
    """How wide a fan-out runs, and what it makes of failures."""

    max_parallel: int | None
    min_success: int
    on_error: OnError
    max_result_tokens: int


@dataclass(frozen=True, slots=True)
class Job:
    """One worker on one value. `key` is its identity, `index` what is shown; workers of a list have neither."""

    node: Node[Any, Any]
    value: Any
    key: str | None = None
    index: int | None = None

    @property
    def name(self) -> str:
        return self.node.name if self.index is None else f"{self.node.name}[{self.index}]"


@dataclass(slots=True)
class Outcomes:
    """What the jobs gave, by position, whatever order they finished in."""

    results: dict[int, Any] = field(default_factory=dict[int, Any])
    errors: dict[int, Exception] = field(default_factory=dict[int, Exception])
    #: Jobs that a stop kept from a result, and that are told already.
    stopped: set[int] = field(default_factory=set[int])
    stop: Stopped | None = None

    def gathered(self, jobs: Sequence[Job], by_name: bool) -> Any:
        """Successes in input order: a list, or a dict by worker name."""
        done = sorted(self.results)
        return {jobs[i].node.name: self.results[i] for i in done} if by_name else [self.results[i] for i in done]


@dataclass(frozen=True, eq=False, init=False)
class FanOut(Pattern[In, Out]):
    """Run workers at the same time.

    One worker runs over a list, or over what `split` makes of the input, and gives a list in input order. A list of
    workers each gets the same input and gives a dict by name. Failures are left out and stand in
    `Result.skipped`; fewer than `min_success` raise the first error. `merge` turns the list or dict into the output;
    what its one call may cost is set aside from the start, so that a budget stop still ends with an answer. A `merge`
    that is an agent reads a result over `max_result_tokens` by its beginning; the whole is an artifact.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="all at once, or `max_parallel`; wall time is that of the slowest",
        cost="n calls, and one for `merge`",
        best_when="parts do not need one another: many items, or many views of one",
        worst_when="parts build on one another, or one agent could read all of it at once",
        ends="when all have finished",
        failed_member=Consequence(
            "goes on", "left out and skipped; raised below `min_success`, or if `on_error` says so"
        ),
        at_budget=Consequence(
            "best so far", "the results so far; with `merge`, what it makes of them: its call is set aside"
        ),
        at_deadline=Consequence("best so far", "the results so far; with `merge` no output, they are in `.partial`"),
    )

    worker: Node[Any, Any] | tuple[Node[Any, Any], ...] = field(default=())
    split: Callable[..., Any] | None = None
    merge: Node[Any, Any] | None = None
    max_parallel: int | None = None
    min_success: int = 1
    on_error: OnError = "skip"
    max_result_tokens: int = MAX_RESULT_TOKENS

    @overload
    def __init__(self: FanOut[list[A], list[B]], worker: Node[A, B], **limits: Unpack[Limits]) -> None: ...
    @overload
    def __init__(self: FanOut[A, dict[str, B]], worker: Sequence[Node[A, B]], **limits: Unpack[Limits]) -> None: ...
    @overload
    def __init__(
        self: FanOut[X, list[B]], worker: Node[A, B], split: Callable[[X], Iterable[A]], **limits: Unpack[Limits]
    ) -> None: ...
    @overload
    def __init__(
        self: FanOut[Any, C],
        worker: Any,
        split: Callable[..., Any] | None = ...,
        *,
        merge: Step[Any, C],
        **limits: Unpack[Limits],
    ) -> None: ...
    @overload
    def __init__(
        self: FanOut[Any, Any],
        worker: Any,
        split: Callable[..., Any] | None = ...,
        merge: Any = ...,
        max_parallel: int | None = ...,
        min_success: int = ...,
        on_error: OnError = ...,
        max_result_tokens: int = ...,
        **common: Unpack[Common],
    ) -> None: ...
    def __init__(
        self,
        worker: Any,
        split: Callable[..., Any] | None = None,
        merge: Any = None,
        max_parallel: int | None = None,
        min_success: int = 1,
        on_error: OnError = "skip",
        max_result_tokens: int = MAX_RESULT_TOKENS,
        *,
        name: str = "",
        description: str = "",
        budget: Budgets = None,
        optional: bool = False,
    ) -> None:
        several = isinstance(worker, list | tuple)
        workers: tuple[Any, ...] = tuple(cast("Sequence[Any]", worker)) if several else ()
        if several and not worker:
            raise ConfigError("FanOut was given an empty list of workers")
        if several and split is not None:
            raise ConfigError("FanOut: split= is for one worker; a list of workers all get the same input")
        if len({id(one) for one in workers}) < len(workers):
            raise ConfigError(
                "FanOut: the same worker stands twice in the list, and results are told apart by name",
                hint="for several answers of one worker give it a list: FanOut(worker) over [input] * 3",
            )
        if split is not None and not callable(split):
            raise ConfigError(f"FanOut: split= is a function that makes a list of the input, not {split!r}")
        if max_parallel is not None and max_parallel < 1:
            raise ConfigError(f"FanOut: max_parallel must be at least 1, not {max_parallel}")
        if min_success < 0:
            raise ConfigError(f"FanOut: min_success must not be negative: {min_success}")
        if on_error not in ("skip", "raise"):
            raise ConfigError(f"FanOut: on_error is 'skip' or 'raise', not {on_error!r}")
        if max_result_tokens < 1:
            raise ConfigError(f"FanOut: max_result_tokens must be at least 1, not {max_result_tokens}")
        fields = {
            "max_result_tokens": max_result_tokens,
            "worker": tuple(as_node(one) for one in workers) if several else as_node(worker),
            "split": split,
            "merge": None if merge is None else as_node(merge),
            "max_parallel": max_parallel,
            "min_success": min_success,
            "on_error": on_error,
            "name": name,
            "description": description,
            "budget": budget,
            "optional": optional,
        }
        for key, value in fields.items():
            object.__setattr__(self, key, value)
        self.__post_init__()

    @property
    def input_type(self) -> Any:
        if isinstance(self.worker, tuple):
            return self.worker[0].input_type
        if self.split is not None:
            return as_node(self.split).input_type
        one = self.worker.input_type
        return list[str if one is None else one]

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        workers = self.worker if isinstance(self.worker, tuple) else (self.worker,)
        return workers if self.merge is None else (*workers, self.merge)

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        jobs = await self._jobs(ctx, input)
        if self.merge is not None:
            ctx.reserve_finish(self.merge)
        outcomes = Outcomes()
        ctx.if_stopped(lambda: self._cut_off(ctx, jobs, outcomes))
        try:
            await self._all(ctx, jobs, outcomes)
        finally:  # at a deadline, too
            for i, error in sorted(outcomes.errors.items()):
                ctx.skip(jobs[i].name, "the worker failed", error)
        found = outcomes.gathered(jobs, by_name=isinstance(self.worker, tuple))
        if outcomes.stop is not None and (self.merge is None or len(outcomes.results) < max(1, self.min_success)):
            raise outcomes.stop.with_best(found or None if self.merge is None else None, ctx.path)
        if len(outcomes.results) < min(self.min_success, len(jobs)):
            raise outcomes.errors[min(outcomes.errors)]
        if self.merge is None:
            return found
        if isinstance(self.merge, Agent):
            found = await self._as_read(ctx, found)
        return await ctx.child(self.merge, found, origin=input, finishing=True)

    def _cut_off(self, ctx: RunContext[Any], jobs: Sequence[Job], outcomes: Outcomes) -> Any:
        """The deadline is here: the results so far, if they are the output. What has none is told."""
        told = outcomes.results.keys() | outcomes.errors.keys() | outcomes.stopped
        for i in sorted(set(range(len(jobs))) - told):
            ctx.skip(jobs[i].name, "not finished: deadline")
        if self.merge is not None:
            return None
        return outcomes.gathered(jobs, by_name=isinstance(self.worker, tuple)) or None

    async def _as_read(self, ctx: RunContext[Any], found: Any) -> Any:
        """The results as an agent is to read them: long ones by their beginning."""
        most = self.max_result_tokens
        if isinstance(found, dict):
            by_name = cast("dict[str, Any]", found)
            return Results(by_name, {name: (await shown(ctx, one, most, name))[0] for name, one in by_name.items()})
        in_order, worker = cast("list[Any]", found), cast("Node[Any, Any]", self.worker).name
        return ResultList(in_order, [(await shown(ctx, one, most, worker))[0] for one in in_order])

    async def _jobs(self, ctx: RunContext[Any], input: Any) -> list[Job]:
        if isinstance(self.worker, tuple):
            return [Job(worker, input) for worker in self.worker]
        items: Any = input if self.split is None else await call(self.split, ctx, input)
        if isinstance(items, str | bytes) or not isinstance(items, Iterable):
            raise ConfigError(
                f"{ctx.path}: FanOut over one worker needs a list, and got {type(items).__name__}",
                hint="give a list, or split= a function that makes one of the input",
            )
        seen: Counter[str] = Counter()
        jobs: list[Job] = []
        for index, item in enumerate(cast("Iterable[Any]", items)):
            # identity by content: a list that is reordered between two runs still finds its records
            key = hashlib.blake2b(as_text(item).encode(errors="surrogatepass"), digest_size=8).hexdigest()
            jobs.append(Job(self.worker, item, f"{key}-{seen[key]}", index))
            seen[key] += 1
        return jobs

    async def _all(self, ctx: RunContext[Any], jobs: Sequence[Job], outcomes: Outcomes) -> None:
        gate = asyncio.Semaphore(self.max_parallel or max(1, len(jobs)))

        async def one(i: int, job: Job) -> None:
            async with gate:
                if outcomes.stop is not None:
                    outcomes.stopped.add(i)
                    ctx.skip(job.name, f"not started: {outcomes.stop.reason}")
                    return
                try:
                    outcomes.results[i] = await ctx.child(job.node, job.value, key=job.key, index=job.index)
                except TurnLimit as limit:  # one item's own limit says nothing of the others
                    outcomes.errors[i] = limit
                except Stopped as stop:  # what is in flight goes on: it is paid for
                    outcomes.stop = outcomes.stop or stop
                    outcomes.stopped.add(i)
                    ctx.skip(job.name, one_line(stop), stop)
                except NOT_A_FAILURE:
                    raise
                except Exception as error:
                    if self.on_error == "raise":
                        raise
                    outcomes.errors[i] = error

        await ctx.gather(*(one(i, job) for i, job in enumerate(jobs)))
