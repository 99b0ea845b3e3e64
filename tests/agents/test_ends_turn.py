"""A tool that ends the turn, and tools that a pattern lends an agent for one conversation."""

from decimal import Decimal
from typing import Any

import pytest

from outlay import Agent, Budget, RunContext, Tool, node, run_sync, tool
from outlay.events import ToolFinished
from outlay.testing import Reply, ScriptedModel, virtual_time


@pytest.fixture(autouse=True)
def on_virtual_time():
    with virtual_time() as clock:
        yield clock


@tool(ends_turn=True)
def submit(answer: int) -> dict[str, int]:
    """Submit the answer."""
    if answer < 0:
        raise ValueError("answers are not negative")
    return {"answer": answer}


def agent(*replies: Any, **options: Any) -> Agent[Any]:
    return Agent("a", ScriptedModel(list(replies)), tools=[submit], **options)


def test_what_the_tool_gave_is_the_output():
    """Without another call of the model, and as it is: not text, not decoded, not verified."""
    asked = agent(Reply(tool_calls=[("submit", {"answer": 3})]), verify=[lambda output: "never good enough"])
    result = run_sync(asked, "go")
    assert (result.unwrap(), result.stop_reason) == ({"answer": 3}, "completed")
    assert sum(line.calls for line in result.bill.lines) == 1


def test_a_call_that_fails_does_not_end_anything():
    """The model is told, and may do better."""
    asked = agent(Reply(tool_calls=[("submit", {"answer": -1})]), Reply(tool_calls=[("submit", {"answer": 1})]))
    assert run_sync(asked, "go").unwrap() == {"answer": 1}
    (told,) = asked.model.calls[1].messages[-1].tool_results  # type: ignore[union-attr]
    assert (told.is_error, told.content) == (True, "ValueError: answers are not negative")


def test_the_first_of_several_counts_and_the_other_calls_of_the_turn_are_made():
    """By the order of the calls, not by which was done first; what has a side effect happens once."""
    sent: list[str] = []

    @tool(side_effect=True)
    def send(to: str) -> str:
        """Send."""
        sent.append(to)
        return "sent"

    @node
    async def slow(ctx: RunContext, x: str) -> str:
        await ctx.sleep(5)
        return x

    async def later(ctx: RunContext, answer: int) -> int:
        await ctx.run(slow, "x")
        return answer

    calls = [("send", {"to": "ada"}), ("later", {"answer": 7}), ("submit", {"answer": 8})]
    late = Tool("later", later, ends_turn=True)
    asked = Agent("a", ScriptedModel([Reply(tool_calls=calls)]), tools=[send, late, submit])
    assert run_sync(asked, "go").unwrap() == 7
    assert sent == ["ada"]


def test_it_may_be_the_call_of_the_last_turn():
    """`max_turns` bounds the calls of the model: the last of them may end it."""
    assert run_sync(agent(Reply(tool_calls=[("submit", {"answer": 2})]), max_turns=1), "go").unwrap() == {"answer": 2}


def test_its_call_is_in_the_events_and_in_the_conversation():
    """Like any other tool's, so that traces and later runs know what happened."""
    result = run_sync(agent(Reply(tool_calls=[("submit", {"answer": 3})])), "go")
    assert [e.tool for e in result.events if isinstance(e, ToolFinished)] == ["submit"]
    assert [m.role for m in result.transcript] == ["user", "assistant", "tool"]


# ── lent tools ────────────────────────────────────────────────────────────────────────────────────────────


def ping() -> str:
    """Ping."""
    return "pong"


def names(request):
    return [spec.name for spec in request.tools]


def test_a_lent_tool_is_there_for_one_conversation_only():
    """Beside the agent's own; the same agent elsewhere does not have it."""
    asked = agent("one", Reply(tool_calls=[("ping", {})]), "two", "three")

    @node(children=[asked])
    async def lends(ctx: RunContext, x: str) -> list[str]:
        return [
            await ctx.run(asked, x),
            await ctx.child(asked, x, tools=[Tool("ping", ping)]),
            await ctx.run(asked, x),
        ]

    assert run_sync(lends, "go").unwrap() == ["one", "two", "three"]
    assert [names(r) for r in asked.model.calls] == [["submit"], ["submit", "ping"], ["submit", "ping"], ["submit"]]  # type: ignore[union-attr]


def test_a_lent_tool_is_not_lent_to_those_below():
    """A node that runs another does not pass its tools on."""
    inner = agent("in")

    @node(children=[inner])
    async def outer(ctx: RunContext, x: str) -> str:
        return await ctx.run(inner, x)

    @node(children=[outer])
    async def lends(ctx: RunContext, x: str) -> str:
        return await ctx.child(outer, x, tools=[Tool("ping", ping)])

    assert run_sync(lends, "go").unwrap() == "in"
    assert names(inner.model.calls[0]) == ["submit"]  # type: ignore[union-attr]


def test_an_agent_with_lent_tools_keeps_its_budget_and_its_path():
    """One account for all its calls, lent to or not."""
    asked = Agent("a", ScriptedModel(lambda r: "ok", price=(1, 1)), budget=Budget(calls=2))

    @node(children=[asked])
    async def lends(ctx: RunContext, x: str) -> str:
        for i in range(3):
            await ctx.child(asked, x, tools=[Tool("ping", ping)] if i else ())
        return x

    result = run_sync(lends, "go")
    assert (result.stop_reason, sum(line.calls for line in result.bill.lines)) == ("budget", 2)
    assert {line.path for line in result.bill.lines} <= {"lends/a", "lends/a#2"}
    assert result.bill.total is not None
    assert result.bill.total > Decimal(0)
