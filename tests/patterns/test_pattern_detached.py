"""Detached: work beside the flow that nobody waits for."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, Tool, Usage, node, run, run_sync
from outlay.errors import BudgetExceeded, ConfigError, Overloaded
from outlay.events import CallFailed, NodeFinished
from outlay.patterns import Detached, FanOut, Pipeline
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel, virtual_time


def agent(name, seconds, answer="ok", **options):
    """One call: 100 tokens out, one cent, `seconds` long."""
    reply = answer if isinstance(answer, Exception) else Reply(answer, usage=Usage(0, 0, 0, 100))
    model = ScriptedModel(lambda request: reply, latency=seconds, price=(0, 100))
    return Agent(name, model, max_output_tokens=100, **options)


def paths_skipped(result):
    return {part.path: part.reason for part in result.skipped}


# ── the answer does not wait ──────────────────────────────────────────────────────────────────────────────


@given(st.integers(0, 9), st.integers(0, 20), st.integers(0, 9), st.sampled_from([0, 0.5, 2.5]))
def test_the_result_is_there_with_the_answer_or_within_the_grace(before, beside, after, grace):
    """Wall time is that of the stages; what works beside them adds what is left of it, at most the grace."""
    beside += 0.25  # no two ends at the same instant
    flow = Pipeline(agent("draft", before), Detached(agent("log", beside), grace=grace), agent("publish", after))
    with virtual_time() as clock:
        result = run_sync(flow, "go")
    answer = before + after
    assert clock.elapsed == max(answer, min(before + beside, answer + grace))
    assert result.unwrap() == "ok"
    assert result.degraded == (before + beside > answer + grace)


def test_the_stages_around_it_see_nothing_of_it():
    """The next stage gets what the one before gave, and its path as the source."""
    seen = []

    @node
    async def publish(ctx: RunContext, text: str) -> str:
        seen.append((text, ctx.source, ctx.origin))
        return text

    run_sync(Pipeline(agent("draft", 1), Detached(agent("log", 1)), publish), "go").unwrap()
    assert seen == [("ok", "pipeline/draft", "go")]


def test_it_starts_at_once():
    """Beside the stage that follows, not after it."""
    started = {}

    @node
    async def log(ctx: RunContext, text: str) -> None:
        started["log"] = ctx.now()

    @node
    async def slow(ctx: RunContext, text: str) -> str:
        await ctx.sleep(5)
        return text

    with virtual_time() as clock:
        run_sync(Pipeline(Detached(log), slow), "go").unwrap()
        assert started["log"] == clock.start
        assert clock.elapsed == 5


def test_a_node_of_your_own_detaches_too():
    """`ctx.detach` returns at once; several are told apart by path or key."""

    @node
    async def busy(ctx: RunContext, text: str) -> str:
        for i in range(3):
            ctx.detach(agent("log", 2), f"{i}", key=f"k{i}")
        ctx.detach(agent("other", 2), text)
        await ctx.sleep(1)
        return text

    with virtual_time() as clock:
        result = run_sync(busy, "go")
    assert (result.unwrap(), result.degraded, clock.elapsed) == ("go", False, 2)
    assert {line.path for line in result.bill.lines} == {f"busy/log[k{i}]" for i in range(3)} | {"busy/other"}


def test_its_own_parts_run_as_in_any_flow():
    """A fan-out beside the flow is drained as a whole."""
    beside = Detached(FanOut([agent("a", 1), agent("b", 1.5)]))
    with virtual_time() as clock:
        result = run_sync(Pipeline(beside, len), "go")
    assert (result.unwrap(), result.degraded, clock.elapsed) == (2, False, 1.5)
    assert result.bill.total == Decimal("0.02")


# ── how it ends ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_done_in_its_grace_is_cut_off_and_said_so():
    """The call that was under way is in doubt, outside the total; nothing goes on behind the result."""
    result = run_sync(Pipeline(agent("draft", 1), Detached(agent("log", 100))), "go")
    assert (result.output, result.stop_reason, result.degraded) == ("ok", "completed", True)
    assert paths_skipped(result) == {"pipeline/detached/log": "detached, and not done 2 s after the answer"}
    assert (result.bill.total, result.bill.in_doubt) == (Decimal("0.01"), Decimal("0.01"))
    (failed,) = [e for e in result.events if isinstance(e, CallFailed)]
    assert failed.maybe_billed
    assert [e.outcome for e in result.events if isinstance(e, NodeFinished) and e.name == "log"] == ["cancelled"]


def test_other_calls_in_flight_are_drained_all_the_same():
    """Only what is detached is cut off: a paid sibling of a failed branch is waited for."""

    busy = Overloaded("busy", retryable=False)

    @node
    async def one_fails(ctx: RunContext, text: str) -> str:
        ctx.detach(agent("log", 100), text, grace=1)
        try:
            await ctx.gather(ctx.run(agent("paid", 30), text), ctx.run(agent("bad", 1, busy), text))
        except Overloaded:
            return "made up for"
        return "?"

    result = run_sync(one_fails, "go")
    assert result.unwrap() == "made up for"
    assert result.bill.by("agent")["paid"].cost == Decimal("0.01")
    assert result.bill.in_doubt == Decimal("0.01")


@pytest.mark.parametrize("error", [Overloaded("busy", retryable=False), LookupError("lost")])
def test_its_failure_is_a_skip_with_a_reason(error):
    """The run completes, degraded."""
    result = run_sync(Pipeline(Detached(agent("log", 1, error)), agent("publish", 2)), "go")
    assert (result.unwrap(), result.stop_reason, result.degraded) == ("ok", "completed", True)
    assert paths_skipped(result) == {"pipeline/detached/log": "detached, and it failed"}
    assert type(result.skipped[0].error) is type(error)


def test_a_program_that_exits_does_not_take_the_run_with_it():
    """`sys.exit()` in a logger is its failure."""

    def log(text):
        raise SystemExit(3)

    result = run_sync(Pipeline(Detached(log), agent("publish", 2)), "go")
    assert (result.unwrap(), len(result.skipped)) == ("ok", 1)


def test_it_spends_from_the_same_budget_and_its_stop_is_not_the_runs():
    """No overshoot; where it does not fit it is skipped, and the run completes."""
    for on_exhausted in ("finish", "pause", "raise"):
        flow = Pipeline(agent("draft", 1), Detached(agent("log", 1)), lambda text: text)
        result = run_sync(flow, "go", budget=Budget(calls=1, on_exhausted=on_exhausted))
        assert (result.unwrap(), result.stop_reason, result.degraded) == ("ok", "completed", True)
        assert isinstance(result.skipped[0].error, BudgetExceeded)


def test_a_stop_that_it_made_up_for_itself_is_not_the_runs():
    """A member of it runs out of turns, the others go on: the run completes, degraded."""
    looks = ScriptedModel(lambda request: Reply(tool_calls=[("look", {})]))
    restless = Agent("restless", looks, tools=[Tool("look", lambda: "", "Looks.")], max_turns=2)
    flow = Pipeline(Detached(FanOut([restless, agent("log", 1)])), agent("publish", 2))
    result = run_sync(flow, "go")
    assert (result.unwrap(), result.stop_reason, result.degraded) == ("ok", "completed", True)
    assert paths_skipped(result) == {"pipeline/detached/fanout/restless": "the worker failed"}


def test_near_the_end_of_the_money_it_is_not_started():
    """The answer comes first, as before any optional stage."""
    flow = Pipeline(agent("draft", 1), Detached(agent("log", 1)), agent("publish", 1))
    result = run_sync(flow, "go", budget=Budget(usd="0.0201"), on_alert=lambda alert: None)
    assert result.stop_reason == "completed"
    flow = Pipeline(agent("a", 1), agent("b", 1), Detached(agent("log", 1)), agent("publish", 1))
    result = run_sync(flow, "go", budget=Budget(usd="0.0245"), on_alert=lambda alert: None)
    assert paths_skipped(result)["pipeline/detached/log"] == "detached, and 81 % of the budget is used"


def test_the_time_of_the_part_around_it_holds_for_it():
    """A deadline ends it too, and is not the run's."""
    inner = Pipeline(Detached(agent("log", 100)), len, name="inner", budget=Budget(seconds=3))
    with virtual_time() as clock:
        result = run_sync(Pipeline(inner, lambda n: n, agent("publish", 10)), "go")
    assert (result.unwrap(), result.stop_reason, clock.elapsed) == ("ok", "completed", 10)
    assert paths_skipped(result) == {"pipeline/inner/detached/log": "detached, and its time is up"}


