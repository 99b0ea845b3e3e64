"""Every way in which a flow does with less is declared, is said in an event with its reason, and makes the result
degraded: nothing is made worse in silence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from outlay import Agent, Breaker, Budget, Result, Tool, Usage, Watchdog, node, run
from outlay.errors import BudgetExceeded, ConfigError, Overloaded, Refused, ToolError
from outlay.events import CallStarted, Decision, Fact, Skipped
from outlay.patterns import FanOut, Pipeline, Plan, Refine, Router, Subtask, Supervisor
from outlay.sim import VirtualLoop
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel

DOWN = Overloaded("busy", retryable=False)
CENT = Usage(output_tokens=100)


def model(answer: Any, name: str = "m") -> ScriptedModel:
    """A hundred output tokens are a cent."""
    return ScriptedModel(answer, name=name, price=(0, 100))


def down(name: str = "down") -> Agent[str]:
    return Agent(name, model(lambda _: DOWN, name))


def fine(name: str = "fine", **options: Any) -> Agent[str]:
    reply = model(lambda request: Reply(f"{name}: {request.text}", usage=CENT), name)
    return Agent(name, reply, max_output_tokens=100, min_output_tokens=100, **options)


def go(flow: Any, input: Any = "hi", *, after: float = 0.0, **options: Any) -> Result[Any]:
    options.setdefault("on_alert", lambda _: None)

    async def main() -> Result[Any]:
        await asyncio.sleep(after)
        return await run(flow, input, **options)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def skipped(result: Result[Any]) -> list[tuple[str, str, str]]:
    return [(e.path, e.reason, e.error) for e in result.events if isinstance(e, Skipped)]


def decided(result: Result[Any], about: str) -> list[dict[str, Any]]:
    return [e.data for e in result.events if isinstance(e, Decision) and e.about == about]


def test_an_optional_agent_is_left_out() -> None:
    result = go(Pipeline(down().replace(optional=True), fine()))
    assert (result.output, result.stop_reason, result.degraded) == ("fine: hi", "completed", True)
    assert skipped(result) == [("pipeline/down", "optional, and it failed", "Overloaded: busy")]


def test_as_many_as_must_succeed_are_enough() -> None:
    result = go(FanOut([fine("a"), down("b"), fine("c")], min_success=2))
    assert (result.output, result.degraded) == ({"a": "a: hi", "c": "c: hi"}, True)
    assert skipped(result) == [("fanout/b", "the worker failed", "Overloaded: busy")]


@pytest.mark.parametrize("stop", ["budget", "deadline", "watchdog"])
def test_the_best_answer_so_far_stands_when_it_is_stopped(stop: str) -> None:
    def never(output: str) -> str:
        return "not yet"

    writer = Agent("w", ScriptedModel(lambda _: Reply("draft", usage=CENT), name="w", price=(0, 100), latency=1.0))
    writer = writer.replace(max_output_tokens=100, min_output_tokens=100)
    options: dict[str, Any] = {
        "budget": {"budget": Budget(usd="0.02")},
        "deadline": {"budget": Budget(seconds=2.5)},
        "watchdog": {"watchdog": Watchdog(usd="0.01", factor=2, then="stop")},
    }[stop]
    result = go(Refine(writer, never, max_rounds=9), **options)
    assert (result.output, result.stop_reason, result.degraded) == ("draft", stop, True)
    (why,) = decided(result, "best_so_far")
    assert why["after"].startswith({"budget": "Budget", "deadline": "Deadline", "watchdog": "Watchdog"}[stop])


def test_a_cheaper_model_goes_on_when_money_is_short() -> None:
    cheap = ScriptedModel(lambda _: "cheap", name="cheap", price=(0, 10))
    agent = fine("dear", cheaper=cheap)
    result = go(FanOut(agent, max_parallel=1), ["1", "2", "3"], budget=Budget(usd="0.025"))
    assert result.output == ["dear: 1", "dear: 2", "cheap"]
    assert decided(result, "cheaper_model") == [{"model": "cheap", "percent_used": 80}]


def test_another_model_answers_when_one_fails() -> None:
    agent = down().replace(fallback=[model(lambda _: "other", "other")])
    result = go(agent)
    assert result.output == "other"
    assert decided(result, "fallback") == [{"from": "down", "to": "other", "after": "Overloaded: busy"}]


def test_a_human_gets_what_failed() -> None:
    @node
    async def human(text: str) -> str:
        return f"to a human: {text}"

    result = go(Router(fine("label"), {"label: hi": down()}, default=human))
    assert result.output == "to a human: hi"
    assert "Overloaded: busy" in str([e.data for e in result.events if isinstance(e, Fact)])


def test_a_tool_that_is_down_gives_what_it_declares() -> None:
    def find(what: str) -> str:
        """Find it."""
        raise ConnectionError("refused")

    def answer(request: Any) -> Any:
        done = [part for message in request.messages if message.role == "tool" for part in message.parts]
        return done[-1].content if len(done) == 2 else Reply("", tool_calls=[("find", {"what": "it"})])

    tool = Tool("find", find, breaker=Breaker(failures=1), when_down="not known today")
    result = go(Agent("a", model(answer), tools=[tool]))
    assert result.output == "not known today"
    assert decided(result, "tool_down")[0]["reason"] == "ConnectionError: refused"


# ── an answer of before ───────────────────────────────────────────────────────────────────────────────────────────


def remembered(seconds_later: float, error: Exception = DOWN, *, kept: Any = None, **run_options: Any) -> Result[Any]:
    """An agent that answered at first, and fails so many seconds later, on one store."""
    store = MemoryStore()
    kept = kept or {"cache_answers": 60, "stale_answers": 7200}
    before = Agent("a", model(lambda _: Reply("as of then", usage=CENT), "m"), **kept)
    go(before, store=store)
    after = Agent("a", model(lambda _: error, "m"), **kept)
    return go(after, after=seconds_later, store=store, **run_options)


def test_a_cached_answer_stands_in_for_a_model_that_fails() -> None:
    result = remembered(5400)
    assert (result.output, result.stop_reason, result.degraded) == ("as of then", "completed", True)
    assert skipped(result) == [("a", "the model failed (Overloaded: busy), its answer of 90 minutes ago stands", "")]
    assert decided(result, "stored_answer")[0]["saved"] == "0.01"
    assert result.bill.total == 0
    assert any(isinstance(event, CallStarted) for event in result.events)  # the model was asked first


def test_it_needs_no_cache_of_fresh_answers() -> None:
    result = remembered(5400, kept={"stale_answers": 7200})
    assert (result.output, result.degraded) == ("as of then", True)


@pytest.mark.parametrize(
    ("later", "error", "options"),
    [
        (7300, DOWN, {}),
        (5400, Refused("no"), {}),
        (5400, DOWN, {"fresh": True}),
        (5400, DOWN, {"kept": {"cache_answers": 60}}),
    ],
    ids=["too old", "a refusal is an answer", "fresh", "not declared"],
)
def test_where_it_may_not_stand_in_the_failure_is_one(later: float, error: Exception, options: Any) -> None:
    result = remembered(later, error, **options)
    assert (result.output, type(result.error)) == (None, type(error))


def test_a_fallback_is_asked_before_an_old_answer_is_given() -> None:
    store = MemoryStore()
    agent = Agent("a", model(lambda _: "as of then"), stale_answers=7200)
    go(agent, store=store)
    result = go(agent.replace(model=model(lambda _: DOWN), fallback=[model(lambda _: "now", "n")]), store=store)
    assert (result.output, result.degraded) == ("now", False)


def test_a_resumed_run_gives_the_old_answer_again() -> None:
    store = MemoryStore()
    go(Agent("a", model(lambda _: "as of then"), stale_answers=7200), store=store)
    failing = Pipeline(Agent("a", model(lambda _: DOWN), stale_answers=7200), fine("b"))
    working = Pipeline(Agent("a", model(lambda _: "as of then"), stale_answers=7200), fine("b"))
    go(working, store=store)
    first = go(failing, store=store, run_id="r", budget=Budget(calls=1))
    again = go(failing, store=store, run_id="r")
    assert (first.stop_reason, again.output) == ("budget", "b: as of then")
    assert again.degraded
    assert [part.reason for part in again.skipped] == [part.reason for part in first.skipped]
    assert len(skipped(again)) == 1


@pytest.mark.parametrize("wrong", [0, -1], ids=str)
def test_a_time_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigError):
        Agent("a", model([]), stale_answers=wrong)


# ── never an error as if it were an answer ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "error", [DOWN, ToolError("the tool broke"), ValueError("secret detail")], ids=lambda e: type(e).__name__
)
def test_nothing_that_merges_reads_the_text_of_an_error_as_an_answer(error: Exception) -> None:
    """A supervisor's synthesizer is told what failed, apart from the answers; a merge gets the answers only."""

    @node
    async def broken(text: Any) -> str:
        raise error

    seen: list[Any] = []

    @node
    async def scribe(synthesis: Any) -> str:
        seen.append(synthesis)
        return "summary"

    subtasks = [Subtask(id="1", worker="broken", task="x"), Subtask(id="2", worker="fine", task="y")]
    planner = Agent("planner", model([Plan(subtasks=subtasks)]), output_type=Plan)
    helper = fine()
    result = go(Supervisor(planner, [broken, helper], scribe))
    assert (result.output, result.degraded) == ("summary", True)
    assert list(seen[0].results) == ["2"]
    assert str(error) not in str(seen[0].results)
    assert list(seen[0].failed) == ["1"]
    merged = go(FanOut([broken, helper], merge=scribe))
    assert merged.degraded
    assert list(seen[1]) == ["fine"]
    assert not isinstance(merged.error, BudgetExceeded)
