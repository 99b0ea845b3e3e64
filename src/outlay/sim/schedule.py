"""One seed: a flow is run, broken off and taken up again until it ends, and the laws are held against what it left."""

from __future__ import annotations

import asyncio
import hashlib
from contextvars import copy_context
from dataclasses import dataclass
from random import Random
from typing import Any

from outlay.agents.agent import Agent
from outlay.errors import Conflict, OutlayError, RunTaken, StoreFailed
from outlay.events.codec import decode
from outlay.policies.watchdog import Watchdog
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.protocols.store import Row
from outlay.runtime.approvals import approve, deny
from outlay.runtime.asking import AGAIN, GIVE_UP, HAPPENED
from outlay.runtime.kept import input_json
from outlay.runtime.ownership import played
from outlay.runtime.pending import Pending
from outlay.runtime.preflight import walk
from outlay.runtime.result import Result
from outlay.runtime.run import run
from outlay.sim.distributions import LogNormal, Uniform
from outlay.sim.faults import Faults
from outlay.sim.growth import Grower
from outlay.sim.laws import Story, broken
from outlay.sim.loop import Standstill, VirtualLoop
from outlay.sim.precautions import Precautions
from outlay.sim.process import Process
from outlay.sim.standins import stand_ins
from outlay.sim.store import SimStore
from outlay.sim.world import World, acting
from outlay.stores.memory import MemoryStore
from outlay.values.budget import Budget

