"""A run with detached work, or with a crew that plans again, that broke off after any event."""

from __future__ import annotations

from typing import Any

import pytest
from crash import crashed, go, journal
from flows import cents, dear

from outlay import Agent, Budget, Result, RunContext, node
from outlay.events.records import CallFinished, CallStarted, Skipped
from outlay.patterns import Claim, Detached, Gate, Pipeline, Plan, Subtask, Supervisor
from outlay.stores.memory import MemoryStore


def finished(events: list[Any]) -> set[str]:
    return {event.key for event in events if isinstance(event, CallFinished)}


def started(events: list[Any]) -> list[str]:
    return [event.key for event in events if isinstance(event, CallStarted)]


def skips(result: Result[Any]) -> set[str]:
    return {part.path for part in result.skipped}


def agent(name: str, seconds: float) -> Agent[str]:
    return Agent(name, dear(lambda request: cents(1, f"{name} of {request.text}"), latency=seconds))


def beside(log_seconds: float) -> Any:
    @node
    async def logs(ctx: RunContext, text: str) -> str:
        ctx.detach(agent("first", 1), text)
        await ctx.run(agent("work", 2), text)
        ctx.detach(Pipeline(agent("note", 1), agent("log", log_seconds)), text, grace=3)
        return await ctx.run(agent("answer", 1), text)

    return Pipeline(agent("draft", 1), Detached(agent("audit", 4)), logs, Gate(lambda text: None))


@pytest.mark.parametrize("log_seconds", [2, 50])
def test_a_crash_after_any_event_repeats_nothing_of_what_was_detached(log_seconds: float) -> None:
    """Every prefix of the journal leads to the same answer, no finished call is made again, and what was cut off once
    is not begun again. What had not been done yet has its grace in the time of the leg that does it.
    """
    store = MemoryStore()
    whole = go(beside(log_seconds), "x", store)
    assert (whole.stop_reason, whole.degraded) == ("completed", log_seconds == 50)
    events = journal(store)
    for length in range(1, len(events) + 1):
        left = crashed(store, length)
        result = go(beside(log_seconds), "x", left)
        assert (result.output, result.stop_reason) == (whole.output, "completed"), length
        again = started(journal(left)[length:])
        assert not finished(events[:length]) & set(again), length
        late = {event.path for event in events[:length] if getattr(event, "what", "") == "detached"}
        assert late <= skips(result) <= {"pipeline/detached/audit", "pipeline/logs/pipeline"}, length
        assert not (late and again), length
    assert skips(result) == skips(whole)  # pyright: ignore[reportPossiblyUnbound] - there are events


def test_time_that_an_optional_part_wasted_is_not_wasted_again() -> None:
    """The leg that goes on skips it at once and asks it no more: what is left of the run's time is for the rest."""

    def flow() -> Any:
        slow = agent("slow", 50).replace(optional=True, budget=Budget(seconds=3))
        return Pipeline(agent("draft", 1), slow, agent("last", 1))

    store, options = MemoryStore(), {"budget": Budget(seconds=9), "on_alert": []}
    whole = go(flow(), "x", store, **options)
    assert (whole.output, whole.stop_reason) == ("last of draft of x", "completed")
    events = journal(store)
    for length in range(1, len(events) + 1):
        left = crashed(store, length)
        result = go(flow(), "x", left, **options)
        assert (result.output, result.stop_reason) == (whole.output, "completed"), length
        assert [(part.path, part.reason) for part in result.skipped] == [
            ("pipeline/slow", "optional, and its time is up")
        ], length
        if any(isinstance(event, Skipped) for event in events[:length]):
            assert "pipeline/slow" not in {event.path for event in journal(left)[length:]}, length
            assert result.seconds <= 1, length


def crew() -> Any:
    def claims(request: Any) -> Any:
        value = "12 GW" if "do a" in request.text or "do c" in request.text else "15 GW"
        return [Claim("capacity", value, 0.5, "p1")]

    def plan(request: Any) -> Plan:
        if len(request.messages) == 1:
            return Plan([Subtask("a", "scout", "do a"), Subtask("b", "scout", "do b")])
        return Plan([Subtask(id, "scout", f"do {id}", ["a", "b"] if id == "c" else []) for id in "abc"])

    planner = Agent("planner", dear(plan, latency=1), output_type=Plan)
    scout = Agent("scout", dear(claims, latency=2), output_type=list[Claim])
    last = Agent("last", dear(lambda request: cents(1, request.text), latency=1))
    return Supervisor(planner, [scout], last, max_rounds=3)


def test_a_crash_after_any_event_of_a_crew_that_plans_again_pays_for_nothing_twice() -> None:
    """The editor is shown the same results and the same contradiction, whenever the run broke off."""
    store = MemoryStore()
    whole = go(crew(), "goal", store)
    assert whole.stop_reason == "completed"
    assert '"contradictions":[{"subject":"capacity"' in str(whole.output)
    events = journal(store)
    for length in range(1, len(events) + 1):
        left = crashed(store, length)
        result = go(crew(), "goal", left)
        assert result.output == whole.output, length
        assert result.facts["supervisor"] == whole.facts["supervisor"], length
        assert not finished(events[:length]) & set(started(journal(left)[length:])), length