def test_it_cannot_wait_for_a_human():
    """Nobody would answer in time; with `on_ask` it can ask."""

    @node
    async def log(ctx: RunContext, text: str) -> str:
        return await ctx.ask("Keep it?")

    flow = Pipeline(Detached(log), agent("publish", 1))
    result = run_sync(flow, "go")
    assert (result.unwrap(), result.stop_reason, result.pending) == ("ok", "completed", ())
    assert isinstance(result.skipped[0].error, ConfigError)
    assert not run_sync(flow, "go", on_ask=lambda pending: "yes").degraded


def test_the_run_may_fail_and_the_log_is_still_written():
    """Of its own end, within the grace."""
    written = []

    @node
    async def log(ctx: RunContext, text: str) -> None:
        await ctx.sleep(1)
        written.append(text)

    result = run_sync(Pipeline(Detached(log), agent("publish", 0, LookupError("lost"))), "go")
    assert isinstance(result.error, LookupError)
    assert written == ["go"]


def test_cancelling_the_run_cancels_it():
    """Nothing is left behind."""
    ended = []

    @node
    async def log(ctx: RunContext, text: str) -> None:
        try:
            await ctx.sleep(100)
        finally:
            ended.append(True)

    async def main():
        task = asyncio.create_task(run(Pipeline(Detached(log), agent("publish", 50)), "go"))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    from outlay.sim import VirtualLoop

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 1
    assert ended == [True]


