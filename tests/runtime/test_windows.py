"""Budgets that count across runs: in the store, by day or month, for all processes on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from flows import at_once, dear, of_kind, worker

from outlay import Agent, Budget, RunContext, fork, node, run, run_many, run_sync, stream
from outlay.errors import BadResponse, BudgetExceeded, ConfigError, UnpricedModel
from outlay.events import RunResumed
from outlay.patterns import FanOut, Pipeline
from outlay.policies.window import Books
from outlay.protocols.documents import Change
from outlay.runtime.windows import COLLECTION
from outlay.sim import VirtualClock, VirtualLoop
from outlay.stores.memory import MemoryStore
from outlay.testing import ScriptedModel

A = TypeVar("A")
DAY = 86_400.0


def acme(usd: Any = "0.10", per: Any = "day", **options: Any) -> Budget:
    return Budget(usd=usd, scope="tenant:acme", per=per, **options)


def on(clock: VirtualClock, work: Coroutine[Any, Any, A]) -> A:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(work)


def books(store: Any, label: str = "day/tenant:acme/2026-01-01") -> Books:
    found = at_once(store.read(COLLECTION, label))
    return Books.load(None if found is None else found.body)


class Counting(MemoryStore):
    """Counts what a store on a server would have to be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Change] = []

    async def commit(self, changes: Any) -> tuple[int, ...]:
        self.commits += [change for change in changes if change.collection == COLLECTION]
        return await super().commit(changes)


# ── across runs ───────────────────────────────────────────────────────────────────────────────────────────


def test_runs_share_the_money_of_a_day() -> None:
    """Seven cents, then three of the next seven: no call starts that could overshoot, and the next run gets none."""
    store = MemoryStore()
    flow = FanOut(worker())
    first = at_once(run(flow, list("abcdefg"), store=store, budget=acme()))
    assert (first.stop_reason, len(first.output)) == ("completed", 7)
    second = at_once(run(flow, list("abcdefg"), store=store, budget=acme()))
    assert (second.stop_reason, len(second.output)) == ("budget", 3)
    third = at_once(run(worker(), "x", store=store, budget=acme()))
    assert (third.stop_reason, third.output) == ("budget", None)
    assert books(store).spent.usd == Decimal("0.10")
    assert books(store).leases == {}


def test_the_error_names_scope_window_and_renewal() -> None:
    """The facts of the stop are attributes, and its text says when to come back."""
    store = MemoryStore()
    at_once(run(worker(cost=7, cap=7), "x", store=store, budget=acme()))
    error = at_once(run(worker(cost=7, cap=7), "x", store=store, budget=acme())).error
    assert isinstance(error, BudgetExceeded)
    assert (error.scope, error.resource, error.limit, error.spent) == (
        "tenant:acme",
        "usd",
        Decimal("0.10"),
        Decimal("0.07"),
    )
    assert "tenant:acme has used $0.07" in str(error)
    assert "day 2026-01-01" in str(error)
    assert "renews at 2026-01-02 00:00 UTC" in str(error)


@pytest.mark.parametrize(("per", "seconds"), [("day", DAY), ("month", 31 * DAY)])
def test_the_next_window_begins_with_the_whole_amount(per: Any, seconds: float) -> None:
    """At midnight UTC, or on the first of the month; a second before, it is still the old one."""
    store, clock = MemoryStore(), VirtualClock()
    limit = acme("0.01", per)

    def stopped() -> str:
        return on(clock, run(worker(latency=0), "x", store=store, budget=limit)).stop_reason

    assert stopped() == "completed"
    clock.advance_to(seconds - 1)
    assert stopped() == "budget"
    clock.advance_to(seconds)
    assert [stopped(), stopped()] == ["completed", "budget"]


def test_a_run_over_midnight_pays_each_call_in_its_own_day() -> None:
    """What began before midnight settles in the old window."""
    store, clock = MemoryStore(), VirtualClock()
    clock.advance_to(DAY - 10)

    @node
    async def late(ctx: RunContext, _: str) -> None:
        for _ in range(3):
            await ctx.run(worker(latency=6), "x")

    assert on(clock, run(late, "", store=store, budget=acme())).stop_reason == "completed"
    assert books(store).spent.usd == Decimal("0.02")
    assert books(store, "day/tenant:acme/2026-01-02").spent.usd == Decimal("0.01")


