"""The system clock is set forward or back under a run: what is measured goes on, what is dated stays on the safe side.

Deadlines, breakers and waits are counted on the loop's clock, which nobody sets. Leases and windows of budgets are
dated, because processes and days share them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextvars import copy_context
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from flows import cents, dear, of_kind, worker

from outlay import Agent, Budget, Result, RunContext, node, run
from outlay.analysis.trace import trace
from outlay.errors import Conflict, Overloaded, RateLimited, RunTaken
from outlay.events import CallStarted, CircuitChanged
from outlay.patterns import FanOut
from outlay.policies.window import Books
from outlay.protocols.documents import Change
from outlay.runtime.ownership import LEASE_SECONDS, LEASES, played
from outlay.runtime.windows import COLLECTION
from outlay.sim import VirtualLoop
from outlay.stores.memory import MemoryStore
from outlay.testing import ScriptedModel

A = TypeVar("A")
HOUR, DAY = 3_600.0, 86_400.0


class Jumpy(VirtualLoop):
    """A machine whose clock is set anew while it runs: by so many seconds, at a moment of loop time."""

    set_by: float = 0.0

    def wall(self) -> float:
        return super().wall() + self.set_by


def set_clock(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Jumpy)
    loop.set_by += seconds


def on_jumpy(work: Coroutine[Any, Any, A]) -> A:
    with asyncio.Runner(loop_factory=Jumpy) as runner:
        return runner.run(work)


async def jumping(work: Coroutine[Any, Any, A], seconds: float, at: float) -> A:
    asyncio.get_running_loop().call_later(at, set_clock, seconds)
    return await work


def as_process(name: str, work: Coroutine[Any, Any, A]) -> asyncio.Task[A]:
    """Run it as another process would, with its own name among the owners."""

    async def named() -> A:
        played.set(name)
        return await work

    return asyncio.get_running_loop().create_task(named(), context=copy_context())


jumps = pytest.mark.parametrize("by", [HOUR, -HOUR, 400 * DAY, -400 * DAY], ids=["+1 h", "-1 h", "+400 d", "-400 d"])


@jumps
def test_a_deadline_is_as_far_away_as_it_was(by: float) -> None:
    """Ten seconds of work within twelve are done; within eight they end as `deadline` after eight."""
    flow = worker(latency=10.0)
    done = on_jumpy(jumping(run(flow, "x", budget=Budget(seconds=12)), by, at=5))
    assert (done.stop_reason, done.seconds) == ("completed", 10)
    late = on_jumpy(jumping(run(flow, "x", budget=Budget(seconds=8)), by, at=5))
    assert (late.stop_reason, late.seconds) == ("deadline", 8)


@jumps
def test_a_wait_that_a_provider_asked_for_is_as_long_as_it_was(by: float) -> None:
    flow = Agent("a", dear([RateLimited("slow", retry_after=30), cents(1, "fine")]))
    result = on_jumpy(jumping(run(flow, "x"), by, at=5))
    assert result.output == "fine"
    assert 30 <= result.seconds <= 30.5


@jumps
def test_a_circuit_is_probed_and_closes_as_if_nothing_had_happened(by: float) -> None:
    """Down for a hundred seconds, and the clock is set in the middle of it."""

    async def answer(request: Any) -> str:
        if asyncio.get_running_loop().time() < 100:
            raise Overloaded("busy", status=529)
        return "fine"

    flow = Agent("a", ScriptedModel(answer))

    async def users() -> list[Result[Any]]:
        async def one(i: int) -> Result[Any]:
            await asyncio.sleep(i)
            return await run(flow, "x", on_alert=lambda alert: None)

        return await asyncio.gather(*(one(i) for i in range(140)))

    results = on_jumpy(jumping(users(), by, at=50))
    assert [event.state for result in results for event in of_kind(result, CircuitChanged)] == ["open", "closed"]
    assert all(result.output == "fine" for result in results[130:])


@jumps
def test_a_run_under_way_can_be_read_and_billed(by: float) -> None:
    """Its events stand in their order, whatever their dates say, and no duration is negative."""
    result = on_jumpy(jumping(run(FanOut(worker(latency=3.0)), ["x", "y"]), by, at=1))
    assert result.bill.total == Decimal("0.02")
    assert [line.seconds for line in result.bill.lines] == [3.0, 3.0]
    assert [row.latency_ms for row in trace(result.events)] == [3000.0, 3000.0]


# ── leases ────────────────────────────────────────────────────────────────────────────────────────────────


def long_work() -> Any:
    agent = Agent("a", dear(lambda request: cents(1, request.text), latency=2.0))

    @node(name="work", children=(agent,))
    async def work(ctx: RunContext, text: str) -> str:
        return " ".join([await ctx.run(agent, f"{text}{i}") for i in range(30)])

    return work


@jumps
def test_a_run_that_somebody_works_on_is_his(by: float) -> None:
    """He has renewed his lease since the clock was set, or does so within seconds: another process is refused."""

    async def go() -> tuple[Result[Any], list[BaseException | Result[Any]]]:
        store = MemoryStore()
        mine = as_process("one", run(long_work(), "x", store=store.connection(), run_id="r"))
        await asyncio.sleep(7)
        set_clock(by)
        refused: list[BaseException | Result[Any]] = []
        for wait in (LEASE_SECONDS / 2, 1.0):
            await asyncio.sleep(wait)
            theirs = as_process("two", run(long_work(), "x", store=store.connection(), run_id="r"))
            refused += await asyncio.gather(theirs, return_exceptions=True)
        return await mine, refused

    mine, refused = on_jumpy(go())
    assert mine.stop_reason == "completed"
    assert all(isinstance(error, Conflict) for error in refused)


def test_a_lease_that_ran_out_by_a_jump_costs_nothing_twice() -> None:
    """In the first seconds after the clock went forward the run looks free, and is taken: whoever had it can write no
    more, and what he had under way is said to be sent again."""

    async def go() -> tuple[Result[Any], Result[Any]]:
        store = MemoryStore()
        mine = as_process("one", run(long_work(), "x", store=store.connection(), run_id="r"))
        await asyncio.sleep(6)
        set_clock(HOUR)
        theirs = as_process("two", run(long_work(), "x", store=store.connection(), run_id="r"))
        return await mine, await theirs

    mine, theirs = on_jumpy(go())
    assert isinstance(mine.error, RunTaken)
    assert theirs.stop_reason == "completed"
    begun = [event.key for event in of_kind(theirs, CallStarted)]
    assert len(set(begun)) == 30
    assert len(begun) <= 31
    assert theirs.bill.total == Decimal("0.30")


def test_a_dead_ones_lease_from_before_the_clock_was_set_back_is_waited_for_once() -> None:
    """By its date it holds for an hour; nobody renews it, so it is over after the seconds that any lease lasts."""

    async def go() -> tuple[Result[Any], float]:
        store = MemoryStore()
        dead = as_process("one", run(long_work(), "x", store=store.connection(), run_id="r"))
        await asyncio.sleep(7)
        lease = (await store.list(LEASES))[0]
        dead.cancel()
        await asyncio.gather(dead, return_exceptions=True)
        until = json.loads(lease.body)["until"]
        await store.commit((Change(LEASES, lease.key, json.dumps({"until": until}).encode(), None),))
        set_clock(-HOUR)
        now = asyncio.get_running_loop().time
        since = now()
        done = await as_process("two", run(long_work(), "x", store=store.connection(), run_id="r"))
        return done, now() - since - done.seconds

    done, waited = on_jumpy(go())
    assert done.stop_reason == "completed"
    assert waited <= LEASE_SECONDS + 0.1


# ── budgets that count across runs ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("days", [1, -1, 3, -3, 40, -40])
def test_a_budget_of_a_day_is_never_passed(days: int) -> None:
    """Whatever the clock does, each window's books stay within its limit, and a window that a later one has followed
    does not come back."""

    async def go() -> tuple[dict[str, Decimal], list[Result[Any]]]:
        store = MemoryStore()
        budget = Budget(usd="0.05", scope="tenant:acme", per="day", on_exhausted="finish")
        results: list[Result[Any]] = []
        for by in (0, days * DAY, -days * DAY, days * DAY):
            set_clock(by)
            for _ in range(2):
                flow = FanOut(worker(), min_success=0)
                results.append(await run(flow, list("abcd"), store=store, budget=budget, on_alert=lambda alert: None))
        documents = await store.list(COLLECTION)
        return {found.key: Books.load(found.body).committed.usd for found in documents}, results

    spent, results = on_jumpy(go())
    assert all(usd <= Decimal("0.05") for usd in spent.values())
    assert sum(spent.values()) == sum(result.bill.total or 0 for result in results)
    assert len(spent) == (2 if days > 0 else 1)
