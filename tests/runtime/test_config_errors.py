"""What can be known to be wrong is said before anything is spent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flows import at_once, echo, worker

from outlay import Agent, Budget, ModelSettings, RunContext, node, run, run_many, run_sync, stream
from outlay.errors import ConfigError, JournalMismatch, ModelTimeout
from outlay.events import CallStarted, RunFinished
from outlay.patterns import FanOut, Pipeline, Router
from outlay.testing import ScriptedModel, virtual_time


def refused(root: Any, **options: Any) -> ConfigError:
    """The error, and the certainty that nothing ran before it."""
    seen: list[Any] = []
    with pytest.raises(ConfigError) as caught:
        at_once(run(root, "x", on_event=seen.append, **options))
    assert seen == []
    return caught.value


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("claude-haiku-4-5", "anthropic:claude-haiku-4-5"),
        ("antropic:claude-haiku-4-5", "anthropic:"),
        ("nobody:x", "no provider"),
    ],
)
def test_an_unknown_model_is_refused(model: str, text: str) -> None:
    """However deep in the flow it stands, and with the likely name."""
    assert text in str(refused(Pipeline(worker(), FanOut(Agent("late", model)))))


def a_function(request: Any) -> str:
    return "x"


@pytest.mark.parametrize(
    ("models", "text"),
    [
        ({"a": a_function}, "wrap it: ScriptedModel(function)"),
        ({"*": 7}, "agent 'a': 7 is no model"),
        ({"*": ScriptedModel}, "it is a class: write ScriptedModel(…)"),
        ({"a": Agent("b", "anthropic:claude-haiku-4-5")}, "is no model"),
        ([ScriptedModel(["x"])], "is not understood"),
        (ScriptedModel(["x"]), "is not understood"),
        ("offlin", "models='offlin' is not understood"),
    ],
)
def test_what_is_no_replacement_is_told_from_one(models: Any, text: str) -> None:
    assert text in str(refused(Agent("a", "anthropic:claude-haiku-4-5"), models=models))


def test_a_function_is_no_model_of_an_agent() -> None:
    assert "wrap it: ScriptedModel(function)" in str(refused(Agent("a", a_function)))  # pyright: ignore[reportArgumentType]


def test_functions_of_one_name_are_told_how_to_get_another() -> None:
    """A lambda has no `replace`."""
    two: Any = [lambda text: text, lambda text: text]  # pyright: ignore[reportUnknownLambdaType]
    assert "next: rename one: @node(name='…')" in str(refused(FanOut(two)))


def test_a_missing_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which agent and which environment variable: nothing to look up."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    error = refused(Agent("writer", "anthropic:claude-haiku-4-5"))
    assert "writer" in str(error)
    assert "ANTHROPIC_API_KEY" in str(error)


def test_an_agent_met_in_the_middle_is_checked_before_its_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a node starts without naming it among its children cannot be known earlier; nothing is sent all the same."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    seen: list[Any] = []

    async def start(ctx: RunContext, agent: Agent[str]) -> str:
        return await ctx.run(agent, "x")

    flow = node(name="flow")(start)
    with pytest.raises(ConfigError, match=r"agent 'writer': .* needs a key, and ANTHROPIC_API_KEY is not set"):
        at_once(run(flow, Agent("writer", "anthropic:claude-haiku-4-5"), on_event=seen.append))
    assert not [event for event in seen if isinstance(event, CallStarted)]

    monkeypatch.setenv("OPENAI_API_KEY", "k")
    seeded = Agent("seeded", "openai:gpt-5.4", settings=ModelSettings(seed=1))
    with pytest.raises(ConfigError, match="agent 'seeded': the Responses API has no seed setting"):
        at_once(run(flow, seeded))


def test_offline_without_a_stand_in_names_the_agent() -> None:
    """`models="offline"` needs one of every agent that names a real model."""
    flow = Pipeline(
        Agent("ready", "anthropic:claude-haiku-4-5", offline=lambda _: "x"),
        Agent("writer", "anthropic:claude-haiku-4-5"),
    )
    assert "'writer' has no offline stand-in" in str(refused(flow, models="offline"))


def test_offline_agents_of_one_name_keep_their_own_stand_ins() -> None:
    """Two agents in different places of a flow may share name and model."""
    first, second = (Agent("reply", "anthropic:claude-haiku-4-5", offline=lambda _, n=n: str(n)) for n in (1, 2))
    flow = FanOut([Pipeline(first, name="a"), Pipeline(second, name="b")])
    assert at_once(run(flow, "x", models="offline")).unwrap() == {"a": "1", "b": "2"}


def test_models_are_replaced_by_agent_then_by_model_then_by_star() -> None:
    """The most particular replacement wins."""
    a, b, c = (
        Agent(name, f"anthropic:claude-{model}")
        for name, model in (("a", "haiku-4-5"), ("b", "haiku-4-5"), ("c", "opus-4-5"))
    )
    models = {
        "a": ScriptedModel(["agent"]),
        "anthropic:claude-haiku-4-5": ScriptedModel(["model"]),
        "*": ScriptedModel(["star"]),
    }
    assert at_once(run(FanOut([a, b, c]), "", models=models)).unwrap() == {"a": "agent", "b": "model", "c": "star"}


def test_models_that_are_no_mapping_are_refused() -> None:
    """A slip of the keyword is found."""
    assert "ofline" in str(refused(worker(), models="ofline"))


def test_siblings_need_names_of_their_own() -> None:
    """Two children of one name could not be told apart in a path."""
    error = refused(Router(worker("w"), {"a": worker("same"), "b": worker("same")}, default=worker("d")))
    assert "two children named 'same'" in str(error)
    assert "rename one" in str(error)


def test_one_node_in_two_places_is_no_duplicate() -> None:
    """The same object is the same node, and so is the same plain function."""
    same = worker("same")
    assert at_once(run(Pipeline(same, same), "x")).unwrap() == "x"

    def twice(text: str) -> str:
        return text * 2

    assert at_once(run(Pipeline(twice, twice), "x")).unwrap() == "xxxx"


@pytest.mark.parametrize("what", [3, None, "agent", object(), int])
def test_what_is_no_node_is_refused(what: Any) -> None:
    """The error says what may stand there."""
    assert "give an Agent, a pattern" in str(refused(what))


def test_stages_that_take_anything_fit_anything() -> None:
    """`Any` is no mismatch, and an int is a float."""

    def number(_: Any) -> int:
        return 1

    def anything(x: Any) -> Any:
        return x

    def real(x: float) -> float:
        return x + 0.5

    assert at_once(run(Pipeline(number, anything, real), "x")).unwrap() == 1.5

    def short(x: str) -> str:
        return x

    with pytest.raises(ConfigError, match="gives int, but short, the next stage, takes str"):
        Pipeline(number, short)


def test_a_budget_must_be_one() -> None:
    """A bare amount is a likely slip."""
    assert 'Budget(usd="0.50")' in str(refused(worker(), budget=[0.5]))
    assert "counts across runs" in str(refused(worker(), budget=Budget(usd=1, scope="tenant:a", per="day")))


def test_run_sync_under_a_running_loop_says_what_to_write() -> None:
    """A notebook or a server has a loop already."""

    async def main() -> None:
        with pytest.raises(ConfigError, match="await run"):
            run_sync(echo, 1)

    asyncio.run(main())


def test_run_sync_takes_what_run_takes() -> None:
    """One implementation: the same arguments, on virtual time where that is asked for."""
    with virtual_time() as clock:
        result = run_sync(worker(latency=100), "x", budget=Budget(usd=1), run_id="mine")
    assert (result.unwrap(), result.run_id, clock.elapsed) == ("x", "mine", 100)


def test_a_child_that_is_called_directly_says_what_to_write() -> None:
    """`child.run(…)` would bypass the budget, the journal and the bill."""

    @node
    async def wrong(ctx: RunContext, text: str) -> str:
        return await child.run(text)  # pyright: ignore

    child = worker("child")
    for call in (lambda: child.run("x"), lambda: child.run(None, "x")):  # pyright: ignore
        with pytest.raises(ConfigError, match=r"await ctx\.run\(child, input\)"):
            call()
    assert "await ctx.run(child, input)" in str(_raised(wrong))


def _raised(root: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        at_once(run(root, "x"))
    return caught.value


def test_a_config_error_in_the_middle_is_in_the_result() -> None:
    """Once something is paid for, the error comes with the bill and does not replace it."""

    @node
    async def late(ctx: RunContext, text: str) -> str:
        await ctx.run(worker(), text)
        return await ctx.run(Agent("late", "nobody:x"), text)

    result = at_once(run(late, "x"))
    assert isinstance(result.error, ConfigError)
    assert (result.stop_reason, str(result.bill.total)) == ("error", "0.01")


def test_a_run_that_ends_in_a_config_error_is_recorded_as_ended() -> None:
    """No run stays open in the store."""

    @node
    async def late(ctx: RunContext, text: str) -> str:
        return await ctx.run(Agent("late", "nobody:x"), text)

    events: list[Any] = []
    with pytest.raises(ConfigError):
        at_once(run(late, "x", on_event=events.append))
    assert [(e.stop_reason, e.degraded) for e in events if isinstance(e, RunFinished)] == [("error", True)]


def test_a_config_error_after_a_call_in_doubt_does_not_hide_the_doubt() -> None:
    """Money that may be gone is money spent: the bill comes with the error."""

    @node
    async def late(ctx: RunContext, text: str) -> str:
        with suppress(ModelTimeout):
            await ctx.run(Agent("slow", ScriptedModel([ModelTimeout("late")] * 3, price=(1, 1))), text)
        return await ctx.run(Agent("late", "nobody:x"), text)

    result = at_once(run(late, "x", budget=Budget(usd=1)))
    assert isinstance(result.error, ConfigError)
    assert result.bill.in_doubt > 0


def test_a_store_is_closed_again_when_the_flow_is_wrong(tmp_path: Path) -> None:
    """A path given as store= is opened by the run, and let go by it whatever happens."""
    import threading

    others = set(threading.enumerate())  # of earlier tests: a webhook's thread lives for a while

    async def main() -> None:
        for i, attempt in enumerate((_run, _stream, _many)):
            with pytest.raises(ConfigError):
                await attempt(Agent("a", "nobody:x"), str(tmp_path / f"{i}.db"))
        mine = (threading.main_thread().name, "asyncio")  # the loop's own executor ends with the loop
        assert [t.name for t in threading.enumerate() if t not in others and not t.name.startswith(mine)] == []

    async def _run(root: Any, store: str) -> None:
        await run(root, "x", store=store)

    async def _stream(root: Any, store: str) -> None:
        async with stream(root, "x", store=store):
            pass

    async def _many(root: Any, store: str) -> None:
        async for _ in run_many(root, [("1", "x")], store=store):
            pass

    asyncio.run(main())


def test_a_run_id_belongs_to_one_input(tmp_path: Path) -> None:
    """Two runs never share their records."""
    store = str(tmp_path / "x.db")
    assert run_sync(echo, 1, store=store, run_id="mine").unwrap() == 1
    with pytest.raises(JournalMismatch, match="run mine was begun with another input"):
        run_sync(echo, 2, store=store, run_id="mine")


def test_a_sum_that_is_no_budget_is_told_how_to_be_one() -> None:
    error = refused(worker("a"), budget=0.05)
    assert "budget=0.05 is not a Budget" in str(error)
    assert 'Budget(usd="0.50")' in error.hint


@pytest.mark.parametrize(
    "options",
    [{"store": 3}, {"on_event": "print"}, {"on_ask": 3}],
    ids=str,
)
def test_options_of_the_wrong_kind_are_refused(options: Any) -> None:
    """By name, before anything runs."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        at_once(run(worker("worker"), "x", **options))