def test_a_clock_that_goes_backwards_opens_no_old_window() -> None:
    """Another process, or this one restarted, has a clock of yesterday: yesterday's money stays closed."""
    store = MemoryStore()
    tomorrow = VirtualClock()
    tomorrow.advance_to(DAY)
    on(tomorrow, run(worker(), "x", store=store, budget=acme("0.01")))
    again = on(VirtualClock(), run(worker(), "x", store=store, budget=acme("0.01")))
    assert again.stop_reason == "budget"
    assert "2026-01-02" in str(again.error)


def test_scopes_and_windows_do_not_meet() -> None:
    """Another tenant, and another kind of window of the same one, have their own money; several hold at once."""
    store = MemoryStore()
    month, other = acme("0.02", "month"), Budget(usd="0.01", scope="tenant:other", per="day")
    assert at_once(run(worker(), "x", store=store, budget=[acme("0.01"), month])).output == "x"
    assert at_once(run(worker(), "x", store=store, budget=other)).output == "x"
    stopped = at_once(run(worker(), "x", store=store, budget=[month, acme("0.01")]))
    assert stopped.stop_reason == "budget"
    assert at_once(run(worker(), "x", store=store, budget=month)).output == "x"
    assert books(store, "month/tenant:acme/2026-01").spent.calls == 2
    assert books(store, "month/tenant:acme/2026-01").leases == {}


def test_tokens_and_calls_have_windows_too() -> None:
    """Each limit counts; the error is in its unit."""
    store = MemoryStore()
    calls = Budget(calls=2, scope="a", per="day")
    assert len(at_once(run(FanOut(worker()), list("abc"), store=store, budget=calls)).output) == 2
    tokens = Budget(tokens=300, scope="b", per="day")
    result = at_once(run(FanOut(worker()), list("abcdef"), store=store, budget=tokens))
    assert result.stop_reason == "budget"
    assert isinstance(result.error, BudgetExceeded) or result.output
    used = books(store, "day/b/2026-01-01").spent.tokens
    assert 200 <= used <= 300


def test_an_agents_own_window_counts_its_calls_only() -> None:
    """`Agent(budget=Budget(scope=…))`, wherever it runs."""
    store = MemoryStore()
    flow = Pipeline(worker("a", budget=acme("0.01")), worker("b"))
    assert at_once(run(flow, "x", store=store)).output == "x"
    assert at_once(run(flow, "x", store=store)).stop_reason == "budget"
    assert books(store).spent.calls == 1


def test_rows_of_a_map_share_it_and_a_stream_counts() -> None:
    """One budget over all rows; the rest is for the next."""
    store = MemoryStore()

    async def main() -> Any:
        rows = [(i, str(i)) for i in range(20)]
        found = [r async for _, r in run_many(worker(), rows, store=store, budget=acme(), concurrency=3)]
        async with stream(worker(), "x", store=store, budget=acme("0.11")) as s:
            async for _ in s:
                pass
        return sum(r.stop_reason == "completed" for r in found), s.result.stop_reason

    assert at_once(main()) == (10, "completed")
    assert books(store).spent.usd == Decimal("0.11")


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_for_another_run_beats_refusing() -> None:
    """A call that reserves four cents and costs one: two runs at once get 97 of 100 through $1, not 25."""
    store = MemoryStore()

    async def main() -> Any:
        flow = FanOut(worker(cost=1, cap=4))
        return await asyncio.gather(
            *(run(flow, [str(i) for i in range(60)], store=store, budget=acme(1)) for _ in range(2))
        )

    one, two = at_once(main())
    assert len(one.output) + len(two.output) >= 97
    assert books(store).committed.usd <= 1


