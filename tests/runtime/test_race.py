"""`ctx.race`: branches read in the order in which they finish; what is left when the block ends is stopped."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flows import at_once, cents, dear, of_kind, worker
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, node, run
from outlay.errors import BudgetExceeded, ConfigError
from outlay.events import CallFinished, NodeFinished, NodeStarted
from outlay.runtime.race import STARTED_TOGETHER


@node
async def sleeper(ctx: RunContext, seconds: float) -> float:
    await ctx.sleep(abs(seconds))
    if seconds < 0:
        raise ValueError(f"failed after {-seconds:g}")
    return seconds


def racing(body: Callable[[RunContext, list[Any]], Any], input: Any = None, **options: Any) -> Any:
    """Run `body(ctx, found)` as a flow; its result, what it found, and the seconds that it took."""
    found: list[Any] = []

    @node
    async def flow(ctx: RunContext, _: Any) -> Any:
        return await body(ctx, found)

    async def main() -> Any:
        before = asyncio.all_tasks()
        result = await run(flow, input, **options)
        assert asyncio.all_tasks() == before
        return result, found, asyncio.get_running_loop().time()

    return at_once(main())


@settings(max_examples=40)
@given(st.lists(st.integers(1, 9), max_size=70))
def test_answers_come_in_the_order_in_which_they_finish(delays: list[int]) -> None:
    """Of equals, in the order in which they were given; it takes as long as the slowest."""

    async def body(ctx: RunContext, found: list[Any]) -> None:
        async with ctx.race(ctx.run(sleeper, delay, key=str(i)) for i, delay in enumerate(delays)) as answers:
            async for answer in answers:
                found.append((ctx.now(), answer))

    result, found, seconds = racing(body)
    assert result.error is None
    assert [answer for _, answer in found] == sorted(delays)
    assert [time - found[0][0] for time, _ in found] == [answer - min(delays) for _, answer in found]
    assert seconds == max(delays, default=0)


def test_leaving_the_block_stops_the_rest_at_once() -> None:
    """Sleeps and tools are cancelled; no task remains behind the block."""
    cleaned: list[str] = []

    async def slow_tool() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            cleaned.append("tool")

    async def body(ctx: RunContext, found: list[Any]) -> None:
        before = asyncio.all_tasks()
        tool = ctx.effect("slow", slow_tool)
        async with ctx.race([ctx.run(sleeper, 1, key="a"), ctx.run(sleeper, 50, key="b"), tool]) as answers:
            async for answer in answers:
                found.append(answer)
                break
        assert asyncio.all_tasks() == before

    result, found, seconds = racing(body)
    assert (result.stop_reason, found, seconds, cleaned) == ("completed", [1], 1, ["tool"])
    outcomes = [(e.path, e.outcome) for e in of_kind(result, NodeFinished)]
    assert ("flow/sleeper[b]", "cancelled") in outcomes


def test_a_call_in_flight_is_drained_and_billed() -> None:
    """The block is left at once; the call that was sent is recorded with its cost before the run ends."""
    fast, slow = worker("fast", latency=1), worker("slow", latency=10)

    async def body(ctx: RunContext, found: list[Any]) -> float:
        start = ctx.now()
        async with ctx.race([ctx.run(slow, "x"), ctx.run(fast, "y")]) as answers:
            async for answer in answers:
                found.append(answer)
                break
        return ctx.now() - start

    result, found, seconds = racing(body, budget=Budget(usd=1))
    assert (result.unwrap(), found, seconds) == (1, ["y"], 10)
    assert len(of_kind(result, CallFinished)) == 2
    assert str(result.bill.total) == "0.02"
    assert result.bill.in_doubt == 0


def test_a_call_that_waits_in_line_is_not_made() -> None:
    """The budget holds one call: the second waits for it, and is given up when the block is left."""
    model = dear(lambda _: cents(0.5), latency=1)  # pyright: ignore[reportUnknownLambdaType]
    agent = Agent("a", model, max_output_tokens=100, min_output_tokens=100)

    async def body(ctx: RunContext, found: list[Any]) -> None:
        async with ctx.race([ctx.run(agent, "x"), ctx.run(agent, "y"), ctx.run(sleeper, 0.5)]) as answers:
            found.append(await anext(answers))

    result, found, seconds = racing(body, budget=Budget(usd="0.015"))
    assert (result.stop_reason, found, seconds) == ("completed", [0.5], 1)
    assert [request.text for request in model.calls] == ["x"]


def test_a_failure_raises_out_of_the_loop_and_stops_the_others() -> None:
    """As in `gather`: who does not handle it loses the race."""

    async def body(ctx: RunContext, found: list[Any]) -> None:
        async with ctx.race(ctx.run(sleeper, s, key=str(s)) for s in (1, -2, 50)) as answers:
            async for answer in answers:
                found.append(answer)

    result, found, seconds = racing(body)
    assert (str(result.error), found, seconds) == ("failed after 2", [1], 2)


def test_outcomes_tell_which_one_failed_and_go_on() -> None:
    """A failure is an outcome with the index of its branch."""

    async def body(ctx: RunContext, found: list[Any]) -> None:
        async with ctx.race(ctx.run(sleeper, s, key=str(s)) for s in (3, -2, 1)) as answers:
            async for outcome in answers.outcomes():
                found.append((outcome.index, outcome.value, str(outcome.error or "")))

    result, found, seconds = racing(body)
    assert (result.error, seconds) == (None, 3)
    assert found == [(2, 1, ""), (1, None, "failed after 2"), (0, 3, "")]


def test_a_stop_is_an_outcome_too() -> None:
    """What does not fit the budget is told like a failure; the run reports it."""

    async def body(ctx: RunContext, found: list[Any]) -> str:
        agent = worker(cost=1, cap=1)
        async with ctx.race(ctx.run(agent, str(i), key=str(i)) for i in range(3)) as answers:
            async for outcome in answers.outcomes():
                found.append(outcome.value or type(outcome.error))
        return "ended well"

    result, found, _ = racing(body, budget=Budget(usd="0.02"))
    assert sorted(found, key=str) == ["0", "1", BudgetExceeded]
    assert (result.output, result.stop_reason) == ("ended well", "budget")


def test_both_readings_share_the_branches() -> None:
    """Each branch comes out once, whichever way it is read."""

    async def body(ctx: RunContext, found: list[Any]) -> None:
        async with ctx.race(ctx.run(sleeper, s, key=str(s)) for s in (1, 2, 3)) as answers:
            found.append(await anext(answers))
            found.append((await anext(answers.outcomes())).value)
            found.extend([answer async for answer in answers])
            found.extend([answer async for answer in answers])

    assert racing(body)[1] == [1, 2, 3]


def test_an_error_in_the_block_stops_the_branches() -> None:
    """It is the error of the block; the branches leave none behind."""

    async def body(ctx: RunContext, found: list[Any]) -> None:
        async with ctx.race(ctx.run(sleeper, s, key=str(s)) for s in (1, -1, 50)) as answers:
            async for _ in answers.outcomes():
                raise LookupError("mine")

    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        result, _, seconds = racing(body)
        gc.collect()
    assert (type(result.error), seconds, raised) == (LookupError, 1, [])


@pytest.mark.parametrize("given", ["list", "generator"])
def test_what_never_began_is_closed(given: str) -> None:
    """Cancelled while it starts, or given a generator that raises: no coroutine is left unawaited."""
    begun: list[int] = []

    async def one(i: int) -> None:
        begun.append(i)
        await asyncio.sleep(0)
        if i == 1:
            raise asyncio.CancelledError

    def several() -> Any:
        for i in range(100):
            if given == "generator" and i == 70:
                raise LookupError("in the generator")
            yield one(i)

    async def body(ctx: RunContext, found: list[Any]) -> None:
        me = asyncio.current_task()
        assert me is not None
        if given == "list":
            asyncio.get_running_loop().call_soon(me.cancel)
        async with ctx.race(several() if given == "generator" else list(several())):
            found.append("in the block")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, found, _ = racing(body)
        gc.collect()
    assert (found, type(result.error)) == ([], LookupError if given == "generator" else asyncio.CancelledError)
    assert len(begun) == (0 if given == "generator" else STARTED_TOGETHER)


def test_at_most_32_start_in_one_turn_of_the_loop() -> None:
    """The requests of the first are on their way while the next are prepared."""
    turns: list[int] = []

    async def body(ctx: RunContext, found: list[Any]) -> None:
        turn = 0

        async def count() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        async def one() -> None:
            turns.append(turn)

        clock = asyncio.ensure_future(count())
        async with ctx.race(one() for _ in range(100)) as answers:
            async for _ in answers:
                pass
        clock.cancel()

    racing(body)
    assert len(turns) == 100
    assert max(turns.count(turn) for turn in turns) == STARTED_TOGETHER


def test_identity_depends_on_the_order_given_only() -> None:
    """The draws of each branch are the same whoever finishes first, and differ between branches."""

    def draws(delays: list[int]) -> list[float]:
        async def body(ctx: RunContext, found: list[Any]) -> list[float]:
            drawn = [0.0] * len(delays)

            async def branch(i: int) -> None:
                await ctx.sleep(delays[i])
                drawn[i] = ctx.random()

            async with ctx.race(branch(i) for i in range(len(delays))) as answers:
                async for _ in answers:
                    pass
            return drawn

        return racing(body, seed=1)[0].unwrap()

    first = draws([1] * 40)
    assert len(set(first)) == 40
    assert draws([40 - i for i in range(40)]) == first


def test_cancelling_the_run_leaves_no_branch() -> None:
    """Also where a branch takes its time to clean up, and the cancel comes twice."""
    cleaned: list[int] = []

    async def stubborn(i: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(5 if i else 0)
            cleaned.append(i)

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        async with ctx.race(stubborn(i) for i in range(3)) as answers:
            async for _none in answers:
                pass

    async def main() -> None:
        before = asyncio.all_tasks()
        task = asyncio.create_task(run(flow, ""))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before

    at_once(main())
    assert 0 in cleaned


def test_a_parked_branch_lets_the_run_suspend() -> None:
    """The others finish first; then the run waits for the human."""

    async def body(ctx: RunContext, found: list[Any]) -> None:
        async with ctx.race([ctx.ask("go on?"), ctx.run(sleeper, 5)]) as answers:
            async for answer in answers:
                found.append(answer)

    result, found, seconds = racing(body)
    assert (result.stop_reason, found, seconds) == ("approval", [5], 5)
    assert [item.question for item in result.pending] == ["go on?"]


def test_leaving_the_block_gives_a_parked_branch_up() -> None:
    """Nobody needs to answer any more."""

    async def body(ctx: RunContext, found: list[Any]) -> Any:
        async with ctx.race([ctx.ask("go on?"), ctx.run(sleeper, 5)]) as answers:
            return await anext(answers)

    result, _, _ = racing(body)
    assert (result.unwrap(), result.pending) == (5, ())


def test_a_race_is_read_inside_its_block() -> None:
    """Outside there is nothing to wait for: silence would look like no answers."""

    async def body(ctx: RunContext, found: list[Any]) -> None:
        race = ctx.race(ctx.run(sleeper, s, key=str(s)) for s in (1, 2))
        async with race as answers:
            pass
        async for _ in answers:
            pass

    with pytest.raises(ConfigError, match="inside its block"):
        racing(body)


def test_an_empty_race_is_over_at_once() -> None:
    """No branches, no answers."""

    async def body(ctx: RunContext, found: list[Any]) -> list[Any]:
        nobody: list[Awaitable[str]] = []
        async with ctx.race(nobody) as answers:
            return [answer async for answer in answers]

    assert racing(body)[0].unwrap() == []


def test_nothing_starts_before_the_block() -> None:
    """A race that is made and not entered runs nothing."""

    async def body(ctx: RunContext, found: list[Any]) -> None:
        ctx.race(ctx.run(sleeper, 1, key=str(i)) for i in range(3))

    result, _, _ = racing(body)
    assert [e.path for e in of_kind(result, NodeStarted)] == ["flow"]