def test_a_plain_function_of_three_inputs_is_no_node() -> None:
    """Where a node may stand, with what to write instead."""

    async def add(a: int, b: int, c: int) -> int:
        return a + b + c

    with pytest.raises(ConfigError, match="'add' is no node: it takes 3 inputs"):
        Pipeline(worker(), add)


@pytest.mark.parametrize("history", ["Hello", [{"role": "user", "content": "Hello"}]])
def test_a_history_that_is_no_transcript_is_refused(history: Any) -> None:
    """Before anything runs, with what to give instead."""
    assert "transcript" in refused(worker(), history=history).hint


def test_a_stand_in_that_is_a_text_is_told_how_to_be_a_function() -> None:
    error = refused(Agent("a", "anthropic:claude-haiku-4-5", offline="hello"), models="offline")
    assert "agent 'a': offline='hello' is a text" in str(error)
    assert error.hint == "write offline=lambda request: 'hello'"


@pytest.mark.parametrize("row", ["ab", ("1", "x", "y"), {"id": 1, "input": "x"}, 7])
def test_a_row_that_is_no_pair_is_refused(row: Any) -> None:
    """A text of two letters would unpack as one."""

    async def main() -> None:
        async for _ in run_many(worker("a"), [row]):
            pass

    with pytest.raises(ConfigError, match="a row is") as caught:
        at_once(main())
    assert caught.value.hint == "write enumerate(rows)"


def test_an_await_that_is_missing_is_said_and_nothing_is_paid() -> None:
    """A coroutine is neither what a node gives nor what a child is given."""

    @node
    async def gives(ctx: RunContext, text: str) -> Any:
        return ctx.run(worker("a"), text)

    @node
    async def hands_on(ctx: RunContext, text: str) -> Any:
        return await ctx.run(worker("b"), ctx.run(worker("a"), text))

    for flow, said in ((gives, "gives gave a coroutine"), (hands_on, "b was given a coroutine")):
        with pytest.raises(ConfigError, match=said) as caught:  # raised, not in a result: nothing is paid
            run_sync(flow, "x")
        assert "await ctx.run(node, input)" in caught.value.hint


def test_stages_in_a_list_are_told_to_come_one_by_one() -> None:
    with pytest.raises(ConfigError, match="not a node: a list") as caught:
        Pipeline([worker("a")])  # pyright: ignore
    assert "one by one" in caught.value.hint
