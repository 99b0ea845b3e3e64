"""What each pattern's profile claims is what happens: at a failed member, at the budget, at the deadline.

Each pattern is set up so that something is done before the member that makes trouble gets its turn.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import outlay.patterns
from outlay import Agent, Budget, Result, run_sync
from outlay.errors import ModelError, Overloaded
from outlay.patterns import (
    Blackboard,
    Cascade,
    Critique,
    Debate,
    Detached,
    FanOut,
    Gate,
    Handoff,
    Judgement,
    Mesh,
    Pipeline,
    Plan,
    Refine,
    RoundRobin,
    Router,
    Specialist,
    Subtask,
    Supervisor,
    Vote,
)
from outlay.patterns.pattern import Pattern
from outlay.testing import ScriptedModel

ROOT = Path(__file__).parents[2]
PATTERNS = [
    kind
    for name in outlay.patterns.__all__
    if isinstance(kind := getattr(outlay.patterns, name), type) and issubclass(kind, Pattern)
]


def agent(name: str, answer: Any = "ok", **options: Any) -> Agent[Any]:
    return Agent(name, ScriptedModel(lambda request: answer, price=(1, 1)), max_output_tokens=100, **options)


def member(trouble: str, good: int = 0, answer: Any = "ok", **options: Any) -> Agent[Any]:
    """An agent that answers so many times, and then makes trouble: it fails, or takes a thousand seconds."""
    calls = 0

    async def reply(request: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > good and trouble == "fails":
            return Overloaded("busy", retryable=False)
        if calls > good and trouble == "hangs":
            await asyncio.sleep(1000)
        return answer

    return Agent("member", ScriptedModel(reply, price=(1, 1)), max_output_tokens=100, **options)


@dataclass(frozen=True)
class Case:
    """A pattern with one troublesome member; `calls` are those that a budget has to allow before it."""

    flow: Callable[[str], Any]
    calls: int


def plan_of(*workers: str) -> Plan:
    return Plan([Subtask(worker, worker, "do it") for worker in workers])


CASES: dict[type[Any], Case] = {
    Pipeline: Case(lambda t: Pipeline(agent("first"), member(t)), 1),
    FanOut: Case(lambda t: FanOut([agent("first"), member(t)]), 1),
    Router: Case(lambda t: Router(agent("look", "yes"), {"yes": member(t)}, agent("other")), 1),
    Supervisor: Case(
        lambda t: Supervisor(
            agent("planner", plan_of("first", "member"), output_type=Plan),
            [agent("first"), member(t)],
            agent("last", "final"),
        ),
        3,
    ),
    Refine: Case(lambda t: Refine(member(t, good=1), lambda draft: "worse than it could be"), 1),
    Debate: Case(
        lambda t: Debate(
            [agent("first"), agent("second"), member(t)],
            agent("judge", Judgement(True, "final"), output_type=Judgement),
        ),
        3,
    ),
    Cascade: Case(lambda t: Cascade([agent("first"), member(t)], lambda answer: "not good enough"), 1),
    Vote: Case(lambda t: Vote(member(t, good=2), 5, early_stop=False), 2),
    RoundRobin: Case(lambda t: RoundRobin([agent("first"), member(t)], 2), 1),
    Mesh: Case(lambda t: Mesh({lambda task: Handoff("member", "go on", "so far"): [member(t)]}, "<lambda>", 1), 0),
    Blackboard: Case(
        lambda t: Blackboard(
            [Specialist(agent("first"), ["input"], {"a": str}), Specialist(member(t), ["a"], {"b": str})]
        ),
        1,
    ),
    Gate: Case(lambda t: Pipeline(agent("first"), Gate(member(t, answer=Critique(True), output_type=Critique))), 1),
    Detached: Case(lambda t: Pipeline(agent("first"), Detached(member(t))), 1),
}


def kind_of(result: Result[Any]) -> str:
    """The kind of consequence that a result shows."""
    if result.output is None:
        return "error" if result.stop_reason == "error" else "no output"
    assert result.degraded
    if result.stop_reason in ("budget", "deadline"):
        ended_well = result.output == "final"
        return "answer" if ended_well else "best so far"
    return "goes on"


def run(pattern: type[Any], trouble: str = "", budget: Budget | None = None) -> Result[Any]:
    return run_sync(CASES[pattern].flow(trouble), "go", budget=budget, on_alert=lambda alert: None)


def name(pattern: type[Any]) -> str:
    return pattern.__name__


@pytest.mark.parametrize("pattern", PATTERNS, ids=name)
def test_without_trouble_it_completes(pattern: type[Any]) -> None:
    """Else the other cases would show nothing."""
    result = run(pattern)
    assert (result.stop_reason, result.output is None) == ("completed", False)


@pytest.mark.parametrize("pattern", PATTERNS, ids=name)
def test_a_failed_member_does_what_the_profile_says(pattern: type[Any]) -> None:
    result = run(pattern, "fails")
    assert kind_of(result) == pattern.profile.failed_member.kind
    assert isinstance(result.error or result.skipped[0].error, ModelError)


@pytest.mark.parametrize("pattern", PATTERNS, ids=name)
def test_at_the_budget_it_does_what_the_profile_says(pattern: type[Any]) -> None:
    calls = CASES[pattern].calls
    result = run(pattern, budget=Budget(calls=calls))
    assert kind_of(result) == pattern.profile.at_budget.kind
    assert sum(line.calls for line in result.bill.lines) == calls


@pytest.mark.parametrize("pattern", PATTERNS, ids=name)
def test_at_the_deadline_it_does_what_the_profile_says(pattern: type[Any]) -> None:
    result = run(pattern, "hangs", Budget(seconds=100))
    assert kind_of(result) == pattern.profile.at_deadline.kind
    assert result.seconds <= 100


#: Where the words of a profile make an exception: the flow, the limit, and what it comes to then.
EXCEPTIONS: dict[str, tuple[Callable[[], Any], Budget | None, str]] = {
    "an optional stage": (lambda: Pipeline(agent("first"), member("fails", optional=True)), None, "goes on"),
    "fewer than min_success": (lambda: FanOut([agent("first"), member("fails")], min_success=2), None, "error"),
    "a fan-out that raises": (lambda: FanOut([agent("first"), member("fails")], on_error="raise"), None, "error"),
    "a merge at the budget": (
        lambda: FanOut([agent("first"), member("")], merge=agent("last", "final")),
        Budget(calls=2),
        "answer",
    ),
    "a merge at the deadline": (
        lambda: FanOut([agent("first"), member("hangs")], merge=agent("last", "final")),
        Budget(seconds=9),
        "no output",
    ),
    "a failed classifier": (lambda: Router(member("fails"), {"yes": agent("a")}, agent("other")), None, "goes on"),
    "a router that raises": (
        lambda: Router(agent("look", "yes"), {"yes": member("fails")}, agent("other"), on_error="raise"),
        None,
        "error",
    ),
    "a route with a best answer": (
        lambda: Router(agent("look", "yes"), {"yes": Vote(member("", 9), 3)}, agent("other")),
        Budget(calls=2),
        "best so far",
    ),
    "a first tier that fails": (lambda: Cascade([member("fails"), agent("a")], lambda answer: None), None, "error"),
    "a first version that fails": (lambda: Refine(member("fails"), lambda draft: "no"), None, "error"),
    "a draft that nobody judged": (
        lambda: Refine(agent("first"), member("", output_type=Critique)),
        Budget(calls=1),
        "best so far",
    ),
    "a judge that fails": (
        lambda: Debate(
            [moody("first"), moody("second")],
            member("fails", good=1, answer=Judgement(False, "so far"), output_type=Judgement),
        ),
        None,
        "goes on",
    ),
    "a vote without an answer": (lambda: Vote(member("fails"), 3), None, "error"),
    "a round of failures": (lambda: RoundRobin([member("fails")], 3), None, "error"),
    "a mesh without an artifact": (
        lambda: Mesh({lambda task: Handoff("member", "go on"): [member("fails")]}, "<lambda>", 1),
        None,
        "error",
    ),
    "a board on which all fail": (
        lambda: Blackboard([Specialist(member("fails"), ["input"], {"b": str})]),
        None,
        "error",
    ),
    "advice": (
        lambda: Pipeline(agent("first"), Gate(member("fails", output_type=Critique), optional=True)),
        None,
        "goes on",
    ),
}


def moody(name: str) -> Agent[Any]:
    """Another answer in each round."""
    return Agent(name, ScriptedModel(lambda request: f"answer {len(request.messages)}"))


@pytest.mark.parametrize("case", EXCEPTIONS)
def test_where_the_words_make_an_exception_there_is_one(case: str) -> None:
    flow, budget, kind = EXCEPTIONS[case]
    result = run_sync(flow(), "go", budget=budget, on_alert=lambda alert: None)
    assert kind_of(result) == kind


def test_what_depends_on_a_failed_subtask_is_not_run() -> None:
    plan = Plan([Subtask("a", "member", "do it"), Subtask("b", "first", "go on", ["a"]), Subtask("c", "first", "too")])
    flow = Supervisor(
        agent("planner", plan, output_type=Plan), [agent("first"), member("fails")], agent("last", "final")
    )
    result = run_sync(flow, "go")
    assert result.facts["supervisor"]["failed"] == {"a": "Overloaded: busy", "b": "needs a, which has no result"}
    assert result.output == "final"


def test_the_page_says_what_the_profiles_say() -> None:
    """`docs/patterns.md` is written from them; `make docs` writes it anew."""
    spec = importlib.util.spec_from_file_location("patterns_doc", ROOT / "scripts/patterns_doc.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert set(script.EXAMPLES) == {name(pattern) for pattern in PATTERNS}
    assert script.PAGE.read_text(encoding="utf-8") == script.page(script.profiles())
    examples = ROOT / "examples/patterns"
    assert [file for file in script.EXAMPLES.values() if not (examples / f"{file}.py").exists()] == []