def test_a_large_call_is_not_overtaken_for_ever() -> None:
    """Twelve branches of small calls without a pause, and one call that needs most of the money free at once."""
    store = MemoryStore()
    small, large = worker("small", cost=0, cap=4), worker("large", cost=1, cap=160)
    done: list[str] = []

    @node
    async def busy(ctx: RunContext, _: str) -> None:
        async def branch(i: int) -> None:
            await ctx.sleep(i / 20)
            for _ in range(10):
                done.append(await ctx.run(small, "small"))

        async def one() -> None:
            await ctx.sleep(0.5)
            done.append(await ctx.run(large, "large"))

        await ctx.gather(*(branch(i) for i in range(12)), one())

    assert at_once(run(busy, "", store=store, budget=acme("1.62"))).stop_reason == "completed"
    assert done.index("large") < 40  # of 121


def test_a_window_and_a_budget_of_the_run_are_taken_at_once() -> None:
    """Whichever binds stops it; nothing stays held of the other."""
    store = MemoryStore()
    flow = FanOut(worker(cost=1, cap=2))
    for own, shared, finished in (("0.05", "1.00", 4), ("1.00", "0.07", 2)):
        result = at_once(run(flow, list("abcdefgh"), store=store, budget=[Budget(usd=own), acme(shared)]))
        assert (result.stop_reason, len(result.output)) == ("budget", finished)
    assert books(store).spent.usd == Decimal("0.06")
    assert books(store).leases == {}


def test_near_the_end_the_output_cap_is_clipped() -> None:
    """Down to what the agent declares; the stop of an answer that does not fit names the window."""
    store = MemoryStore()
    agent = Agent("a", dear(["short"] * 9), max_output_tokens=1000, min_output_tokens=100)
    result = at_once(run(agent, "", store=store, budget=acme("0.05")))
    assert result.output == "short"
    long = Agent("a", dear(["long " * 500]), max_output_tokens=1000, min_output_tokens=100)
    broken = at_once(run(long, "", store=store, budget=acme("0.05")))
    assert isinstance(broken.error, BudgetExceeded)
    assert broken.error.scope == "tenant:acme"
    assert "left room for" in str(broken.error)


def test_a_share_that_lies_idle_is_there_for_others() -> None:
    """One run draws, and then thinks for an hour: the other need not wait for it."""
    store = MemoryStore()

    @node
    async def thinks(ctx: RunContext, _: str) -> None:
        await ctx.run(worker(), "x")
        await ctx.sleep(3600)

    async def main() -> Any:
        idle = asyncio.create_task(run(thinks, "", store=store, budget=acme(1)))
        await asyncio.sleep(5)
        leased = Books.load((await store.read(COLLECTION, "day/tenant:acme/2026-01-01")).body).leases  # type: ignore
        idle.cancel()
        return leased

    leases = at_once(main())
    assert [lease.amount.usd for lease in leases.values()] == [Decimal("0.01")]  # what it has used


# ── exact ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_calls_do_not_pay_a_round_trip_each() -> None:
    """200 calls in a row cost a few commits of the shared document, not two each."""
    store = Counting()

    @node
    async def many(ctx: RunContext, _: str) -> None:
        for _ in range(200):
            await ctx.run(worker(latency=0.01), "x")

    assert at_once(run(many, "", store=store, budget=acme(50))).stop_reason == "completed"
    assert books(store).spent.usd == 2
    assert len(store.commits) <= 12


def test_what_may_have_been_billed_is_in_doubt() -> None:
    """It counts against the limit, apart from what is known."""
    store = MemoryStore()
    torn = Agent("a", dear([BadResponse("torn")] * 9), max_output_tokens=200)
    assert at_once(run(torn, "", store=store, budget=acme())).stop_reason == "error"
    found = books(store)
    assert found.spent.usd == 0
    assert found.doubt.usd > 0
    assert found.committed.usd <= Decimal("0.10")


