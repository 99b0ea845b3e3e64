"""Stopping: what is in flight, what is paid for, and what is left behind (SEMANTICS 4)."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from flows import at_once, cents, dear, echo, of_kind, worker

from outlay import Agent, Budget, RunContext, node, run, stream, tool
from outlay.errors import (
    ApprovalPending,
    BudgetExceeded,
    DeadlineExceeded,
    Overloaded,
    PolicyViolation,
    Stopped,
    TurnLimit,
)
from outlay.events import CallFailed, CallFinished, CallStarted, NodeFinished, RunFinished
from outlay.patterns import FanOut
from outlay.runtime.flatten import flatten
from outlay.testing import Reply, ScriptedModel

STRUCTURES = ["TaskGroup", "gather", "ctx.gather"]


def with_one_failing(structure: str, siblings: int = 5) -> Any:
    """Siblings in flight for ten seconds, and a branch that raises after one."""
    child = worker(latency=10)

    async def fails(ctx: RunContext) -> None:
        await ctx.sleep(1)
        raise ValueError("one branch")

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        branches = [ctx.run(child, str(i)) for i in range(siblings)] + [fails(ctx)]
        if structure == "TaskGroup":
            async with asyncio.TaskGroup() as group:
                for branch in branches:
                    group.create_task(branch)
        elif structure == "gather":
            await asyncio.gather(*branches)
        else:
            await ctx.gather(*branches)

    return flow


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_raising_branch_does_not_lose_paid_siblings(structure: str) -> None:
    """Five siblings in flight are drained, recorded and billed; none is in doubt."""
    result = at_once(run(with_one_failing(structure), "", budget=Budget(usd=1)))
    assert (result.stop_reason, type(result.error)) == ("error", ValueError)
    assert len(of_kind(result, CallFinished)) == 5
    assert (result.bill.total, result.bill.in_doubt) == (Decimal("0.05"), 0)
    assert isinstance(result.events[-1], RunFinished)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_no_task_outlives_its_run(structure: str) -> None:
    """Whichever way branches were started, and whichever way the run ended."""

    async def main() -> None:
        before = asyncio.all_tasks()
        for budget in (None, Budget(seconds=5), Budget(usd="0.02"), Budget(calls=2, on_exhausted="pause")):
            await run(with_one_failing(structure), "", budget=budget)
            assert asyncio.all_tasks() == before

    at_once(main())


def test_a_forgotten_branch_starts_no_call_after_the_end() -> None:
    """A branch that nobody awaits is cancelled with the run: waiting in line, asleep or between two calls."""
    model = dear(lambda _: cents(0.01, "cheap"), latency=5)
    agent = Agent("a", model, max_output_tokens=100, min_output_tokens=100)
    kept: list[Any] = []

    @node
    async def forgets(ctx: RunContext, _: str) -> str:
        async def later() -> None:
            await ctx.sleep(100)
            await ctx.run(agent, "later")

        async def line() -> None:
            for i in range(3):
                await ctx.run(agent, str(i))

        kept.extend(asyncio.create_task(c) for c in (later(), line(), line()))
        await ctx.sleep(0.5)
        return "done"

    async def main() -> None:
        result = await run(forgets, "", budget=Budget(usd="0.01"))
        assert (result.unwrap(), len(model.calls)) == ("done", 1)
        assert len(of_kind(result, CallFinished)) == 1
        assert all(task.done() for task in kept)
        assert asyncio.get_running_loop().time() == 5

    at_once(main())


def test_cancelling_reaches_the_call_and_leaves_it_in_doubt() -> None:
    """The user's cancel cuts the call off at once; what it may have cost stays held and is said."""
    reached: list[str] = []
    events: list[Any] = []

    async def answer(request: Any) -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            reached.append(request.text)
            raise
        return "never"

    flow = FanOut(Agent("a", dear(answer), max_output_tokens=100))

    async def main() -> float:
        before = asyncio.all_tasks()
        task = asyncio.create_task(run(flow, ["x", "y"], budget=Budget(usd=1), on_event=events.append))
        await asyncio.sleep(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before
        return asyncio.get_running_loop().time()

    assert at_once(main()) == 3
    assert sorted(reached) == ["x", "y"]
    failed = [e for e in events if isinstance(e, CallFailed)]
    assert [(e.maybe_billed, e.in_doubt) for e in failed] == [(True, Decimal("0.01"))] * 2
    assert (type(events[-1]), events[-1].stop_reason) == (RunFinished, "cancelled")


def test_cancelling_before_anything_was_sent_leaves_nothing_in_doubt() -> None:
    """Who waits in line holds nothing."""
    events: list[Any] = []
    flow = FanOut(worker(latency=100))

    async def main() -> None:
        task = asyncio.create_task(run(flow, ["x", "y"], budget=Budget(usd="0.01"), on_event=events.append))
        await asyncio.sleep(3)
        task.cancel()
        await asyncio.wait([task])

    at_once(main())
    assert len([e for e in events if isinstance(e, CallStarted)]) == 1
    assert len([e for e in events if isinstance(e, CallFailed)]) == 1


def test_a_run_that_is_draining_can_be_cancelled() -> None:
    """While paid calls of a failed run come home, a cancel cuts them off like any others."""
    events: list[Any] = []

    async def main() -> None:
        before = asyncio.all_tasks()
        task = asyncio.create_task(
            run(with_one_failing("ctx.gather"), "", budget=Budget(usd=1), on_event=events.append)
        )
        await asyncio.sleep(3)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert asyncio.all_tasks() == before

    at_once(main())
    assert [e.stop_reason for e in events if isinstance(e, RunFinished)] == ["cancelled"]
    assert len([e for e in events if isinstance(e, CallFailed) and e.maybe_billed]) == 5


def test_a_node_cannot_outlive_a_cancel_by_catching_it() -> None:
    """It may clean up; the run is cancelled all the same."""

    @node
    async def stubborn(ctx: RunContext, _: str) -> str:
        try:
            await ctx.sleep(100)
        except asyncio.CancelledError:
            return "still here"
        return "?"

    async def main() -> None:
        task = asyncio.create_task(run(stubborn, ""))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    at_once(main())


def test_a_run_may_be_part_of_a_clean_up() -> None:
    """A run that is started after its task was cancelled is a run like any other."""

    async def main() -> Any:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return (await run(worker(latency=2), "x")).output, (await run(asking, "")).stop_reason

    async def outer() -> Any:
        task = asyncio.create_task(main())
        await asyncio.sleep(1)
        task.cancel()
        return await task

    assert at_once(outer()) == ("x", "approval")


def test_an_outer_timeout_ends_a_run() -> None:
    """`asyncio.timeout` around a run is a cancel from outside."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await run(worker(latency=100), "x")
        return asyncio.get_running_loop().time()

    assert at_once(main()) == 4


def test_the_deadline_reaches_every_call_and_leaves_them_in_doubt() -> None:
    """Time is up for all: the run ends on time with what was finished before."""
    flow = FanOut(worker(latency=4), max_parallel=2)
    result = at_once(run(flow, list("abcde"), budget=[Budget(seconds=6), Budget(usd=1)]))
    assert (result.stop_reason, result.seconds) == ("deadline", 6)
    assert sorted(p.output for p in result.partial) == ["a", "b"]
    assert (result.bill.total, result.bill.in_doubt) == (Decimal("0.02"), Decimal("0.02"))


def test_what_is_in_flight_is_drained_after_a_budget_stop() -> None:
    """A refusal stops new calls; those that are paid for end in peace."""

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        await ctx.gather(ctx.run(worker("slow", latency=20), "x"), ctx.run(worker("big", cap=99, latency=0), "y"))

    result = at_once(run(flow, "", budget=Budget(usd="0.10")))
    assert (result.stop_reason, result.seconds) == ("budget", 20)
    assert result.bill.total == Decimal("0.01")


def test_a_call_that_never_ends_is_cut_off_after_a_minute() -> None:
    """Draining has an end: 60 seconds, then the call is in doubt."""
    hung = worker("hung", latency=10_000)

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        async def fails() -> None:
            await ctx.sleep(1)
            raise ValueError("no")

        await ctx.gather(ctx.run(hung, "x"), fails())

    result = at_once(run(flow, "", budget=Budget(usd=1)))
    assert (result.stop_reason, result.seconds) == ("error", 61)
    assert result.bill.in_doubt == Decimal("0.01")


def test_of_several_errors_the_one_that_counts_is_fixed() -> None:
    """cancelled, policy, approval, budget, deadline, then other stops, then errors, whatever order they came in."""
    order = [
        asyncio.CancelledError(),
        PolicyViolation("p"),
        ApprovalPending("a"),
        BudgetExceeded("b"),
        DeadlineExceeded("d"),
        TurnLimit("t"),
        ValueError("v"),
    ]
    for i, expected in enumerate(order):
        nested = BaseExceptionGroup("outer", [*reversed(order[i + 1 :]), BaseExceptionGroup("inner", [expected])])
        assert flatten(nested) is expected
    single = ValueError("alone")
    assert flatten(single) is single


def test_an_exception_group_is_one_error_in_the_result() -> None:
    """A plain TaskGroup in a node needs no unpacking by the user."""

    @node
    async def flow(ctx: RunContext, _: str) -> None:
        async def fails(error: Exception) -> None:
            raise error

        async with asyncio.TaskGroup() as group:
            group.create_task(fails(ValueError("v")))
            group.create_task(fails(BudgetExceeded("b")))

    result = at_once(run(flow, ""))
    assert (result.stop_reason, str(result.error)) == ("budget", "b\n  at flow")


def test_a_stop_that_a_node_answers_is_still_reported() -> None:
    """The node's answer stands, and the run says why it is not the whole one."""

    @node
    async def calm(ctx: RunContext, _: str) -> str:
        try:
            return await ctx.run(worker(cap=99), "x")
        except Stopped:
            return "best I have"

    result = at_once(run(calm, "", budget=Budget(usd="0.10")))
    assert (result.output, result.stop_reason, result.degraded, result.error) == ("best I have", "budget", True, None)


def test_your_own_exception_is_in_the_result() -> None:
    """`run` does not raise for what went wrong inside; `unwrap` does."""

    @node
    async def fails(ctx: RunContext, _: str) -> str:
        await ctx.run(worker(), "x")
        raise KeyError("mine")

    result = at_once(run(fails, ""))
    assert (result.stop_reason, result.degraded, result.output) == ("error", True, None)
    assert [p.output for p in result.partial] == ["x"]
    with pytest.raises(KeyError, match="mine"):
        result.unwrap()


# ── ctx.timeout ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_timeout_block_cuts_its_calls_off_and_is_the_nodes_own_business() -> None:
    """TimeoutError on time; the call is cancelled and in doubt; handled, the run is complete."""

    @node
    async def patient(ctx: RunContext, _: str) -> str:
        try:
            async with ctx.timeout(5):
                return await ctx.run(worker(latency=50), "x")
        except TimeoutError as error:
            return str(error)

    result = at_once(run(patient, "", budget=Budget(usd=1)))
    assert (result.output, result.stop_reason) == ("patient: not done within 5 s", "completed")
    assert (result.seconds, result.bill.in_doubt) == (5, Decimal("0.01"))
    assert [e.outcome for e in of_kind(result, NodeFinished)] == ["cancelled", "completed"]


def test_the_tighter_of_two_timeouts_counts() -> None:
    """Blocks nest; the deadline of the run is no block's business."""

    @node
    async def nested(ctx: RunContext, _: str) -> str:
        async with ctx.timeout(50):
            try:
                async with ctx.timeout(3):
                    await ctx.run(worker(latency=100), "x")
            except TimeoutError:
                return f"{ctx.budget.seconds_left:g} left"
        return "?"

    assert at_once(run(nested, "")).unwrap() == "47 left"
    assert at_once(run(nested, "", budget=Budget(seconds=2))).stop_reason == "deadline"


def test_a_block_that_is_done_in_time_leaves_no_trace() -> None:
    """After it, the node has all its time again."""

    @node
    async def quick(ctx: RunContext, _: str) -> Any:
        async with ctx.timeout(5):
            await ctx.run(worker(latency=1), "x")
        await ctx.run(worker(latency=60), "x")
        return ctx.budget.seconds_left

    result = at_once(run(quick, ""))
    assert (result.output, result.stop_reason, result.seconds) == (None, "completed", 61)


# ── ctx.gather ────────────────────────────────────────────────────────────────────────────────────────────


def test_gather_gives_results_in_order() -> None:
    """Whatever order they end in; one or none is fine too."""

    @node
    async def flow(ctx: RunContext, _: str) -> Any:
        async def after(seconds: float) -> float:
            await ctx.sleep(seconds)
            return seconds

        return [await ctx.gather(after(3), after(1), after(2)), await ctx.gather(after(1)), await ctx.gather()]

    result = at_once(run(flow, ""))
    assert (result.unwrap(), result.seconds) == ([[3, 1, 2], [1], []], 4)


def test_gather_waits_for_its_branches_to_end() -> None:
    """When it raises, no branch of it is still at work."""
    ended: list[str] = []

    @node
    async def flow(ctx: RunContext, _: str) -> str:
        async def tidy() -> None:
            try:
                await ctx.sleep(100)
            finally:
                await asyncio.sleep(2)
                ended.append("tidy")

        async def fails() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await ctx.gather(tidy(), fails())
        return ended[0]

    assert at_once(run(flow, "")).unwrap() == "tidy"


# ── waiting for a human ───────────────────────────────────────────────────────────────────────────────────


@node
async def asking(ctx: RunContext, _: str) -> str:
    return await ctx.ask("Go on?", options=["yes", "no"])


def test_a_question_without_anybody_to_ask_suspends_the_run() -> None:
    """The run ends as `approval`, and says what it waits for."""
    result = at_once(run(asking, ""))
    assert (result.stop_reason, result.output, type(result.error)) == ("approval", None, ApprovalPending)
    assert [(p.kind, p.path, p.question, p.options) for p in result.pending] == [
        ("ask", "asking", "Go on?", ("yes", "no"))
    ]


def test_a_branch_that_waits_does_not_stop_the_others() -> None:
    """What is in flight, asleep, between two tries or in a tool ends first; then the run suspends."""
    retried = Agent("retried", dear([Overloaded("busy", retry_after=30), "fine"]))

    @node
    async def tooled(ctx: RunContext, _: str) -> str:
        await ctx.effect("slow", lambda: None)
        await ctx.sleep(5)
        return "slept"

    flow = FanOut([asking, worker(latency=50), retried, tooled])
    result = at_once(run(flow, "x"))
    assert result.stop_reason == "approval"
    assert sorted(p.path for p in result.partial) == ["fanout/retried", "fanout/tooled", "fanout/worker"]
    assert result.seconds >= 50


def test_a_question_inside_a_tool_suspends_the_run_too() -> None:
    """A tool, or an agent behind a tool, that waits for a human is not at work."""

    @tool
    async def careful(ctx: RunContext, what: str) -> str:
        """Ask first."""
        return await ctx.ask("Really?")

    inner = Agent("inner", ScriptedModel([Reply(tool_calls=[("careful", {"what": "x"})])]), tools=[careful])
    outer = Agent("outer", ScriptedModel([Reply(tool_calls=[("inner", {"input": "x"})])]), tools=[inner])
    result = at_once(run(FanOut([outer, worker(latency=9)]), "x"))
    assert (result.stop_reason, result.seconds) == ("approval", 9)
    assert [p.path for p in result.pending] == ["fanout/outer/inner/inner/careful"]


def test_a_question_that_was_given_up_is_not_pending() -> None:
    """Nobody needs to answer what nobody waits for any more."""

    @node
    async def impatient(ctx: RunContext, _: str) -> str:
        async def ask() -> None:
            await ctx.ask("?")

        async def fails() -> None:
            await ctx.sleep(1)
            raise ValueError("no")

        try:
            await ctx.gather(ask(), fails())
        except ValueError:
            await ctx.sleep(5)
        return "went on"

    result = at_once(run(impatient, ""))
    assert (result.output, result.pending, result.stop_reason) == ("went on", (), "completed")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_on_ask_answers(kind: str) -> None:
    """A function, or an async one; it sees the question, the place and the options."""
    seen: list[Any] = []

    def sync(question: Any) -> str:
        seen.append(question)
        return "yes"

    async def later(question: Any) -> str:
        await asyncio.sleep(60)
        return sync(question)

    result = at_once(run(asking, "", on_ask=sync if kind == "sync" else later))
    assert (result.unwrap(), seen[0].question) == ("yes", "Go on?")


def test_an_answer_that_was_no_option_is_an_error() -> None:
    """A slip in `on_ask` is not taken for an answer."""
    from outlay.errors import ConfigError

    with pytest.raises(ConfigError, match="'maybe', which is not one of yes, no"):
        at_once(run(asking, "", on_ask=lambda _: "maybe"))


def test_a_deadline_for_the_answer_has_a_default() -> None:
    """Where nobody answers in time, the default counts; without one it is a TimeoutError."""

    async def never(_: Any) -> str:
        await asyncio.sleep(1000)
        return "late"

    @node
    async def asks(ctx: RunContext, default: str | None) -> str:
        return await ctx.ask("?", default=default, deadline=30)

    result = at_once(run(asks, "fallback", on_ask=never))
    assert (result.unwrap(), result.seconds) == ("fallback", 30)
    assert isinstance(at_once(run(asks, None, on_ask=never)).error, TimeoutError)


def test_a_tool_that_needs_approval_runs_only_when_it_is_given() -> None:
    """The question shows the exact arguments; a denial goes back to the model as an error."""
    sent: list[str] = []

    @tool(side_effect=True, requires_approval=True)
    async def send(to: str) -> str:
        """Send."""
        sent.append(to)
        return "sent"

    def agent() -> Agent[str]:
        return Agent("a", ScriptedModel([Reply(tool_calls=[("send", {"to": "bob"})]), "done"]), tools=[send])

    waiting = at_once(run(agent(), ""))
    assert (waiting.stop_reason, sent) == ("approval", [])
    assert [(p.kind, p.question) for p in waiting.pending] == [("approval", 'Allow send({"to": "bob"})?')]
    denied = at_once(run(agent(), "", on_ask=lambda _: "deny"))
    assert (denied.output, sent) == ("done", [])
    assert "denied" in denied.transcript.messages[2].tool_results[0].content
    assert at_once(run(agent(), "", on_ask=lambda _: "approve")).output == "done"
    assert sent == ["bob"]


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────


def test_leaving_a_stream_cancels_the_run() -> None:
    """No task is left, and the call in flight is cut off."""

    async def main() -> None:
        before = asyncio.all_tasks()
        async with stream(worker(latency=100), "x") as s:
            async for event in s:
                if isinstance(event, CallStarted):
                    break
        assert asyncio.all_tasks() == before
        assert asyncio.get_running_loop().time() == 0
        with pytest.raises(asyncio.CancelledError):
            s.result  # noqa: B018

    at_once(main())


def test_echo_is_a_node() -> None:
    """The helper of these tests gives back what it gets."""
    assert at_once(run(echo, 3)).unwrap() == 3