def test_many_at_once_count_as_running_children():
    """Fan-out is refused at the call, not when they come to run: ten at once are ten."""

    @node
    async def spawner(ctx: RunContext, n: int) -> int:
        for _ in range(n):
            ctx.detach(agent("log", 1), "x")
        return n

    assert run_sync(spawner, 3, budget=Budget(fan_out=3)).stop_reason == "completed"
    result = run_sync(spawner, 4, budget=Budget(fan_out=3))
    assert (result.stop_reason, result.error.resource) == ("budget", "fan_out")
    assert len(result.bill.lines) == 3


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf")])
def test_a_grace_is_finite_and_not_negative(grace):
    """For the pattern when it is made, for the call when it is made."""
    with pytest.raises(ConfigError):
        Detached(len, grace=grace)

    @node
    async def asks(ctx: RunContext, text: str) -> None:
        ctx.detach(len, text, grace=grace)

    with pytest.raises(ConfigError):
        run_sync(asks, "x")


# ── in a run that is resumed ──────────────────────────────────────────────────────────────────────────────


def stored_run(flow, store, **options):
    from outlay.sim import VirtualLoop

    async def main():
        loop = asyncio.get_running_loop()
        begun = loop.time()
        result = await run(flow, "go", store=store, run_id="r", **options)
        return result, loop.time() - begun

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("seconds", [1, 100])
def test_a_run_that_is_over_gives_its_result_again_for_nothing(seconds):
    """What was done beside it is not done again, and what was cut off is not waited for."""
    calls = []

    def flow():
        log = agent("log", seconds)
        calls.append(log.model)
        return Pipeline(agent("draft", 1), Detached(log), agent("publish", 1))

    store = MemoryStore()
    first, _ = stored_run(flow(), store)
    again, elapsed = stored_run(flow(), store)
    assert (again.unwrap(), again.degraded, paths_skipped(again)) == ("ok", first.degraded, paths_skipped(first))
    assert elapsed == 0
    assert calls[1].calls == []
    assert again.bill.total == first.bill.total
    assert again.bill.in_doubt == first.bill.in_doubt


def test_a_run_that_broke_off_pays_for_nothing_twice():
    """Neither for the flow nor for what was done beside it."""
    done = []

    def flow():
        logs = [agent(f"log{i}", 1) for i in range(2)]
        draft = agent("draft", 1)
        done.append([model.model for model in (*logs, draft)])
        fails = not done[1:]

        @node
        async def publish(ctx: RunContext, text: str) -> str:
            await ctx.sleep(5)
            if fails:
                raise LookupError("down")
            return "published"

        return Pipeline(draft, Detached(logs[0], name="first"), Detached(logs[1], name="second"), publish)

    store = MemoryStore()
    first, _ = stored_run(flow(), store)
    assert isinstance(first.error, LookupError)
    again, _ = stored_run(flow(), store)
    assert again.unwrap() == "published"
    assert [len(model.calls) for model in done[1]] == [0, 0, 0]
    assert again.bill.total == Decimal("0.03")
