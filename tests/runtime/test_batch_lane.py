"""The batch lane on virtual time: calls of many runs are collected, priced, answered, and each failure is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flows import at_once

from outlay import Agent, Batching, Budget, RunContext, node, run, run_many
from outlay.analysis.bill import Bill
from outlay.analysis.tree import tree
from outlay.errors import ConfigError, ModelError, Overloaded
from outlay.events import BatchEnded, CallFailed, CallFinished, CallStarted, Decision, Event
from outlay.patterns import FanOut, Pipeline
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedBatches, ScriptedModel

DAY = 86_400


def upper(request: Any) -> str:
    return request.text.upper()


def clerk(batches: ScriptedBatches, replies: Any = upper, name: str = "clerk", **options: Any) -> Agent[str]:
    model = ScriptedModel(replies, name=f"model-of-{name}", price=(10, 20), batches=batches)
    return Agent(name, model, **{"max_output_tokens": 100, **options})


async def all_rows(root: Any, n: int, **options: Any) -> dict[int, Any]:
    options = {"lane": "batch", **options}
    return {id: result async for id, result in run_many(root, [(i, f"row {i}") for i in range(n)], **options)}


def of(results: dict[int, Any]) -> list[Event]:
    return [event for result in results.values() for event in result.events]


def ends(results: dict[int, Any]) -> list[BatchEnded]:
    return [event for event in of(results) if isinstance(event, BatchEnded)]


def test_the_calls_of_all_rows_are_one_batch_and_a_day_takes_no_time() -> None:
    """The same flow and the same answers, at half the price."""
    batches = ScriptedBatches(seconds=DAY - 60)

    async def main() -> float:
        results = await all_rows(clerk(batches), 300)
        assert {i: result.output for i, result in results.items()} == {i: f"ROW {i}" for i in range(300)}
        assert all(result.stop_reason == "completed" for result in results.values())
        live = Bill.merge([(await run(clerk(batches), f"row {i}")).bill for i in range(300)])
        bill = Bill.merge(result.bill for result in results.values())
        assert bill.total == bill.saved_by_batch == live.total / 2
        assert bill.batched == 300
        return asyncio.get_running_loop().time()

    assert DAY - 60 <= at_once(main()) < DAY + 300  # it is looked at every five minutes
    assert [len(sent) for sent in batches.sent] == [300]


def test_steps_of_a_flow_go_in_batches_one_after_another() -> None:
    """What the first step of every row needs is one batch, what the second needs is the next."""
    first, second = ScriptedBatches(seconds=3_600), ScriptedBatches(seconds=3_600)
    flow = Pipeline(clerk(first, name="draft"), clerk(second, lambda r: f"{r.text}!", name="polish"))
    results = at_once(all_rows(flow, 20))
    assert [result.output for result in results.values()] == [f"ROW {i}!" for i in results]
    assert [len(sent) for sent in first.sent] == [len(sent) for sent in second.sent] == [20]


def test_a_conversation_with_tools_goes_turn_by_turn() -> None:
    """Each turn of every row is a call, and goes into the batch that is open then."""

    def look(what: str) -> str:
        return what[::-1]

    def turn(request: Any) -> Any:
        if request.messages[-1].role == "tool":
            return "seen"
        return Reply(tool_calls=[("look", {"what": request.text})])

    batches = ScriptedBatches(seconds=100)
    results = at_once(all_rows(clerk(batches, turn, tools=[look]), 8))
    assert {result.output for result in results.values()} == {"seen"}
    assert [len(sent) for sent in batches.sent] == [8, 8]


def test_only_the_agents_that_are_marked_go_by_batch() -> None:
    """`Agent(lane=)` decides, in a single run and against the lane of the whole."""
    batched, at_once_ = ScriptedBatches(seconds=10), ScriptedBatches(seconds=10)
    marked = Pipeline(clerk(batched, name="a", lane="batch"), clerk(at_once_, name="b"))
    result = at_once(run(marked, "x"))
    assert (result.output, len(batched.sent), len(at_once_.sent)) == ("X", 1, 0)
    assert [(e.agent, e.lane) for e in result.events if isinstance(e, CallFinished)] == [("a", "batch"), ("b", "")]
    spared = Pipeline(clerk(batched, name="a", lane="live"), clerk(at_once_, name="b"))
    at_once(run(spared, "x", lane="batch"))
    assert (len(batched.sent), len(at_once_.sent)) == (1, 1)


def test_a_fan_out_within_one_run_is_one_batch() -> None:
    batches = ScriptedBatches(seconds=10)
    result = at_once(run(FanOut(clerk(batches, lane="batch")), [f"item {i}" for i in range(30)]))
    assert result.output == [f"ITEM {i}" for i in range(30)]
    assert [len(sent) for sent in batches.sent] == [30]


def test_a_full_batch_is_closed_and_the_next_is_opened() -> None:
    """By the user's limit, and by the provider's where that is lower."""
    batches = ScriptedBatches(seconds=10, most_requests=4)
    at_once(all_rows(clerk(batches), 10, lane=Batching(max_requests=5)))
    assert [len(sent) for sent in batches.sent] == [4, 4, 2]


def test_a_batch_does_not_wait_for_a_run_that_is_busy_elsewhere_for_ever() -> None:
    """Others are still at work; after `quiet` without another call it goes all the same."""
    batches = ScriptedBatches(seconds=10)
    agent = clerk(batches)

    @node(name="slow", children=(agent,))
    async def slow(ctx: RunContext, text: str) -> str:
        await ctx.sleep(0 if text < "row 5" else 1_000)
        return await ctx.run(agent, text)

    at_once(all_rows(slow, 10, lane=Batching(quiet=2.0)))
    assert [len(sent) for sent in batches.sent] == [5, 5]


# ── money and time ────────────────────────────────────────────────────────────────────────────────────────


def test_a_budget_holds_at_batch_prices() -> None:
    """What is reserved is the worst case at half the price: twice as many calls fit as would live."""
    batches = ScriptedBatches(seconds=10)
    agent = clerk(batches, lambda request: "x" * 400)  # 100 tokens at $20: $0.002, $0.001 by batch
    results = at_once(all_rows(agent, 40, budget=Budget(usd="0.0205")))
    done = [result for result in results.values() if result.stop_reason == "completed"]
    spent = sum(result.bill.total for result in results.values())
    assert spent <= Decimal("0.0205")
    assert len(done) == 20
    reserved = next(event.reserved for event in of(results) if isinstance(event, CallStarted))
    assert reserved == Decimal("0.00101")


def test_a_map_under_a_budget_fills_its_batches() -> None:
    """One row says what the others reserve; nobody waits a day to learn what they cost."""
    batches = ScriptedBatches(seconds=1_000)
    at_once(all_rows(clerk(batches), 500, budget=Budget(usd=5)))
    assert [len(sent) for sent in batches.sent] == [500]


def test_a_deadline_shorter_than_a_batch_may_take_is_refused_before_anything_is_spent() -> None:
    batches = ScriptedBatches(seconds=10)
    with pytest.raises(ConfigError, match=r"may take 86,400 s, and has 3,600 s"):
        at_once(all_rows(clerk(batches), 3, budget=Budget(seconds=3_600)))
    with pytest.raises(ConfigError, match=r"clerk.*may take 86,400 s"):
        at_once(run(clerk(batches, lane="batch", budget=Budget(seconds=60)), "x"))
    assert not batches.sent
    assert at_once(run(clerk(batches), "x", budget=Budget(seconds=60))).output == "X"


def test_a_call_that_comes_too_late_for_a_batch_is_not_begun() -> None:
    """Two days are enough for the first step and not for the third; with `on_failure="live"` that is asked at once."""
    slow = ScriptedBatches(seconds=DAY - 1_000)
    steps = [clerk(slow, name=f"step-{n}") for n in range(3)]
    budget = Budget(seconds=2 * DAY)
    result = at_once(run(Pipeline(*steps), "x", lane="batch", budget=budget))
    assert (result.stop_reason, len(slow.sent)) == ("deadline", 2)
    assert "a batch may take 86,400 s: the call was not begun" in str(result.error)
    result = at_once(run(Pipeline(*steps), "x", lane=Batching(on_failure="live"), budget=budget))
    assert (result.stop_reason, result.output) == ("completed", "X")
    assert [event.lane for event in result.events if isinstance(event, CallFinished)] == ["batch", "batch", ""]


def test_a_deadline_that_comes_while_a_batch_is_at_work_ends_the_run() -> None:
    """Its call stays open, and what it may cost is held as in doubt."""
    agent = clerk(ScriptedBatches(seconds=DAY), lane="batch")

    @node(name="hasty", children=(agent,))
    async def hasty(ctx: RunContext, text: str) -> str:
        await ctx.sleep(5)
        return await ctx.run(agent, text)

    result = at_once(run(hasty, "x", budget=Budget(seconds=DAY + 5, usd=1)))
    assert result.stop_reason == "deadline"
    assert (result.bill.doubtful, result.bill.in_doubt > 0) == (1, True)


def test_a_model_without_batches_is_named_before_anything_runs() -> None:
    class Plain:
        """Another library's model."""

        id = name = provider = "plain"
        dialect = "plain"

        def check(self, *_: Any) -> None: ...
        def price(self, _: Any) -> None: ...

    with pytest.raises(ConfigError, match=r"agent 'a': plain has no batches") as caught:
        at_once(run(Agent("a", Plain()), "x", lane="batch"))  # type: ignore[arg-type]
    assert "lane='live'" in caught.value.hint


