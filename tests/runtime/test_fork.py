"""A fork goes on from a path in an earlier run: what is shared is not paid again."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from crash import RUN, crashed, go, journal
from flows import cents, dear

from outlay import Agent, Budget, Result, RunContext, fork, node, tool
from outlay.errors import ConfigError
from outlay.events import RunStarted
from outlay.patterns import FanOut, Pipeline
from outlay.sim import VirtualLoop
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply


class Office:
    """Three agents in a row that note who was asked what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.mails: list[str] = []

    def agent(self, name: str, **options: Any) -> Agent[str]:
        def answer(request: Any) -> Any:
            self.asked.append(f"{name}:{request.text}")
            return cents(1, f"{name}({request.text})")

        return Agent(name, dear(answer), **options)

    def flow(self, instructions: str = "") -> Any:
        return Pipeline(self.agent("a"), self.agent("b", instructions=instructions), self.agent("c"), name="line")


def branch_off(flow: Any, store: MemoryStore, **options: Any) -> Result[Any]:
    async def main() -> Result[Any]:
        return await fork(options.pop("of", RUN), flow, store=store, **options)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def test_a_changed_prompt_is_tried_on_an_earlier_run() -> None:
    """Only the agent whose instructions changed is asked, and who depends on its answer."""
    office, store = Office(), MemoryStore()
    go(office.flow(), "x", store)
    office.asked.clear()
    forked = branch_off(office.flow("Be brief."), store)
    assert forked.output == "c(b(a(x)))"
    assert office.asked == ["b:a(x)"]  # the same answer: what came after is still known
    assert forked.bill.total == Decimal("0.01")
    assert forked.run_id != RUN


def test_what_happened_at_a_path_is_done_anew() -> None:
    """The part before is shared, what depends on a new answer runs, the parent is left as it was."""
    office, store = Office(), MemoryStore()
    first = go(office.flow(), "x", store)
    before = journal(store)
    office.asked.clear()
    forked = branch_off(office.flow(), store, at="line/b")
    assert forked.output == first.output
    assert office.asked == ["b:a(x)"]
    assert journal(store) == before


def test_the_node_at_the_path_gets_another_input() -> None:
    """`input` replaces what its parent hands it; without a path it is the run's input."""
    office, store = Office(), MemoryStore()
    go(office.flow(), "x", store)
    office.asked.clear()
    assert branch_off(office.flow(), store, at="line/b", input="other").output == "c(b(other))"
    assert office.asked == ["b:other", "c:b(other)"]
    office.asked.clear()
    assert branch_off(office.flow(), store, input="y").output == "c(b(a(y)))"
    assert len(office.asked) == 3


def test_an_item_of_a_fan_out_is_forked_by_itself() -> None:
    """Its siblings are shared."""
    office, store = Office(), MemoryStore()
    flow = FanOut(office.agent("a"), name="many")
    go(flow, ["1", "2", "3"], store)
    office.asked.clear()
    assert branch_off(flow, store, at="many/a[1]").output == ["a(1)", "a(2)", "a(3)"]
    assert office.asked == ["a:2"]


def test_a_tool_with_side_effects_asks_before_it_runs_again_in_a_fork() -> None:
    """It has changed the world once."""
    office = Office()

    @tool(side_effect=True)
    def send(to: str) -> str:
        """Send."""
        office.mails.append(to)
        return "sent"

    def answer(request: Any) -> Any:
        return "done" if request.messages[-1].role == "tool" else Reply(tool_calls=[("send", {"to": "a"})])

    flow = Pipeline(office.agent("a"), Agent("mailer", dear(answer), tools=[send]), name="line")
    store = MemoryStore()
    go(flow, "x", store)
    waiting = branch_off(flow, store, at="line/mailer")
    assert waiting.stop_reason == "approval"
    assert office.mails == ["a"]
    allowed = branch_off(flow, store, at="line/mailer", on_ask=lambda item: "approve")
    assert allowed.output == "done"
    assert office.mails == ["a", "a"]


def test_a_fork_has_a_budget_of_its_own_and_remembers_its_parent() -> None:
    """What the parent spent does not count; a fork can be resumed and forked."""
    office, store = Office(), MemoryStore()
    go(office.flow(), "x", store)
    options: dict[str, Any] = {"at": "line/a", "input": "y"}
    short = branch_off(office.flow(), store, fork_id="f", budget=Budget(calls=1), **options)
    assert short.stop_reason == "budget"
    started = short.events[0]
    assert isinstance(started, RunStarted)
    assert (started.parent, started.at) == (RUN, "line/a")
    office.asked.clear()
    whole = go(office.flow(), "x", store, run_id="f", budget=Budget(usd="1"))
    assert whole.output == "c(b(a(y)))"
    assert office.asked == ["b:a(y)", "c:b(a(y))"]
    office.asked.clear()
    again = branch_off(office.flow(), store, of="f", at="line/c")
    assert again.output == whole.output
    assert office.asked == ["c:b(a(y))"]


def test_a_fork_draws_what_its_parent_drew_up_to_the_path() -> None:
    """Chance is the parent's; time is the parent's up to where it parts."""
    seen: list[Any] = []
    office = Office()
    agent = office.agent("a")

    @node(children=[agent])
    async def flow(ctx: RunContext, _: str) -> None:
        before = (ctx.random(), ctx.now())
        await ctx.run(agent, "x")
        await ctx.sleep(60)
        seen.append((before, ctx.random(), ctx.now()))

    store = MemoryStore()
    go(flow, "x", store)
    branch_off(flow, store, at="flow/a")
    (first, first_random, _), (second, second_random, _) = seen
    assert first == second
    assert first_random == second_random


@pytest.mark.parametrize(
    ("of", "at", "match"), [("nobody", "", "no run 'nobody'"), (RUN, "line/bb", "did you mean line/b")]
)
def test_what_is_not_there_is_named(of: str, at: str, match: str) -> None:
    """An unknown run, an unknown path."""
    office, store = Office(), MemoryStore()
    go(office.flow(), "x", store)
    with pytest.raises(ConfigError, match=match):
        branch_off(office.flow(), store, of=of, at=at)


def test_a_fork_that_crashed_goes_on() -> None:
    """Its own records count besides the shared ones, after any of its events."""
    office, store = Office(), MemoryStore()
    go(office.flow(), "x", store)
    whole = branch_off(office.flow(), store, at="line/a", input="y", fork_id="f")
    for length in range(1, len(whole.events)):
        left = _with_parent(store, length)
        assert go(office.flow(), "x", left, run_id="f").output == whole.output


def _with_parent(store: MemoryStore, length: int) -> MemoryStore:
    left = crashed(store, len(journal(store)))

    async def add() -> None:
        left.append((await store.events("f"))[:length])

    asyncio.run(add())
    return left
