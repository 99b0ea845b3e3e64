"""What a run gives back; many runs; runs as streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
from flows import at_once, cents, dear, echo, of_kind, worker

from outlay import Agent, Budget, RunContext, node, run, run_many, stream
from outlay.errors import BadResponse, BudgetExceeded, ConfigError, ModelError, OutputInvalid, Stopped
from outlay.events import CallFinished, CallStarted, Retracted, RunFinished, TextDelta
from outlay.patterns import FanOut, Pipeline
from outlay.testing import Reply, ScriptedModel
from outlay.values.message import user
from outlay.values.transcript import EMPTY

# ── Result ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_complete_run_is_not_degraded() -> None:
    """Output, reason, flow, seconds, and one finished part: the whole."""
    result = at_once(run(worker(latency=3), "x", run_id="r"))
    assert (result.output, result.unwrap(), result.stop_reason, result.degraded) == ("x", "x", "completed", False)
    assert (result.run_id, result.flow, result.seconds, result.error) == ("r", "worker", 3, None)
    assert [(p.path, p.output, p.cost) for p in result.partial] == [("worker", "x", Decimal("0.01"))]
    assert (result.skipped, result.pending, result.facts) == ((), (), {})


def test_partial_is_the_outermost_that_was_finished() -> None:
    """What is inside a finished node is not listed again; what is inside an unfinished one is."""

    @node
    async def fails(ctx: RunContext, value: Any) -> None:
        await ctx.run(worker("inner"), "i")
        raise ValueError("no")

    flow = Pipeline(FanOut(worker(), name="fan"), fails, name="p")
    result = at_once(run(flow, ["a", "b"]))
    assert [(p.path, p.output, p.cost) for p in result.partial] == [
        ("p/fan", ["a", "b"], Decimal("0.02")),
        ("p/fails/inner", "i", Decimal("0.01")),
    ]


def test_the_cost_of_a_part_is_unknown_where_a_price_in_it_is() -> None:
    """Unknown is not zero."""

    @node
    async def fails(ctx: RunContext, _: str) -> None:
        await ctx.run(Agent("free", ScriptedModel(["x"])), "")
        raise ValueError("no")

    assert [p.cost for p in at_once(run(fails, "")).partial] == [None]


def test_failed_parts_are_skipped_with_their_reason() -> None:
    """Path, reason and error of each, and the run counts as degraded."""

    async def picky(text: str) -> str:
        if text == "b":
            raise KeyError("not b")
        return text

    result = at_once(run(FanOut(picky, name="fan"), ["a", "b", "c"]))
    assert (result.output, result.stop_reason, result.degraded) == (["a", "c"], "completed", True)
    assert [(s.path, s.reason, repr(s.error)) for s in result.skipped] == [
        ("fan/picky[1]", "the worker failed", "KeyError('not b')")
    ]


def test_unwrap_raises_what_ended_the_run() -> None:
    """Your own error as it was; a stop without an answer too."""
    failed = at_once(run(Agent("a", ScriptedModel(["x"] * 3), verify=[lambda _: "wrong"]), ""))
    with pytest.raises(OutputInvalid, match="wrong"):
        failed.unwrap()
    stopped = at_once(run(worker(cap=99), "", budget=Budget(usd="0.01")))
    with pytest.raises(BudgetExceeded):
        stopped.unwrap()
    best = at_once(run(FanOut(worker()), ["a", "b"], budget=Budget(usd="0.01")))
    assert best.unwrap() == ["a"]


def test_none_is_an_output() -> None:
    """A flow that gives None has not failed."""

    @node
    async def nothing(ctx: RunContext, _: str) -> None:
        return None

    assert at_once(run(nothing, "")).unwrap() is None


def test_a_stop_without_an_answer_of_a_calm_node_is_still_a_stop() -> None:
    """Where a node swallowed the stop and gave nothing, `unwrap` says so."""

    @node
    async def calm(ctx: RunContext, _: str) -> None:
        try:
            await ctx.run(worker(cap=99), "x")
        except Stopped:
            return None

    with pytest.raises(Stopped, match="budget"):
        at_once(run(calm, "", budget=Budget(usd="0.01"))).unwrap()


def test_the_bill_adds_up_to_what_the_accounts_say() -> None:
    """Every call is on it, under agent, model and path."""
    flow = Pipeline(worker("a", cost=2, cap=2), worker("b", cost=3, cap=3), name="p")
    bill = at_once(run(flow, "x", budget=Budget(usd=1))).bill
    assert bill.total == bill.at_least == Decimal("0.05")
    assert {path: line.cost for path, line in bill.by("path").items()} == {
        "p/a": Decimal("0.02"),
        "p/b": Decimal("0.03"),
    }
    assert {key: line.cost for key, line in bill.by("agent").items()} == {"a": Decimal("0.02"), "b": Decimal("0.03")}


# ── history ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_conversation_goes_on_with_its_history() -> None:
    """`history=result.transcript`: the root agent sees what was said, and the new transcript holds it all."""
    agent = Agent("a", ScriptedModel(lambda r: f"{len(r.messages)} messages"))
    first = at_once(run(agent, "hello"))
    second = at_once(run(agent, "again", history=first.transcript))
    assert (first.output, second.output) == ("1 messages", "3 messages")
    assert [m.text for m in second.transcript] == ["hello", "1 messages", "again", "3 messages"]
    assert second.transcript.messages[:2] == first.transcript.messages


def test_history_reaches_agents_that_ask_for_it_only() -> None:
    """Below the root, `history=True` goes on with the conversation; others start afresh."""
    answer = ScriptedModel(lambda r: str(len(r.messages)))
    flow = FanOut([Agent("old", answer, history=True), Agent("new", answer)])
    assert at_once(run(flow, "x", history=EMPTY.append(user("a"), user("b")))).unwrap() == {"old": "3", "new": "1"}


# ── run_many ──────────────────────────────────────────────────────────────────────────────────────────────


async def collect(*args: Any, **options: Any) -> dict[Any, Any]:
    return {id: result async for id, result in run_many(*args, **options)}


def test_every_row_gets_its_result() -> None:
    """Results come as they finish, by the row's id, each a run of its own."""

    @node
    async def slow(ctx: RunContext, seconds: int) -> int:
        await ctx.sleep(seconds)
        return seconds

    found = at_once(collect(slow, [("c", 3), ("a", 1), ("b", 2)]))
    assert list(found) == ["a", "b", "c"]
    assert [r.output for r in found.values()] == [1, 2, 3]
    assert len({r.run_id for r in found.values()}) == 3


