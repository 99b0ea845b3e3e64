"""A run that is stuck or runs away is noticed, and warned of, paused or stopped; nothing that is paid for is lost."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from crash import crashed, go, journal
from flows import at_once, cents, dear, of_kind, worker
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, Result, RunContext, Watchdog, approve, deny, fork, node, run, run_many, stream, tool
from outlay.errors import ApprovalPending, ConfigError, Overloaded, WatchdogStopped
from outlay.events import (
    Answered,
    Asked,
    CallFinished,
    CallStarted,
    Checked,
    Event,
    ToolFinished,
    ToolStarted,
    WatchdogAlert,
)
from outlay.patterns import FanOut, Plan, Refine, Subtask, Supervisor, Vote
from outlay.policies.watchdog import Watch
from outlay.runtime.inbox import Inbox
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel


def silent(alert: Any) -> None:
    pass


def alerts(result: Result[Any]) -> list[tuple[str, str, int]]:
    return [(e.rule, e.action, e.level) for e in of_kind(result, WatchdogAlert)]


def searching(times: int, *, max_turns: int = 50, argument: Any = "cards") -> Agent[str]:
    """An agent that searches for the same thing so often, at a cent a turn, and then answers."""
    asked = 0

    def answer(request: Any) -> Reply:
        nonlocal asked
        asked = sum(message.role == "tool" for message in request.messages)
        if asked == times:
            return cents(1, "found it")
        query = argument(asked) if callable(argument) else argument
        return Reply("", tool_calls=[("search", {"query": query})], usage=cents(1).usage)

    @tool
    def search(query: str) -> str:
        """Find it."""
        return f"nothing about {query}"

    return Agent("scout", dear(answer, latency=1), tools=[search], max_turns=max_turns)


def chain_of(steps: int, synthesizer: Agent[str]) -> Supervisor[Any, str]:
    """Subtasks that each wait for the one before."""
    subtasks = [
        Subtask(id=str(n), worker="worker", task=str(n), depends_on=[str(n - 1)] if n else []) for n in range(steps)
    ]
    planner = Agent("planner", ScriptedModel([Plan(subtasks=subtasks)], price=(0, 0)), output_type=Plan)
    return Supervisor(planner, [worker()], synthesizer)


def watched(flow: Any, input: Any = "hi", **options: Any) -> Result[Any]:
    options.setdefault("on_alert", silent)
    return at_once(run(flow, input, **options))


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_tool_call_again_and_again_is_warned_of_at_each_multiple() -> None:
    heard: list[WatchdogAlert] = []
    result = watched(searching(7), watchdog=Watchdog(same_call=3, no_progress=None), on_alert=heard.append)
    assert result.output == "found it"
    assert alerts(result) == [("same_call", "warn", 1), ("same_call", "warn", 2)]
    assert heard == of_kind(result, WatchdogAlert)
    assert (heard[0].path, heard[0].text) == ("scout/search", "search: the same call 3 times")
    assert (result.stop_reason, result.degraded) == ("completed", False)


def test_a_call_with_other_arguments_is_another_call() -> None:
    dog = Watchdog(same_call=3, no_progress=3, then="stop")
    result = watched(searching(7, argument=lambda n: f"page {n}"), watchdog=dog)
    assert (result.output, alerts(result)) == ("found it", [])


def test_the_same_request_again_and_again_is_noticed() -> None:
    reader = worker()

    @node
    async def loop(ctx: RunContext, text: str) -> str:
        for _ in range(100):
            await ctx.run(reader, text)
        return "never"

    result = watched(loop, watchdog=Watchdog(same_call=4, then="stop"))
    assert result.stop_reason == "watchdog"
    assert len(of_kind(result, CallFinished)) == 4
    assert "worker asked its model: the same request 4 times" in str(result.error)


@pytest.mark.parametrize(
    "flow", [Vote(worker(), 9, early_stop=False), FanOut(worker(), split=lambda text: [text] * 9)], ids=["vote", "fan"]
)
def test_samples_of_a_vote_and_items_of_a_fan_out_are_meant_to_be_alike(flow: Any) -> None:
    assert alerts(watched(flow, watchdog=Watchdog(same_call=2))) == []


def test_an_attempt_that_is_tried_again_is_the_same_call_once() -> None:
    model = dear([Overloaded("busy"), Overloaded("busy"), "done"])
    assert alerts(watched(Agent("a", model), watchdog=Watchdog(same_call=2))) == []


def test_turns_that_bring_nothing_new_are_no_progress() -> None:
    """The same result of different calls is no news; a run without a store notices that too."""

    @tool
    def search(query: str) -> str:
        """Find it."""
        return "nothing"

    def answer(request: Any) -> Reply:
        turn = len(request.messages)
        return Reply("", tool_calls=[("search", {"query": f"try {turn}"})]) if turn < 19 else Reply("gave up")

    agent = Agent("scout", ScriptedModel(answer, price=(1, 1)), tools=[search], max_turns=20)
    result = watched(agent, watchdog=Watchdog(no_progress=4))
    # the first turn's result is new; from then on four turns, and eight
    assert alerts(result) == [("no_progress", "warn", 1), ("no_progress", "warn", 2)]
    assert of_kind(result, WatchdogAlert)[0].path == "scout"
    assert of_kind(result, WatchdogAlert)[0].text.startswith("scout: 4 turns without")


def test_a_run_that_gets_stuck_again_after_some_progress_is_asked_about_again() -> None:
    """The leave that was given for the first time is none for the second."""
    asked: list[str] = []

    @tool
    def search(query: str) -> str:
        """Find it."""
        return "news" if query == "5" else "nothing"

    def answer(request: Any) -> Reply:
        turn = sum(message.role == "tool" for message in request.messages)
        return Reply("", tool_calls=[("search", {"query": str(turn)})]) if turn < 11 else Reply("done")

    def leave(item: Any) -> str:
        asked.append(item.id)
        return "approve"

    agent = Agent("a", ScriptedModel(answer, price=(1, 1)), tools=[search], max_turns=20)
    dog = Watchdog(no_progress=4, then="pause")
    result = watched(agent, watchdog=dog, store=MemoryStore(), on_ask=leave)
    assert result.output == "done"
    assert [level for *_, level in alerts(result)] == [1, 2]
    assert len(set(asked)) == 2


def test_a_loop_over_many_inputs_is_progress() -> None:
    reader = worker()

    @node
    async def loop(ctx: RunContext, text: str) -> int:
        return len([await ctx.run(reader, str(n)) for n in range(30)])

    assert alerts(watched(loop, watchdog=Watchdog(no_progress=2))) == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_change_of_shared_state_is_progress(kept: bool) -> None:
    @tool
    async def note(ctx: RunContext, n: int) -> str:
        """Write it down."""
        await ctx.state.set("n", n, version=(await ctx.state.get("n")).version)
        return "ok"

    def answer(request: Any) -> Reply:
        turn = len(request.messages)
        return Reply("", tool_calls=[("note", {"n": turn})]) if turn < 15 else Reply("done")

    agent = Agent("clerk", ScriptedModel(answer, price=(1, 1)), tools=[note], max_turns=20)
    result = watched(agent, watchdog=Watchdog(no_progress=2), store=MemoryStore() if kept else None)
    assert (result.output, alerts(result)) == ("done", [])


def test_retries_that_pile_up_are_noticed_and_corrections_count() -> None:
    def never(output: str) -> str | None:
        return "not good enough"

    corrected = Agent("a", dear(lambda _: cents(1)), verify=[never], output_retries=9, max_turns=20)
    assert alerts(watched(corrected, watchdog=Watchdog(retries=5, same_call=None, no_progress=None))) == [
        ("retries", "warn", 1),
        ("retries", "warn", 2),
    ]
    flaky = Agent("b", dear(lambda _: Overloaded("busy")))
    crew = FanOut(flaky, split=lambda _: [str(n) for n in range(5)], min_success=0)
    assert ("retries", "warn", 1) in alerts(watched(crew, watchdog=Watchdog(retries=8)))


def test_retries_that_come_one_in_a_while_do_not_pile_up() -> None:
    def flaky(request: Any) -> Any:
        flaky.n += 1  # pyright: ignore[reportFunctionMemberAccess]
        return Overloaded("busy") if flaky.n % 2 else "done"  # pyright: ignore[reportFunctionMemberAccess]

    flaky.n = 0  # pyright: ignore[reportFunctionMemberAccess]
    agent = Agent("a", dear(flaky))

    @node
    async def hourly(ctx: RunContext, text: str) -> None:
        for n in range(6):
            await ctx.run(agent, str(n))
            await ctx.sleep(3600)

    assert alerts(watched(hourly, watchdog=Watchdog(retries=2))) == []


def test_a_cost_far_above_the_forecast_stops_the_run_and_keeps_what_was_paid_for() -> None:
    crew = FanOut(worker(latency=1), max_parallel=1)
    dog = Watchdog(usd="0.01", factor=3, then={"forecast": "stop"})
    result = watched(crew, [str(n) for n in range(10)], watchdog=dog)
    assert result.stop_reason == "watchdog"
    assert result.output == ["0", "1", "2"]
    assert result.bill.total == Decimal("0.03")
    error = result.error
    assert isinstance(error, WatchdogStopped)
    assert (error.rule, error.message.partition(": ")[2]) == (
        "forecast",
        "$0.0300 spent, 3.0 times the forecast of $0.0100, at fanout",
    )


def test_tokens_far_above_the_forecast_are_noticed_and_what_may_have_been_billed_counts() -> None:
    result = watched(worker(cost=3), watchdog=Watchdog(tokens=100, factor=2))
    assert alerts(result) == [("forecast", "warn", 1)]
    assert "times the forecast of 100" in of_kind(result, WatchdogAlert)[0].text
    hung = dear(lambda _: Overloaded("reset", may_be_billed=True, retryable=False))
    doubtful = Agent("a", hung, max_output_tokens=500, min_output_tokens=500)
    assert alerts(watched(doubtful, watchdog=Watchdog(usd="0.01", factor=2))) == [("forecast", "warn", 2)]


def test_a_multiple_of_what_past_runs_cost_is_noticed_once_there_are_enough() -> None:
    async def main() -> list[Result[Any]]:
        store, results = MemoryStore(), list[Result[Any]]()
        for cost in (1, 1, 2, 1, 1, 20):
            dog = Watchdog(usual=5, then="stop")
            flow = worker(cost=cost, cap=20)
            results.append(await run(flow, "hi", store=store, watchdog=dog, on_alert=silent))
        return results

    *calm, last = at_once(main())
    assert [alerts(result) for result in calm] == [[]] * 5
    assert [e.text for e in of_kind(last, WatchdogAlert)] == [
        "$0.2000 spent, 20.0 times the usual $0.0100 of this flow"
    ]


# ── what it does ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stop_lets_what_is_in_flight_end_and_begins_nothing_new() -> None:
    """Four at once: the first answers set it off, the other three in flight are paid for and kept."""
    crew = FanOut(worker(latency=1), max_parallel=4)
    result = watched(crew, [str(n) for n in range(12)], watchdog=Watchdog(usd="0.01", factor=1, then="stop"))
    assert result.output == ["0", "1", "2", "3"]
    assert (result.stop_reason, result.bill.total, result.bill.in_doubt) == ("watchdog", Decimal("0.04"), 0)


def test_a_stop_lets_the_final_step_put_together_what_is_paid_for() -> None:
    scribe = Agent("scribe", dear(lambda request: cents(1, "summary")))
    result = watched(chain_of(4, scribe), "go", watchdog=Watchdog(usd="0.02", factor=1, then="stop"))
    assert (result.output, result.stop_reason, result.degraded) == ("summary", "watchdog", True)
    assert result.bill.total == Decimal("0.03")


def test_a_final_step_that_is_stuck_itself_is_stopped_too() -> None:
    stuck = searching(30).replace(name="scribe")
    result = watched(chain_of(4, stuck), "go", watchdog=Watchdog(same_call=3, usd="0.02", factor=1, then="stop"))
    assert (result.output, result.stop_reason) == (None, "watchdog")
    assert result.bill.total == Decimal("0.04")  # it reached four cents, twice the forecast


def test_an_optional_stage_is_no_way_around_a_stop() -> None:
    @node
    async def flow(ctx: RunContext, text: str) -> str:
        await ctx.run(searching(9).replace(optional=True), text)
        return await ctx.run(worker(), text)

    result = watched(flow, watchdog=Watchdog(same_call=3, then="stop"))
    assert (result.stop_reason, result.output) == ("watchdog", None)


def test_a_draft_so_far_is_the_output_of_a_refine_that_is_stopped() -> None:
    def never(text: str) -> str:
        return "worse than before"

    draft = Refine(worker(), never, max_rounds=9)
    result = watched(draft, watchdog=Watchdog(usd="0.01", factor=2, then="stop"))
    assert (result.stop_reason, result.output is not None) == ("watchdog", True)


def test_each_row_of_many_has_a_watchdog_of_its_own() -> None:
    async def main() -> dict[int, str]:
        rows = [(1, "cards"), (2, "cards")]
        dog = Watchdog(same_call=3, then="stop")
        flow = searching(4)
        return {id: r.stop_reason async for id, r in run_many(flow, rows, watchdog=dog, on_alert=silent)}

    assert at_once(main()) == {1: "watchdog", 2: "watchdog"}


def test_a_pause_without_a_store_asks_whoever_answers() -> None:
    asked: list[str] = []

    def leave(item: Any) -> str:
        asked.append(item.question)
        return "approve" if len(asked) == 1 else "deny"

    result = watched(searching(9), watchdog=Watchdog(same_call=3, then="pause"), on_ask=leave)
    assert asked == [f"search: the same call {n} times, at scout/search. Go on?" for n in (3, 6)]
    assert (result.stop_reason, len(of_kind(result, ToolStarted))) == ("watchdog", 6)


def test_branches_that_are_paused_together_ask_once() -> None:
    asked: list[Any] = []

    async def leave(item: Any) -> str:
        asked.append(item)
        await asyncio.sleep(60)
        return "approve"

    crew = FanOut(worker(latency=1), max_parallel=3)
    dog = Watchdog(usd="0.01", factor=2, then={"forecast": "pause"})
    result = watched(crew, [str(n) for n in range(7)], watchdog=dog, on_ask=leave)
    assert result.output == [str(n) for n in range(7)]
    assert len(asked) == len(alerts(result)) == 3  # at 2, 4 and 6 cents


PAUSING = Watchdog(same_call=3, no_progress=None, then="pause")


def paused() -> tuple[MemoryStore, Result[Any]]:
    store = MemoryStore()
    return store, go(searching(7), "hi", store, watchdog=PAUSING, on_alert=silent)


def test_a_pause_suspends_the_run_and_is_an_item_of_the_inbox() -> None:
    store, result = paused()
    assert (result.stop_reason, type(result.error)) == ("approval", ApprovalPending)
    (item,) = result.pending
    assert (item.kind, item.options) == ("watchdog", ("approve", "deny"))
    assert item.spent == Decimal("0.03")
    again = go(searching(7), "hi", store, watchdog=PAUSING, on_alert=silent)
    assert again.stop_reason == "approval"  # nobody has decided
    assert [one.id for one in again.pending] == [item.id]
    assert len(of_kind(again, CallFinished)) == 3


def test_with_leave_it_goes_on_to_the_next_multiple_and_pays_nothing_twice() -> None:
    store, result = paused()
    for levels in (1, 2):
        at_once(approve(result.pending[0].id, store=store, by="ada", reason="it is a slow service"))
        result = go(searching(7), "hi", store, watchdog=PAUSING, on_alert=silent)
        assert len(of_kind(result, WatchdogAlert)) == min(levels + 1, 2)
    assert (result.output, result.bill.total) == ("found it", Decimal("0.08"))
    assert [(e.answer, e.by) for e in of_kind(result, Answered)] == [("approve", "ada")] * 2


def test_without_leave_it_ends_and_can_still_be_resumed() -> None:
    store, result = paused()
    at_once(deny(result.pending[0].id, store=store, by="ada", reason="no"))
    denied = go(searching(7), "hi", store, watchdog=PAUSING, on_alert=silent)
    assert (denied.stop_reason, denied.bill.total) == ("watchdog", Decimal("0.03"))
    assert at_once(Inbox(store).list()) == []
    resumed = go(searching(7), "hi", store, on_alert=silent)
    assert (resumed.output, resumed.bill.total) == ("found it", Decimal("0.08"))


# ── the same after a crash ────────────────────────────────────────────────────────────────────────────────────────


STOPPING = Watchdog(same_call=3, no_progress=None, then="stop")


def test_a_crash_after_any_event_stops_at_the_same_place() -> None:
    """Cut off after each event and resumed under the same watchdog, a run makes the same calls and says so once."""
    whole = MemoryStore()
    go(searching(7), "hi", whole, watchdog=STOPPING, on_alert=silent)
    events = journal(whole)
    for length in range(1, len(events)):
        store = crashed(whole, length)
        result = go(searching(7), "hi", store, watchdog=STOPPING, on_alert=silent)
        assert (result.stop_reason, length) == ("watchdog", length)
        assert alerts(result) == [("same_call", "stop", 1)]
        assert len({e.key for e in of_kind(result, ToolStarted)}) == 3
        assert len({e.key for e in of_kind(result, CallStarted)}) == 3


def test_a_run_that_was_stopped_goes_on_to_the_next_multiple_when_it_is_resumed() -> None:
    store = MemoryStore()
    totals = [go(searching(7), "hi", store, watchdog=STOPPING, on_alert=silent) for _ in range(3)]
    assert [result.stop_reason for result in totals] == ["watchdog", "watchdog", "completed"]
    assert [result.bill.total for result in totals] == [Decimal("0.03"), Decimal("0.06"), Decimal("0.08")]


def test_a_stricter_watchdog_at_a_resume_looks_at_what_was_done_before() -> None:
    store = MemoryStore()
    budget = Budget(usd="0.05")
    first = go(searching(7), "hi", store, budget=budget, on_alert=silent)
    assert first.stop_reason == "budget"
    again = go(searching(7), "hi", store, watchdog=STOPPING, on_alert=silent)
    assert (again.stop_reason, again.bill.total) == ("watchdog", first.bill.total)


def test_a_run_that_is_over_gives_its_output_whatever_a_watchdog_would_say() -> None:
    store = MemoryStore()
    go(searching(7), "hi", store)
    assert go(searching(7), "hi", store, watchdog=STOPPING).output == "found it"


def test_without_a_watchdog_there_is_nothing_of_it_in_the_events() -> None:
    result = watched(searching(7))
    assert (alerts(result), of_kind(result, Asked)) == ([], [])
    started = result.events[0]
    assert getattr(started, "watchdog", None) == {}


# ── a second opinion ──────────────────────────────────────────────────────────────────────────────────────────────


def opinion(*, stuck: bool) -> ScriptedModel:
    return dear(
        lambda _: Reply(f'{{"stuck": {str(stuck).lower()}, "why": "it pages"}}', usage=cents(1).usage), name="small"
    )


def test_an_opinion_can_spare_a_run_once_and_is_paid_from_its_budget() -> None:
    dog = Watchdog(same_call=3, no_progress=None, then="stop", opinion=opinion(stuck=False))
    result = watched(searching(9), watchdog=dog, budget=Budget(usd=1))
    assert alerts(result) == [("same_call", "warn", 1), ("same_call", "stop", 2)]
    assert of_kind(result, WatchdogAlert)[0].opinion == "not stuck: it pages"
    assert result.bill.by("agent")["watchdog"].cost == Decimal("0.01")
    assert result.stop_reason == "watchdog"


def test_an_opinion_that_agrees_stops_the_run() -> None:
    dog = Watchdog(same_call=3, then="stop", opinion=opinion(stuck=True))
    result = watched(searching(9), watchdog=dog)
    assert alerts(result) == [("same_call", "stop", 1)]
    assert result.bill.total == Decimal("0.04")


@pytest.mark.parametrize("answer", [Overloaded("busy", retryable=False), "hm"], ids=["fails", "says nothing"])
def test_without_an_opinion_the_rule_stands(answer: Any) -> None:
    dog = Watchdog(same_call=3, then="stop", opinion=dear(lambda _: answer, name="small"))
    result = watched(searching(9), watchdog=dog)
    assert alerts(result) == [("same_call", "stop", 1)]
    assert of_kind(result, WatchdogAlert)[0].opinion.startswith("no second opinion: ")
    assert isinstance(result.error, WatchdogStopped)


def test_an_opinion_that_the_budget_has_no_room_for_is_not_asked_for() -> None:
    """Nor is a human asked to raise the budget for it."""
    dog = Watchdog(same_call=3, then="stop", opinion=opinion(stuck=False))
    result = watched(
        searching(9).replace(max_output_tokens=100), watchdog=dog, budget=Budget(usd="0.03", on_exhausted="pause")
    )
    assert (result.stop_reason, result.pending) == ("watchdog", ())


def test_a_crash_after_any_event_asks_for_no_second_opinion_twice() -> None:
    """Cut off after each event and resumed, the same opinion is given again for nothing."""

    def dog() -> Watchdog:
        return Watchdog(same_call=3, no_progress=None, then="stop", opinion=opinion(stuck=False))

    whole = MemoryStore()
    first = go(searching(9), "hi", whole, watchdog=dog(), on_alert=silent)
    assert alerts(first) == [("same_call", "warn", 1), ("same_call", "stop", 2)]
    events = journal(whole)
    for length in range(1, len(events)):
        result = go(searching(9), "hi", crashed(whole, length), watchdog=dog(), on_alert=silent)
        assert (alerts(result), result.stop_reason, length) == (alerts(first), "watchdog", length)
        assert result.bill.total == first.bill.total


def test_an_opinion_of_a_model_that_does_not_exist_is_refused_before_anything_is_spent() -> None:
    with pytest.raises(ConfigError, match="no provider"):
        watched(searching(1), watchdog=Watchdog(opinion="tiny"))


def test_under_stand_ins_the_rule_stands() -> None:
    agent = searching(9).replace(model="anthropic:claude-haiku-4-5", offline=searching(9).model)
    dog = Watchdog(same_call=3, then="stop", opinion="anthropic:claude-haiku-4-5")
    result = watched(agent, watchdog=dog, models="offline")
    assert alerts(result) == [("same_call", "stop", 1)]
    assert of_kind(result, WatchdogAlert)[0].opinion.startswith("stuck: the offline stand-in")


# ── every way to run ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_and_a_fork_are_watched_too() -> None:
    async def streamed() -> Result[Any]:
        async with stream(searching(7), "hi", watchdog=STOPPING, on_alert=silent) as s:
            assert [e.rule async for e in s if isinstance(e, WatchdogAlert)] == ["same_call"]
        return s.result

    assert at_once(streamed()).stop_reason == "watchdog"

    async def forked() -> Result[Any]:
        store = MemoryStore()
        await run(searching(7), "hi", store=store, run_id="r")
        options: dict[str, Any] = {"watchdog": STOPPING, "on_alert": silent}
        return await fork("r", searching(7, argument="other"), store=store, at="scout", **options)

    assert at_once(forked()).stop_reason == "watchdog"


def test_nested_runs_have_their_own_watchdogs() -> None:
    """A stop of an inner run is the outer one's business: here it takes what there is."""

    @node
    async def outer(ctx: RunContext, text: str) -> str:
        inner = await run(searching(9), text, watchdog=STOPPING, on_alert=silent)
        return inner.stop_reason

    assert watched(outer).output == "watchdog"