@pytest.mark.parametrize("lane", ["fax", None, 3])
def test_a_lane_that_is_not_there_is_refused(lane) -> None:
    with pytest.raises(ConfigError, match="lane="):
        at_once(run(clerk(ScriptedBatches()), "x", lane=lane))
    with pytest.raises(ConfigError, match="lane="):
        Agent("a", "anthropic:claude-haiku-4-5", lane=lane)


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────


def once(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[list[bytes]], list[bytes]]:
    """Only the first batch is damaged."""
    seen: list[int] = []

    def results(lines: list[bytes]) -> list[bytes]:
        seen.append(1)
        return change(lines) if len(seen) == 1 else lines

    return results


def half(lines: list[bytes]) -> list[bytes]:
    return lines[: len(lines) // 2]


def damaged(lines: list[bytes]) -> list[bytes]:
    """A line is missing, one is not JSON, one comes twice, one was never asked for."""
    stranger = json.dumps({"custom_id": "ol-stranger\x1b[2J", "n": 0}).encode()
    return [*lines[2:], b'{"custom_id": "ol-', lines[2], stranger]


def test_what_a_batch_does_not_answer_goes_into_another() -> None:
    """Every trouble is listed, each request is answered in the end, and nobody gets the answer of another."""
    batches = ScriptedBatches(seconds=100, results=once(damaged))
    results = at_once(all_rows(clerk(batches), 10))
    assert {i: result.output for i, result in results.items()} == {i: f"ROW {i}" for i in range(10)}
    assert [len(sent) for sent in batches.sent] == [10, 2]
    assert set(batches.sent[1]) == set(batches.sent[0][:2])  # under the ids that they had
    first, second = ends(results)
    assert (first.requests, first.answered, first.missing) == (10, 8, 2)
    assert (first.duplicate, first.unknown, first.unreadable) == (1, 1, 1)
    assert (second.requests, second.answered, second.listed) == (2, 2, ())
    bill = Bill.merge(result.bill for result in results.values())
    assert (
        f"batch {first.batch}: 2 of 10 not answered (2 missing) · 1 answer came twice · "
        "1 answer to what was never asked · 1 line is no JSON"
    ) in bill.render()
    assert [text.split()[0] for text in first.listed] == ["missing", "missing", "came", "never"]
    shown = tree(of(results))
    assert "! missing ol-" in shown
    assert "\x1b" not in shown


def test_a_missing_answer_may_have_been_billed_and_stays_in_doubt() -> None:
    """Nobody knows whether the provider charges for what it did not deliver."""
    results = at_once(all_rows(clerk(ScriptedBatches(results=once(half))), 4, budget=Budget(usd=1)))
    bill = Bill.merge(result.bill for result in results.values())
    assert (bill.doubtful, bill.billed_twice) == (2, 2)


def test_an_expired_batch_is_tried_again_and_given_up_after_three() -> None:
    """A provider that never manages within its day; nothing of it is billed."""
    batches = ScriptedBatches(seconds=2 * DAY)
    results = at_once(all_rows(clerk(batches), 2, budget=Budget(usd=1)))
    assert [len(sent) for sent in batches.sent] == [2, 2, 2]
    assert {result.stop_reason for result in results.values()} == {"error"}
    assert "expired" in str(results[0].error)
    assert [end.expired for end in ends(results)] == [2, 2, 2]
    bill = Bill.merge(result.bill for result in results.values())
    assert (bill.total, bill.in_doubt) == (0, 0)


def test_what_a_batch_does_not_answer_can_be_asked_at_once() -> None:
    """`on_failure="live"`: at the list price, and the bill says what went by batch."""
    batches = ScriptedBatches(seconds=100, results=once(half))
    results = at_once(all_rows(clerk(batches), 10, lane=Batching(on_failure="live")))
    assert {i: result.output for i, result in results.items()} == {i: f"ROW {i}" for i in range(10)}
    assert len(batches.sent) == 1
    assert sum(event.lane == "batch" for event in of(results) if isinstance(event, CallFinished)) == 5
    told = [event for event in of(results) if isinstance(event, Decision) and event.about == "lane"]
    assert [event.data["to"] for event in told] == ["live"] * 5
    bill = Bill.merge(result.bill for result in results.values())
    assert "by batch (5 of 10 calls)" in bill.render()


def test_what_a_batch_does_not_answer_can_be_given_up() -> None:
    batches = ScriptedBatches(seconds=100, results=once(half))
    results = at_once(all_rows(clerk(batches), 10, lane=Batching(on_failure="fail")))
    assert len(batches.sent) == 1
    assert sum(result.stop_reason == "error" for result in results.values()) == 5


def test_requests_fail_one_by_one() -> None:
    """What another attempt cannot help is not tried again, what it can is; the others never notice."""

    def replies(request: Any) -> Any:
        if request.text == "row 1":
            return ModelError("no such thing")
        if request.text == "row 2" and not tried:
            tried.append(1)
            return Overloaded("busy")
        return request.text.upper()

    tried: list[int] = []
    batches = ScriptedBatches(seconds=100)
    results = at_once(all_rows(clerk(batches, replies), 4))
    assert [len(sent) for sent in batches.sent] == [4, 1]
    assert [results[i].output for i in range(4)] == ["ROW 0", None, "ROW 2", "ROW 3"]
    assert "no such thing" in str(results[1].error)
    listed = ends(results)[0].listed
    assert sorted(text.split(": ", 1)[1] for text in listed) == ["ModelError: no such thing", "Overloaded: busy"]


def test_a_provider_that_takes_no_batch_is_tried_again_and_costs_nothing() -> None:
    """A refusal is certain: nothing is in doubt."""

    class Busy(ScriptedBatches):
        def of(self, model: Any) -> Any:
            view = super().of(model)
            submit, failures = view.submit, [Overloaded("busy"), Overloaded("busy")]

            async def refusing(*args: Any) -> str:
                if failures:
                    raise failures.pop()
                return await submit(*args)

            view.submit = refusing  # type: ignore[method-assign]
            return view

    batches = Busy(seconds=10)
    results = at_once(all_rows(clerk(batches), 6, budget=Budget(usd=1)))
    assert {result.stop_reason for result in results.values()} == {"completed"}
    bill = Bill.merge(result.bill for result in results.values())
    assert (bill.in_doubt, sum(line.retries for line in bill.lines), len(batches.sent)) == (0, 12, 1)


def test_a_sibling_that_fails_leaves_a_sent_call_open_and_withdraws_one_that_was_not_sent() -> None:
    """What is out may be billed; what never left is not."""
    out, waiting = ScriptedBatches(seconds=DAY), ScriptedBatches(seconds=DAY)
    one, other = clerk(out, name="one", lane="batch"), clerk(waiting, name="other", lane="batch")

    @node(name="both", children=(one, other))
    async def both(ctx: RunContext, text: str) -> Any:
        async def fail() -> None:
            await ctx.sleep(1_000)
            raise ValueError("no")

        async def late() -> str:
            await ctx.sleep(999.5)
            return await ctx.run(other, text)

        return await ctx.gather(ctx.run(one, text), late(), fail())

    result = at_once(run(both, "x", budget=Budget(usd=1), lane=Batching(quiet=100, max_wait=100)))
    assert result.stop_reason == "error"
    assert (len(out.sent), len(waiting.sent)) == (1, 0)
    assert result.bill.doubtful == 1
    failed = [event for event in result.events if isinstance(event, CallFailed)]
    assert [(event.agent, event.maybe_billed) for event in failed] == [("other", False)]


# ── going on ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_was_cancelled_while_its_batch_was_at_work_goes_on_with_it() -> None:
    """No second submission, one call, nothing in doubt: the attempt simply took longer."""
    batches = ScriptedBatches(seconds=DAY - 100)
    agent = clerk(batches, lane="batch")

    async def main() -> Any:
        store = MemoryStore()
        task = asyncio.create_task(run(agent, "x", store=store, run_id="r", budget=Budget(usd=1)))
        await asyncio.sleep(3_600)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [document.key for document in await store.list("batches")]
        result = await run(agent, "x", store=store, run_id="r", budget=Budget(usd=1))
        assert not await store.list("batches")  # nobody will ask for it again
        return result

    result = at_once(main())
    assert (result.output, len(batches.sent)) == ("X", 1)
    (line,) = result.bill.lines
    assert (line.calls, line.retries, result.bill.in_doubt, result.bill.doubtful) == (1, 0, 0, 0)
    assert [event.attempt for event in result.events if isinstance(event, CallStarted | CallFinished)] == [1, 1]


def test_a_run_that_goes_on_needs_no_more_budget_than_it_had() -> None:
    """What was held for the call that goes on is given back before it is reserved anew."""
    batches = ScriptedBatches(seconds=1_000)
    agent = clerk(batches, lane="batch")
    budget = Budget(usd="0.00102")  # the worst case of one call, and no more

    async def main() -> Any:
        store = MemoryStore()
        task = asyncio.create_task(run(agent, "x", store=store, run_id="r", budget=budget))
        await asyncio.sleep(500)
        task.cancel()
        await asyncio.wait([task])
        return await run(agent, "x", store=store, run_id="r", budget=budget)

    assert at_once(main()).output == "X"


def test_rows_that_were_cut_off_wait_for_the_batch_that_was_sent() -> None:
    """`run_many(run_id=)` names the runs, and a second call goes on with the first."""
    batches = ScriptedBatches(seconds=DAY - 100)
    agent = clerk(batches)

    async def main() -> dict[int, Any]:
        store = MemoryStore()
        task = asyncio.create_task(all_rows(agent, 40, store=store, run_id="map-{}".format))
        await asyncio.sleep(100)
        task.cancel()
        await asyncio.wait([task])
        return await all_rows(agent, 40, store=store, run_id="map-{}".format)

    results = at_once(main())
    assert {i: result.output for i, result in results.items()} == {i: f"ROW {i}" for i in range(40)}
    assert [len(sent) for sent in batches.sent] == [40]
    bill = Bill.merge(result.bill for result in results.values())
    assert (bill.doubtful, sum(line.retries for line in bill.lines)) == (0, 0)


def test_a_run_of_the_batch_lane_that_goes_on_live_waits_for_what_was_sent() -> None:
    """The call is out and paid for, however the rest of the run goes now."""
    batches = ScriptedBatches(seconds=1_000)
    flow = Pipeline(clerk(batches, name="a"), clerk(batches, name="b"))

    async def main() -> Any:
        store = MemoryStore()
        task = asyncio.create_task(run(flow, "x", store=store, run_id="r", lane="batch"))
        await asyncio.sleep(100)
        task.cancel()
        await asyncio.wait([task])
        return await run(flow, "x", store=store, run_id="r")

    result = at_once(main())
    assert (result.output, len(batches.sent)) == ("X", 1)
    assert [event.lane for event in result.events if isinstance(event, CallFinished)] == ["batch", ""]


def test_a_batch_whose_process_is_gone_is_sent_again_under_the_same_ids() -> None:
    """A stand-in's batch lives in its process: the next one is told that it is gone, for nothing."""
    first, second = ScriptedBatches(seconds=1_000), ScriptedBatches(seconds=1_000)

    async def main() -> Any:
        store = MemoryStore()
        task = asyncio.create_task(run(clerk(first, lane="batch"), "x", store=store, run_id="r"))
        await asyncio.sleep(100)
        task.cancel()
        await asyncio.wait([task])
        return await run(clerk(second, lane="batch"), "x", store=store, run_id="r")

    assert at_once(main()).output == "X"
    assert first.sent == second.sent