def test_rows_may_come_from_an_async_source_that_is_read_as_it_is_needed() -> None:
    """A source without end is no problem: no more than `concurrency` rows are taken ahead."""
    taken: list[int] = []

    async def rows() -> AsyncIterator[tuple[int, str]]:
        for i in range(10**9):
            taken.append(i)
            yield i, str(i)

    async def main() -> None:
        results = run_many(worker(), rows(), concurrency=3)
        async for id, _result in results:
            if id == 5:
                break
        await results.aclose()

    at_once(main())
    assert len(taken) <= 9


def test_concurrency_is_respected() -> None:
    """So many rows at once, and not one more."""
    running = most = 0

    @node
    async def count(ctx: RunContext, _: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await ctx.sleep(1)
        running -= 1

    at_once(collect(count, [(i, i) for i in range(20)], concurrency=4))
    assert most == 4
    with pytest.raises(ConfigError, match="concurrency"):
        at_once(collect(count, [], concurrency=0))


def test_the_budget_covers_all_rows_together() -> None:
    """Two hundred rows share it; once it is used up no further row is started, and the generator ends."""
    found = at_once(collect(worker(cost=1, cap=4), [(i, str(i)) for i in range(200)], budget=Budget(usd="0.50")))
    spent = sum(r.bill.total for r in found.values())
    assert Decimal("0.40") <= spent <= Decimal("0.50")
    assert len(found) < 60
    assert {r.stop_reason for r in found.values()} <= {"completed", "budget"}


def test_the_time_covers_all_rows_together() -> None:
    """`seconds` count from the start of the map, rows in flight end as a deadline, and no further one starts."""

    async def main() -> tuple[dict[Any, Any], float]:
        found = await collect(
            worker(latency=4), [(i, str(i)) for i in range(99)], budget=Budget(seconds=10), concurrency=2
        )
        return found, asyncio.get_running_loop().time()

    found, elapsed = at_once(main())
    assert [r.stop_reason for r in found.values()] == ["completed"] * 4 + ["deadline"] * 2
    assert elapsed == 10


def test_a_rows_own_budget_does_not_end_the_others() -> None:
    """A stop by the flow's own limit is that row's; even where it has the name of the whole."""
    agent = Agent("a", dear(lambda r: r.text), budget=Budget(calls=0), max_output_tokens=100)
    found = at_once(collect(agent, [(i, str(i)) for i in range(40)], budget=Budget(usd=9), concurrency=2))
    assert [r.stop_reason for r in found.values()] == ["budget"] * 40


def test_a_finishing_reserve_of_one_row_is_free_for_the_next() -> None:
    """What a row set aside and did not use is given back to the budget of all."""
    merge = Agent("merge", dear(["never"] * 99), max_output_tokens=300)

    async def fails(_: str) -> str:
        raise ValueError("no")

    flow = Pipeline(FanOut(fails, merge=merge, optional=True), lambda _: "x", worker("late", cost=0.01, cap=4))
    found = at_once(collect(flow, [(i, ["a"]) for i in range(50)], budget=Budget(usd="0.10"), concurrency=1))
    assert [r.stop_reason for r in found.values()] == ["completed"] * 50


def test_leaving_early_cancels_what_is_in_flight() -> None:
    """No task is left when the loop over the results is left."""

    async def main() -> float:
        before = asyncio.all_tasks()
        results = run_many(worker(latency=100), [(i, str(i)) for i in range(9)], concurrency=4)
        quick = run_many(echo, [(i, i) for i in range(9)])
        async for _ in quick:
            break
        await quick.aclose()
        first = asyncio.ensure_future(anext(results))
        await asyncio.sleep(5)
        first.cancel()
        await asyncio.wait([first])
        await results.aclose()
        assert asyncio.all_tasks() == before
        return asyncio.get_running_loop().time()

    assert at_once(main()) == 5


def test_a_broken_source_of_rows_loses_no_paid_row_silently() -> None:
    """Its error comes through, after what was in flight is cut off."""

    def rows() -> Iterator[tuple[int, str]]:
        yield 1, "a"
        raise OSError("disk")

    async def main() -> None:
        before = asyncio.all_tasks()
        with pytest.raises(OSError, match="disk"):
            await collect(worker(), rows())
        assert asyncio.all_tasks() == before

    at_once(main())


def test_lanes_that_are_not_there_are_refused() -> None:
    """A promise of half price is not dropped silently."""
    with pytest.raises(ConfigError, match="lane"):
        at_once(collect(echo, [], lane="fax"))


# ── stream ────────────────────────────────────────────────────────────────────────────────────────────────


async def streamed(root: Any, input: Any, **options: Any) -> tuple[list[Any], Any]:
    async with stream(root, input, **options) as s:
        events = [event async for event in s]
        return events, s.result


def test_a_stream_shows_every_event_and_the_pieces_of_text() -> None:
    """Deltas join to the answer; they are seen and not stored."""
    events, result = at_once(streamed(Agent("a", ScriptedModel(["one two three"])), "x"))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "one two three" == result.output
    assert [e for e in events if not isinstance(e, TextDelta)] == list(result.events)
    assert isinstance(events[-1], RunFinished)


def test_text_is_the_roots_only() -> None:
    """What agents inside say is theirs."""
    inner = Agent("inner", ScriptedModel(["private words"]))
    root = Agent("root", ScriptedModel([Reply(tool_calls=[("inner", {"input": "x"})]), "public words"]), tools=[inner])

    async def main() -> list[str]:
        async with stream(root, "x") as s:
            return [piece async for piece in s.text()]

    assert "".join(at_once(main())) == "public words"


def test_an_attempt_that_failed_after_it_spoke_is_retracted() -> None:
    """Listeners are told that the earlier deltas do not count."""

    class Breaks(ScriptedModel):
        async def send(self, request: Any, transport: Any, on_text: Any = None) -> Any:
            if len(self.calls) == 0 and on_text is not None:
                on_text("half an ans")
                self.calls.append(request)
                raise BadResponse("cut")
            return await super().send(request, transport, on_text)

    events, result = at_once(streamed(Agent("a", Breaks(["", "whole"])), "x"))
    said = [e for e in events if isinstance(e, TextDelta | Retracted)]
    assert [type(e).__name__ for e in said] == ["TextDelta", "Retracted", "TextDelta"]
    assert (said[1].path, "BadResponse" in said[1].reason) == ("a", True)
    assert result.output == "whole"


def test_an_answer_that_a_budget_cut_off_is_retracted() -> None:
    """What was shown is no answer: the stop says so, and the listeners are told."""
    agent = Agent("a", dear(["long " * 500]), max_output_tokens=1000, min_output_tokens=100)
    events, result = at_once(streamed(agent, "x", budget=Budget(tokens=300)))
    assert result.stop_reason == "budget"
    said = [event for event in events if isinstance(event, TextDelta | Retracted)]
    assert isinstance(said[0], TextDelta)
    assert [event.reason for event in said if isinstance(event, Retracted)] == ["the budget cut the answer off"]


def test_a_refused_output_is_retracted() -> None:
    """The checker's reason is the reason."""
    agent = Agent("a", ScriptedModel(["bad", "good"]), verify=[lambda text: "not that" if text == "bad" else None])
    events, _ = at_once(streamed(agent, "x"))
    assert [
        e.text if isinstance(e, TextDelta) else e.reason for e in events if isinstance(e, TextDelta | Retracted)
    ] == [
        "bad",
        "not that",
        "good",
    ]


def test_the_result_of_a_stream_is_there_when_it_has_ended() -> None:
    """Before, asking for it is a ConfigError that says what to do; the end can be read twice."""

    async def main() -> None:
        async with stream(worker(latency=5), "x", budget=Budget(usd=1)) as s:
            with pytest.raises(ConfigError, match="async for"):
                s.result  # noqa: B018
            assert len([e async for e in s]) > 3
            assert [e async for e in s] == []
            assert s.result.output == "x"

    at_once(main())


def test_a_stream_raises_what_run_would_raise() -> None:
    """A budget that raises must not pass unseen."""

    async def main() -> None:
        async with stream(FanOut(worker()), ["a", "b"], budget=Budget(usd="0.01", on_exhausted="raise")) as s:
            async for _ in s:
                pass

    with pytest.raises(BudgetExceeded) as caught:
        at_once(main())
    assert caught.value.result.output == ["a"]


def test_listeners_of_a_plain_run_see_no_deltas() -> None:
    """Streaming is asked for; without it providers are not asked to stream."""
    result = at_once(run(Agent("a", ScriptedModel(["x y z"])), ""))
    assert of_kind(result, TextDelta) == []
    assert len(of_kind(result, CallStarted)) == len(of_kind(result, CallFinished)) == 1


def test_an_error_of_a_model_says_where() -> None:
    """The path of the agent is part of the error."""
    flow = Pipeline(worker("first"), Agent("second", dear([ModelError("boom"), cents(1)])), name="p")
    result = at_once(run(flow, "x"))
    assert isinstance(result.error, ModelError)
    assert result.error.path == "p/second"