# ── a law ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=40, deadline=None)
@given(data=st.data(), limit=st.integers(2, 5), turns=st.integers(1, 4))
def test_what_is_found_does_not_depend_on_where_a_run_was_cut(data: st.DataObject, limit: int, turns: int) -> None:
    """Folding a run's past and then the rest finds what folding all of it at once does, each finding once."""
    steps = data.draw(st.lists(st.sampled_from(["call x", "call y", "news", "turn", "sent back"]), max_size=40))
    events = [_event(n, step) for n, step in enumerate(steps)]
    dog = Watchdog(same_call=limit, no_progress=turns, retries=limit, usd="0.01", factor=1)

    def found(*parts: list[Event]) -> list[Any]:
        watch = Watch(dog)
        return [finding.key for part in parts for event in part for finding in watch.see(event)]

    cut = data.draw(st.integers(0, len(events)))
    whole = found(events)
    assert found(events[:cut], events[cut:]) == whole
    assert len(set(whole)) == len(whole)


def _event(n: int, step: str) -> Event:
    head: dict[str, Any] = {"run": "r", "seq": n, "time": float(n)}
    match step:
        case "call x" | "call y":
            return ToolStarted(**head, path=f"a/{step[-1]}#{n}", agent="a", tool=step[-1], key=f"s-{step[-1]}-{n}")
        case "news":
            return ToolFinished(**head, path="a/x", agent="a", tool="x", key=f"s-x-{n}", value=f"{n % 3}")
        case "turn":
            return CallFinished(
                **head, path="a", agent="a", model="m", attempt=1, key=f"k{n}", cost=Decimal("0.004"), output_tokens=1
            )
        case _:
            return Checked(**head, path="a", agent="a", problem="no")


# ── wrong input ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrong",
    [
        {"same_call": 0},
        {"no_progress": "5"},
        {"retries": True},
        {"usd": "-1"},
        {"usd": 0},
        {"usd": "a lot"},
        {"factor": float("nan")},
        {"usual": -1},
        {"then": "bark"},
        {"then": {"same_call": "kill"}},
        {"then": {"same_cal": "stop"}},
    ],
    ids=str,
)
def test_a_watchdog_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Watchdog(**wrong)


def test_a_watchdog_is_recorded_with_the_run_and_can_be_made_again() -> None:
    dog = Watchdog(same_call=4, usd="0.10", usual=3, then={"retries": "pause"}, opinion="anthropic:claude-haiku-4-5")
    events: list[Event] = []
    at_once(run(worker(), "hi", watchdog=dog, on_event=events.append))
    assert Watchdog.of(getattr(events[0], "watchdog", {})) == dog
    with pytest.raises(ConfigError, match="another version"):
        Watchdog.of({"teeth": 42})
