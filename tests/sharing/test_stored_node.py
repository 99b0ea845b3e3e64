"""Stored: what a whole node answered is given again to the same input, while nothing behind it has changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import pytest

from outlay import Agent, Budget, RunContext, node, run, run_sync, tool
from outlay.analysis.tree import tree
from outlay.errors import ConfigError
from outlay.events import Decision
from outlay.patterns import Pipeline
from outlay.protocols.clock import loop_factory
from outlay.sharing import Stored
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel, virtual_time
from outlay.values.label import Labelled, untrusted
from outlay.values.usage import Usage


class Crew:
    """Two agents one after another; the second numbers its answers."""

    def __init__(self, **options: Any) -> None:
        self.answered = 0
        notes = ScriptedModel(lambda request: Reply("notes", usage=Usage(1000, 0, 0, 100)), price=(1, 5))
        self.notes = Agent("notes", notes)
        self.writer = Agent("writer", ScriptedModel(self.write, price=(1, 5)), **options)
        self.flow = Pipeline(self.notes, self.writer, name="crew")

    def write(self, request: Any) -> Any:
        self.answered += 1
        return Reply(f"answer {self.answered}", usage=Usage(1000, 0, 0, 100))


def test_the_same_input_costs_nothing_and_the_bill_says_what_it_saved() -> None:
    crew, store = Crew(), MemoryStore()
    flow = Stored(crew.flow, 3600)
    first, second = (run_sync(flow, "birds", store=store) for _ in range(2))
    assert (first.output, second.output, crew.answered) == ("answer 1", "answer 1", 1)
    assert (first.bill.total, second.bill.total) == (Decimal("0.003"), Decimal(0))
    assert (second.bill.savings.answers, second.bill.savings.by_answers) == (1, Decimal("0.003"))
    assert "1 stored answer, saved $0.0030" in second.bill.render()
    assert "= stored answer of crew · saved $0.0030" in tree(second.events)
    assert run_sync(flow, "bees", store=store).output == "answer 2"


def test_it_ends_with_its_time_and_fresh_asks_anew() -> None:
    crew, store = Crew(), MemoryStore()
    flow = Stored(crew.flow, 60)

    async def at(seconds: float, fresh: bool = False) -> Any:
        await asyncio.sleep(seconds)
        return (await run(flow, "birds", store=store, fresh=fresh)).output

    async def all_day() -> list[Any]:
        return [await at(0), await at(59), await at(1), await at(0, fresh=True)]

    with virtual_time(), asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        assert runner.run(all_day()) == ["answer 1", "answer 1", "answer 2", "answer 3"]


@pytest.mark.parametrize(
    "change",
    [
        lambda crew: crew.writer.replace(instructions="Be brief."),
        lambda crew: crew.writer.replace(model=ScriptedModel(crew.write, name="another", price=(1, 5))),
        lambda crew: crew.writer.replace(max_output_tokens=99),
    ],
    ids=["prompt", "model", "setting"],
)
def test_a_node_with_something_changed_in_it_is_another_node(change: Any) -> None:
    crew, store = Crew(), MemoryStore()
    run_sync(Stored(crew.flow, 60), "birds", store=store)
    changed = Pipeline(crew.notes, change(crew), name="crew")
    assert run_sync(Stored(changed, 60), "birds", store=store).output == "answer 2"


def test_tenants_scopes_and_labels_are_boundaries() -> None:
    def tenant_of(ctx: RunContext[str]) -> str:
        return f"tenant:{ctx.deps}"

    crew, store = Crew(), MemoryStore()
    flow = Stored(crew.flow, 60, scope=tenant_of)
    assert [run_sync(flow, "birds", store=store, deps=d).output[-1] for d in "aba"] == ["1", "2", "1"]
    budgets = [Budget(usd=1, scope=f"tenant:{tenant}", per="day") for tenant in "cdc"]
    assert [run_sync(flow, "birds", store=store, budget=b).output[-1] for b in budgets] == ["3", "4", "3"]
    stranger = Labelled("birds", untrusted("web"))
    assert [run_sync(flow, text, store=store).output[-1] for text in (stranger, "birds", stranger)] == ["5", "6", "5"]


def test_an_output_comes_back_as_the_type_that_it_had() -> None:
    @dataclass
    class Report:
        title: str
        pages: int

    store = MemoryStore()
    agent = Agent("clerk", ScriptedModel([Report("birds", 3)]), output_type=Report)
    outputs = [run_sync(Stored(agent, 60), "x", store=store).output for _ in range(2)]
    assert outputs == [Report("birds", 3)] * 2

    @node
    async def report(ctx: RunContext, text: str) -> Report:
        return Report(text, 3)

    outputs = [run_sync(Stored(report, 60, output_type=Report), "x", store=store).output for _ in range(2)]
    assert outputs == [Report("x", 3)] * 2


def test_what_has_no_json_is_given_and_not_kept() -> None:
    seen: list[str] = []

    @node
    async def odd(ctx: RunContext, text: str) -> object:
        seen.append(text)
        return {1, 2}

    store = MemoryStore()
    results = [run_sync(Stored(odd, 60), "x", store=store) for _ in range(2)]
    assert [result.output for result in results] == [{1, 2}] * 2
    assert len(seen) == 2
    (why,) = [event.data["why"] for event in results[0].events if isinstance(event, Decision)]
    assert why == "the answer has no JSON: say output_type="


def test_what_came_about_with_side_effects_people_or_gaps_is_not_kept() -> None:
    sent: list[str] = []

    @node
    async def mails(ctx: RunContext, text: str) -> str:
        return await ctx.effect("mail", sent.append, text, side_effect=True) or "sent"

    @node
    async def asks(ctx: RunContext, text: str) -> str:
        sent.append(await ctx.ask("sure?"))
        return "asked"

    @node
    async def broken(ctx: RunContext, text: str) -> str:
        sent.append(text)
        raise OSError("down")

    gap = Pipeline(broken.replace(optional=True), name="gap")
    for flow in (mails, asks, gap):
        sent.clear()
        store = MemoryStore()
        for _ in range(2):
            run_sync(Stored(flow, 60), "x", store=store, on_ask=lambda item: "yes")
        assert len(sent) == 2, flow.name


def test_a_resumed_run_gets_what_it_got(tmp_path: Any) -> None:
    crew, path = Crew(), str(tmp_path / "outlay.db")
    flow = Stored(crew.flow, 60)
    run_sync(flow, "birds", store=path)
    results = [run_sync(flow, "birds", store=path, run_id="again") for _ in range(2)]
    assert [result.output for result in results] == ["answer 1"] * 2
    assert crew.answered == 1


def test_a_node_with_tools_that_change_the_world_is_refused() -> None:
    @tool(side_effect=True)
    def send(to: str) -> str:
        """Send it."""
        return to

    writer = Agent("writer", ScriptedModel([]), tools=[send])
    for flow in (writer, Pipeline(writer, name="p"), Agent("lead", ScriptedModel([]), tools=[writer])):
        with pytest.raises(ConfigError, match="its tool send changes the world"):
            Stored(flow, 60)
    with pytest.raises(ConfigError, match="seconds=0 is no time"):
        Stored(Agent("a", ScriptedModel([]), output_type=Literal["x"]), 0)
