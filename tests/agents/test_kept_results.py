"""Results of read-only tools, kept: given again to the same arguments, and to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from outlay import Agent, Budget, RunContext, Tool, node, run, run_sync, tool
from outlay.analysis.tree import tree
from outlay.errors import ConfigError
from outlay.protocols.clock import loop_factory
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel, virtual_time
from outlay.values.label import Labelled, untrusted


@pytest.fixture(autouse=True)
def one_clock() -> Iterator[None]:
    """Of all runs of a test: what is kept has its age by it."""
    with virtual_time():
        yield


class Library:
    """A search that counts how often it was really made, and an agent that makes it once and says what it gave."""

    def __init__(self, **options: Any) -> None:
        self.searched = 0

        async def search(query: str) -> str:
            """Search the library."""
            self.searched += 1
            await asyncio.sleep(2)
            return f"{query}: {self.searched} found"

        given = {"cache_results": 60, **options}
        self.search: Tool = Tool("search", given.pop("function", search), **given)
        self.agent = Agent("reader", ScriptedModel(self.answer, price=(1, 5)), tools=[self.search])

    def answer(self, request: Any) -> Any:
        results = [part.content for message in request.messages for part in message.parts if hasattr(part, "content")]
        return results[-1] if results else Reply(tool_calls=[("search", {"query": request.text})])

    def ask(self, store: MemoryStore, *questions: Any, **options: Any) -> list[Any]:
        return [run_sync(self.agent, question, store=store, **options) for question in questions]


def test_the_same_arguments_get_the_same_result_and_bill_and_trace_say_what_it_saved() -> None:
    library, store = Library(), MemoryStore()
    first, second = library.ask(store, "birds", "birds")
    assert (first.output, second.output, library.searched) == ("birds: 1 found", "birds: 1 found", 1)
    assert first.bill.savings.results == 0
    assert (second.bill.savings.results, second.bill.savings.seconds_by_results) == (1, 2.0)
    assert "1 stored tool result, saved 2.0 s" in second.bill.render()
    assert "= stored result of search · saved 2.0 s" in tree(second.events)
    assert second.bill.tools == 0


def test_other_arguments_another_agent_and_another_place_of_the_flow() -> None:
    """What a search gives depends on what is searched for, not on who searches."""
    library, store = Library(), MemoryStore()
    library.ask(store, "birds", "bees")
    assert library.searched == 2
    library.agent = library.agent.replace(name="other")
    library.ask(store, "birds")
    assert library.searched == 2


def test_it_ends_with_its_time_and_fresh_searches_anew() -> None:
    library, store = Library(), MemoryStore()

    async def at(seconds: float, fresh: bool = False) -> Any:
        await asyncio.sleep(seconds)
        return (await run(library.agent, "birds", store=store, fresh=fresh)).output

    async def all_day() -> list[Any]:
        return [await at(0), await at(57), await at(4), await at(0, fresh=True)]

    with asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        counts = [output.split()[1] for output in runner.run(all_day())]
    assert counts == ["1", "1", "2", "3"]


def test_without_a_store_it_lasts_as_long_as_the_run() -> None:
    library = Library()
    for _ in range(2):
        run_sync(library.agent, "birds")
    assert library.searched == 2


def test_tenants_and_labels_are_boundaries() -> None:
    library, store = Library(), MemoryStore()
    for tenant in "aba":
        library.ask(store, "birds", budget=Budget(usd=1, scope=f"tenant:{tenant}", per="day"))
    assert library.searched == 2
    library, store = Library(), MemoryStore()
    library.ask(store, "birds", Labelled("birds", untrusted("web")), "birds")
    assert library.searched == 2


def test_a_kept_result_is_as_untrusted_as_a_new_one() -> None:
    library, store = Library(), MemoryStore()
    labels: list[Any] = []

    @node
    async def watch(ctx: RunContext, question: str) -> str:
        answer = await ctx.run(library.agent, question)
        labels.append(ctx.label)
        return answer

    for _ in range(2):
        run_sync(watch, "birds", store=store)
    assert library.searched == 1
    assert labels[0] == labels[1]
    assert "search" in labels[1].sources


def test_a_scope_of_the_context_keeps_apart_whoever_it_names() -> None:
    searched: list[str] = []

    def mine(ctx: RunContext[str], query: str) -> str:
        """Search what is mine."""
        searched.append(ctx.deps)
        return f"{query} of {ctx.deps}"

    def tenant_of(ctx: RunContext[str]) -> str:
        return f"tenant:{ctx.deps}"

    library, store = Library(function=mine, cache_scope=tenant_of), MemoryStore()
    outputs = [run_sync(library.agent, "birds", store=store, deps=tenant).output for tenant in "aba"]
    assert outputs == ["birds of a", "birds of b", "birds of a"]
    assert searched == ["a", "b"]


def test_a_failure_is_not_kept() -> None:
    calls: list[int] = []

    def flaky(query: str) -> str:
        """Search, sometimes."""
        calls.append(1)
        if len(calls) == 1:
            raise OSError("down")
        return "found"

    library, store = Library(function=flaky), MemoryStore()
    outputs = [result.output for result in library.ask(store, "birds", "birds", "birds")]
    assert outputs[1:] == ["found", "found"]
    assert len(calls) == 2


def test_a_resumed_run_gets_the_same_result_again() -> None:
    """From its own journal, whatever has become of what was kept."""
    library, store = Library(), MemoryStore()
    run_sync(library.agent, "birds", store=store)
    results = [run_sync(library.agent, "birds", store=store, run_id="again")]
    with asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        runner.run(asyncio.sleep(100))
    results.append(run_sync(library.agent, "birds", store=store, run_id="again"))
    assert [result.output for result in results] == ["birds: 1 found"] * 2
    assert library.searched == 1


def test_changed_code_is_another_tool() -> None:
    store = MemoryStore()

    def search(query: str) -> str:
        """Search."""
        return "old"

    old = Library(function=search)
    old.ask(store, "birds")

    def search(query: str) -> str:  # type: ignore[no-redef]
        """Search."""
        return "new"

    assert Library(function=search).ask(store, "birds")[0].output == "new"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"side_effect": True}, "side_effect=True and cache_results= exclude each other"),
        ({"requires_approval": True}, "requires_approval=True and cache_results="),
        ({"ends_turn": True}, "ends_turn=True and cache_results="),
        ({"cache_results": 0}, "cache_results=0 is no time"),
    ],
    ids=str,
)
def test_what_must_be_done_each_time_is_refused(options: dict[str, Any], problem: str) -> None:
    def send(to: str) -> str:
        """Send it."""
        return to

    with pytest.raises(ConfigError, match=problem):
        tool(**{"cache_results": 60, **options})(send)


def test_a_tool_that_reads_the_context_has_to_say_whose_its_results_are() -> None:
    def mine(ctx: RunContext, query: str) -> str:
        """Search what is mine."""
        return query

    with pytest.raises(ConfigError, match="reads the context, so what it gives may be one tenant's"):
        tool(cache_results=60)(mine)