def test_a_resumed_run_counts_each_leg_once_and_a_fork_only_itself() -> None:
    """Five calls of six in the first leg, one in the second; the fork repeats one of them."""
    store = MemoryStore()
    flow = FanOut(worker(), name="fan")
    items = list("abcdef")
    first = at_once(run(flow, items, store=store, run_id="r", budget=[acme(), Budget(calls=5)]))
    assert first.stop_reason == "budget"
    assert books(store).spent.usd == Decimal("0.05")
    second = at_once(run(flow, items, store=store, run_id="r", budget=acme()))
    assert (second.stop_reason, len(of_kind(second, RunResumed))) == ("completed", 1)
    assert books(store).spent.usd == Decimal("0.06")
    third = at_once(run(flow, items, store=store, run_id="r", budget=acme()))
    assert third.output == second.output
    assert books(store).spent.usd == Decimal("0.06")
    at_once(fork("r", flow, store=store, at="fan/worker[2]", budget=acme()))
    assert books(store).spent.usd == Decimal("0.07")


def test_alerts_come_once_over_all_runs() -> None:
    """50, 80 and 95 per cent of the window, whichever run crosses them."""
    store = MemoryStore()
    heard: list[tuple[str, int]] = []
    for _ in range(10):
        at_once(
            run(
                worker(),
                "x",
                store=store,
                budget=acme(),
                on_alert=lambda alert: heard.append((alert.scope, alert.percent)),
            )
        )
    assert heard == [("tenant:acme", 50), ("tenant:acme", 80), ("tenant:acme", 95)]


def test_pause_and_raise_work_as_ever() -> None:
    """`on_exhausted` belongs to the budget that binds."""
    store = MemoryStore()
    paused = at_once(run(worker(), "x", store=store, run_id="r", budget=acme("0.001", on_exhausted="pause")))
    assert (paused.stop_reason, [item.kind for item in paused.pending]) == ("budget", ["budget"])
    assert at_once(run(worker(), "x", store=store, run_id="r", budget=acme("1"))).output == "x"
    with pytest.raises(BudgetExceeded) as raised:
        at_once(run(worker(), "x", store=store, budget=acme("0.001", on_exhausted="raise")))
    assert raised.value.result.stop_reason == "budget"


def test_what_is_left_is_what_all_have_left() -> None:
    """`ctx.budget` sees the window from the start."""
    store = MemoryStore()
    at_once(run(worker(cost=6, cap=6), "x", store=store, budget=acme()))

    @node
    async def look(ctx: RunContext, _: str) -> Any:
        return ctx.budget.usd_left, ctx.budget.percent_used

    assert at_once(run(look, "", store=store, budget=acme())).output == (Decimal("0.04"), 60)


def test_a_lease_of_a_process_that_died_is_in_doubt_and_never_refunded() -> None:
    """The rest of the window goes on without it, and nobody waits for it."""
    store = MemoryStore()
    dead = {"spent": ["0.02", 0, 2], "doubt": ["0", 0, 0], "asking": {"gone": 0.0}, "marks": {}}
    dead["leases"] = {"gone": ["elsewhere:1:2:3", ["0.04", 400, 4], ["0.01", 100, 1]]}
    at_once(store.commit((Change(COLLECTION, "day/tenant:acme/2026-01-01", json.dumps(dead).encode(), 0),)))
    result = at_once(run(FanOut(worker()), list("abcdef"), store=store, budget=acme()))
    assert (result.stop_reason, len(result.output)) == ("budget", 4)
    assert result.seconds < 5
    assert books(store).leases["gone"].amount.usd == Decimal("0.04")
    assert books(store).committed.usd == Decimal("0.10")


# ── misuse ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_counted_is_refused_before_anything_is_spent() -> None:
    """No store, an unknown price, a limit that is not of the kind, a scope without a name."""
    store = MemoryStore()
    for flow, options in (
        (worker(), {"budget": acme()}),
        (Pipeline(worker("a"), worker("b", budget=acme())), {}),
    ):
        with pytest.raises(ConfigError, match="needs a store"):
            run_sync(flow, "x", **options)  # type: ignore[arg-type]
    with pytest.raises(UnpricedModel):
        run_sync(Agent("a", ScriptedModel(["x"])), "x", store=store, budget=acme())
    with pytest.raises(ConfigError, match="seconds= cannot be counted"):
        run_sync(worker(), "x", store=store, budget=acme(seconds=9))
    with pytest.raises(ConfigError, match="not allowed"):
        run_sync(worker(), "x", store=store, budget=Budget(usd=1, scope="", per="day"))