RUN = "simulated"
#: Legs in which anything may happen; later ones are left in peace, so that every run can end.
_WILD_LEGS = 6
_MOST_LEGS = 40
#: Virtual seconds after which a leg is said never to end.
_MOST_SECONDS = 30 * 86_400.0
#: Seconds between two tries to take over a run that somebody holds.
_KNOCK = 20.0
_MOST_KNOCKS = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed. `calls` are requests to the provider, `digest` that of all its durable events."""

    seed: int
    calls: int
    legs: int
    stop_reason: str
    violations: tuple[str, ...]
    digest: str


def simulate(
    seed: int,
    flow: Node[Any, Any] | None = None,
    input: Any = "go",
    budget: Budget | None = None,
    watchdog: Watchdog | None = None,
    precautions: bool | None = None,
    deps: Any = None,
) -> Outcome:
    """Play one seed with `flow`, or with a random one. The same seed gives the same outcome, byte for byte.

    `precautions`: whether the agents of a random flow have fallbacks, hedges, breakers and the like; by default those
    of half of the seeds do. `deps` is what all its processes have as `ctx.deps`.
    """
    schedule = Schedule(seed, flow, input, budget, watchdog, precautions, deps)
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(schedule.play())
    except Standstill as error:
        schedule.world.violations.append(f"it stands still: {'; '.join(error.waiting)}")
        return schedule.outcome(0, "standstill")


class Schedule:
    """The fate of one run under one seed."""

    def __init__(
        self,
        seed: int,
        flow: Node[Any, Any] | None,
        input: Any,
        budget: Budget | None,
        watchdog: Watchdog | None = None,
        precautions: bool | None = None,
        deps: Any = None,
    ) -> None:
        self.seed = seed
        self._watchdog = watchdog
        self._deps = deps
        self.world = World(seed)
        self._draw = draw = Random(f"schedule {seed}")  # noqa: S311 - a schedule, not a secret
        self._faults = Faults(
            seed,
            rates=draw.choice([0.0, 0.1, 0.3, 0.6]),
            latency=LogNormal(0.5, 0.8),
            length=draw.choice([None, Uniform(5, 120), Uniform(50, 400)]),
            quality=draw.choice([1.0, 0.9]),
        )
        self._input = input
        self._models: dict[str, Model] | None = None
        if flow is None:
            care = Precautions(Random(f"precautions {seed}"))  # noqa: S311
            careful = care.draw.random() < 0.5 if precautions is None else precautions
            drawn = Random(f"flow {seed}")  # noqa: S311
            grower = Grower(drawn, self.world.act, self._wrapped, seed, care if careful else None)
            self._flow: Node[Any, Any] = grower.flow()
            self._budget = grower.budgets() if budget is None else budget
            if careful and watchdog is None:
                self._watchdog = care.watchdog()
        else:
            self._flow, self._budget = flow, budget
            agents = (found for found in walk(flow) if isinstance(found, Agent))
            self._models = {name: self._wrapped(model) for name, model in stand_ins(agents).items()}
        self._answers = draw.random() < 0.4  # somebody is there to be asked
        self._disk = MemoryStore()
        #: What is durable in the end.
        self.rows: list[Row] = []

    def _wrapped(self, model: Model) -> Model:
        return self._faults.wrap(model, self.world.books)

    async def play(self) -> Outcome:
        reason, legs, knocks = "", 0, 0
        running: list[tuple[asyncio.Task[Any], Process]] = []
        asyncio.get_running_loop().set_exception_handler(_unless_dead)
        result: Result[Any] | None = None
        while legs < _MOST_LEGS:
            process = self._process(legs, knocks)
            legs += 1
            task = self._leg(process)
            stalled = asyncio.Event()
            process.on_stall = stalled.set
            leg = await self._watch(task, process, stalled)
            if leg is None:  # it stalls: somebody else thinks it dead
                running.append((task, process))
                continue
            result, reason = leg
            if reason == "taken" and knocks < _MOST_KNOCKS:
                legs, knocks = legs - 1, knocks + 1
                await asyncio.sleep(_KNOCK)
            elif result is None:
                await asyncio.sleep(self._draw.uniform(0, 30))
            elif reason == "approval" and result.pending:
                await self._decide(result)
            elif reason == "completed" or self._draw.random() < 0.8 or legs > _WILD_LEGS:
                break
        for task, process in running:
            await asyncio.wait([task], timeout=_MOST_SECONDS)
            if task.done():
                self._ended(task, process)
        if result is None:
            self._broken(f"it has not ended after {legs} legs ({reason})")
        elif reason == "completed":
            await self._asked_again(result)
        self.rows = await self._disk.events(RUN)
        events = [decode(row.body) for row in self.rows]
        stalled_for = sum(process.stall for process in self.world.processes if process.stalled_since is not None)
        story = Story(events, self.world.books.exchanges, self.world.acts, self._budget, stalled_for)
        self.world.violations += broken(story)
        return self.outcome(legs, reason)

    def outcome(self, legs: int, reason: str) -> Outcome:
        digest = hashlib.blake2b(digest_size=16)
        for row in self.rows:
            digest.update(row.body + b"\n")
        found = tuple(dict.fromkeys(self.world.violations))
        return Outcome(self.seed, len(self.world.books.exchanges), legs, reason, found, digest.hexdigest())

    # ── one leg ───────────────────────────────────────────────────────────────────────────────────────────

    def _process(self, leg: int, knocks: int = 0) -> Process:
        """The next process, with the end that is meant for it."""
        draw, process = self._draw, Process(f"process-{leg}.{knocks}")
        fate = draw.random() if leg < _WILD_LEGS else 1.0
        if fate < 0.5:
            process.dies_at = draw.choice([draw.randint(1, 20), draw.randint(1, 80), draw.randint(1, 400)])
        elif fate < 0.65:
            process.stalls_at, process.stall = draw.randint(1, 80), draw.uniform(1, 60)
        process.now = asyncio.get_running_loop().time
        self.world.processes.append(process)
        return process

    def _leg(self, process: Process) -> asyncio.Task[Any]:
        draw = self._draw
        speed = draw.choice([0.0, 0.001, 0.02, 0.3])
        store = SimStore(
            self._disk, process, delay=lambda: draw.uniform(0, speed) if speed else 0.0, torn=lambda: draw.random()
        )

        async def work() -> Result[Any]:
            acting.set(process)
            played.set(process.name)
            self.world.at_work.add(process.name)
            try:
                return await run(
                    self._flow,
                    self._input,
                    budget=self._budget,
                    deps=self._deps,
                    store=store,
                    run_id=RUN,
                    models=self._models,
                    on_event=lambda event: self.world.listen(process, event),
                    on_alert=(),
                    on_ask=self._answer if self._answers else None,
                    watchdog=self._watchdog,
                )
            finally:
                self.world.at_work.discard(process.name)

        task = asyncio.get_running_loop().create_task(work(), name=process.name, context=copy_context())

        def die() -> None:
            self.world.at_work.discard(process.name)
            store.die()
            task.cancel()

        process.on_death = die
        return task

    async def _watch(
        self, task: asyncio.Task[Any], process: Process, stalled: asyncio.Event
    ) -> tuple[Result[Any] | None, str] | None:
        """How a leg ended: its result, or why it has none; None where it stalls."""
        loop, draw = asyncio.get_running_loop(), self._draw
        cancelled_at: float | None = None
        stall = asyncio.ensure_future(stalled.wait())
        try:
            if draw.random() < 0.1:  # a user loses patience
                await asyncio.wait([task, stall], timeout=draw.uniform(0, 20), return_when="FIRST_COMPLETED")
                if not task.done() and not stall.done() and process.alive:
                    cancelled_at = loop.time()
                    task.cancel()
            await asyncio.wait([task, stall], timeout=_MOST_SECONDS, return_when="FIRST_COMPLETED")
        finally:
            stall.cancel()
        if not task.done() and stalled.is_set():
            await asyncio.wait([task], timeout=draw.uniform(0, 30))
            if not task.done():
                return None
        if not task.done():
            self._broken(f"{process.name} does not end")
            task.cancel()
            return None, "endless"
        if cancelled_at is not None and process.alive and loop.time() - cancelled_at > 1 + process.stall:
            self._broken(f"{process.name} worked on for {loop.time() - cancelled_at:g} s after it was cancelled")
        self._left(process, cancelled_at)
        return self._ended(task, process)

    def _left(self, process: Process, cancelled_at: float | None) -> None:
        """A run that is over leaves no connection open, and asks for nothing after it was cancelled."""
        mine = [exchange for exchange in self.world.books.exchanges if exchange.by == process.name]
        if left := [exchange for exchange in mine if exchange.ended is None]:
            self._broken(f"{process.name} is over and {len(left)} of its requests are not ({left[0].path})")
        if cancelled_at is not None and (late := [e for e in mine if e.began > cancelled_at]):
            self._broken(f"{process.name} was cancelled and sent {len(late)} requests after that ({late[0].path})")

    def _ended(self, task: asyncio.Task[Any], process: Process) -> tuple[Result[Any] | None, str]:
        if not process.alive:
            if not task.cancelled():
                task.exception()  # what a dead process raises reaches nobody
            return None, "crashed"
        if task.cancelled():
            return None, "cancelled"
        error = task.exception()
        if isinstance(error, Conflict):
            return None, "taken"
        if error is not None:
            self._broken(f"run raised {type(error).__name__}: {error}".partition("\n")[0])
            return None, "raised"
        result: Result[Any] = task.result()
        if isinstance(result.error, RunTaken):
            return None, "taken"
        return result, result.stop_reason

    # ── people ────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, item: Pending) -> str:
        draw = Random(f"{self.seed}:{item.id}:{item.kind}")  # noqa: S311 - a schedule, not a secret
        if item.kind == "in_doubt":
            return draw.choice([HAPPENED, HAPPENED, AGAIN, GIVE_UP])
        return draw.choice(item.options) if item.options else "yes"

    async def _decide(self, result: Result[Any]) -> None:
        """People decide, some of what there is to decide, after a while."""
        await asyncio.sleep(self._draw.choice([1.0, 600.0, 86_400.0]))
        store = self._disk.connection()
        for item in result.pending:
            answer = self._answer(item)
            try:
                if answer == "deny":
                    await deny(item.id, store=store, by="somebody", reason="no")
                else:
                    await approve(item.id, store=store, by="somebody", answer=answer)
            except Conflict:
                pass  # its deadline has passed
            except OutlayError as error:
                self._broken(f"{item.kind} {item.question[:60]!r} could not be decided: {error.message}")

    async def _asked_again(self, result: Result[Any]) -> None:
        """A run that is over gives its result once more, for nothing."""
        sent, rows = len(self.world.books.exchanges), len(await self._disk.events(RUN))
        process = self._process(_WILD_LEGS)
        task = self._leg(process)
        await asyncio.wait([task], timeout=_MOST_SECONDS)
        again, reason = self._ended(task, process)
        if again is None or again.error is not None:
            self._broken(f"the finished run gives no result again: {reason} {again and again.error!r}")
        elif input_json(again.output) != input_json(result.output) or again.bill.total != result.bill.total:
            self._broken(f"the finished run gave {result.output!r:.80}, and then {again.output!r:.80}")
        if len(self.world.books.exchanges) != sent or len(await self._disk.events(RUN)) != rows:
            self._broken("the finished run did something when it was asked for again")

    def _broken(self, law: str) -> None:
        self.world.violations.append(law)


def _unless_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What becomes of a dead process's own tasks reaches nobody, and nobody need hear of it."""
    if not isinstance(context.get("exception"), StoreFailed):
        loop.default_exception_handler(context)
