"""Stored answers: the same request is paid for once, and nothing crosses tenants, labels, samples or time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from outlay import Agent, Budget, ModelSettings, RunContext, run, run_many, run_sync
from outlay.errors import ConfigError, Overloaded, StoreFailed
from outlay.patterns import Vote
from outlay.protocols.clock import loop_factory
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel, virtual_time
from outlay.values.label import Labelled, untrusted
from outlay.values.usage import Usage


class Desk:
    """An agent whose model numbers its answers, so that a new one is seen to be new."""

    def __init__(self, **options: Any) -> None:
        self.asked = 0
        model = ScriptedModel(self.answer, price=(1, 5), **options.pop("model", {}))
        self.agent: Agent[str] = Agent("clerk", model, **{"cache_answers": 3600, **options})

    def answer(self, request: Any) -> Reply:
        self.asked += 1
        return Reply(f"answer {self.asked}", usage=Usage(1000, 0, 0, 200))


def tenant_of(ctx: RunContext[str]) -> str:
    return f"tenant:{ctx.deps}"


def test_the_same_request_is_paid_for_once_and_the_bill_says_so() -> None:
    """The second call costs nothing under the purpose `cached`, and what it would have cost is told."""
    desk, store = Desk(), MemoryStore()
    first = run_sync(desk.agent, "hi", store=store)
    second = run_sync(desk.agent, "hi", store=store)
    assert (first.output, second.output, desk.asked) == ("answer 1", "answer 1", 1)
    (line,) = second.bill.lines
    assert (line.purpose, line.calls, line.cost, line.output_tokens) == ("cached", 1, Decimal(0), 0)
    assert (second.bill.savings.answers, second.bill.savings.by_answers) == (1, Decimal("0.002"))
    assert "1 stored answer, saved $0.0020" in second.bill.render()
    assert (first.bill.savings.answers, first.bill.savings.by_answers) == (0, 0)


def test_only_who_asks_for_it_gets_it() -> None:
    desk, store = Desk(cache_answers=None), MemoryStore()
    run_sync(desk.agent, "hi", store=store)
    assert run_sync(desk.agent, "hi", store=store).output == "answer 2"


def test_it_is_kept_for_its_time_and_no_longer() -> None:
    """One hour, to the second; the newer answer lives its own hour."""
    desk, store = Desk(cache_answers=timedelta(hours=1)), MemoryStore()

    async def after(seconds: float) -> str | None:
        await asyncio.sleep(seconds)
        return (await run(desk.agent, "hi", store=store)).output

    async def all_day() -> list[str | None]:
        return [await after(seconds) for seconds in (0, 3599, 1, 3599, 1)]

    with virtual_time(), asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        assert runner.run(all_day()) == ["answer 1", "answer 1", "answer 2", "answer 2", "answer 3"]


def test_fresh_asks_anew_and_stores_what_is_new() -> None:
    desk, store = Desk(), MemoryStore()
    outputs = [run_sync(desk.agent, "hi", store=store, fresh=fresh).output for fresh in (False, True, False)]
    assert outputs == ["answer 1", "answer 2", "answer 2"]


@pytest.mark.parametrize(
    "change",
    [
        {"instructions": "Be brief."},
        {"settings": ModelSettings(temperature=0.5)},
        {"max_output_tokens": 500},
        {"cache_scope": "tenant:acme"},
        {"name": "other"},
    ],
    ids=str,
)
def test_another_request_or_scope_is_another_answer(change: dict[str, Any]) -> None:
    desk, store = Desk(), MemoryStore()
    run_sync(desk.agent, "hi", store=store)
    assert run_sync(desk.agent.replace(**change), "hi", store=store).output == "answer 2"
    assert run_sync(desk.agent, "ho", store=store).output == "answer 3"


def test_tenants_never_share_an_answer() -> None:
    """By a function of the context, and by the scope of the budget that pays."""
    desk, store = Desk(cache_scope=tenant_of), MemoryStore()
    outputs = [run_sync(desk.agent, "hi", store=store, deps=tenant).output for tenant in ("a", "b", "a")]
    assert outputs == ["answer 1", "answer 2", "answer 1"]
    desk = Desk()
    budgets = [Budget(usd=1, scope=f"tenant:{tenant}", per="day") for tenant in "aba"]
    outputs = [run_sync(desk.agent, "hi", store=store, budget=budget).output for budget in budgets]
    assert outputs == ["answer 1", "answer 2", "answer 1"]


def test_a_label_is_a_boundary() -> None:
    """What was answered to a trusted text is not the answer to the same text from a stranger, nor the other way."""
    desk, store = Desk(), MemoryStore()
    stranger = Labelled("hi", untrusted("web"))
    outputs = [run_sync(desk.agent, input, store=store).output for input in ("hi", stranger, "hi", stranger)]
    assert outputs == ["answer 1", "answer 2", "answer 1", "answer 2"]


def test_the_samples_of_a_vote_stay_samples() -> None:
    """Five different answers in the first run, and the same five in the next."""
    desk, store = Desk(), MemoryStore()
    flow = Vote(desk.agent, 5, early_stop=False, name="vote")
    run_sync(flow, "hi", store=store)
    assert desk.asked == 5
    again = run_sync(flow, "hi", store=store)
    assert (desk.asked, again.bill.savings.answers) == (5, 5)


def test_the_rows_of_a_map_share_answers_even_without_a_store() -> None:
    """It lasts as long as the map."""
    desk = Desk()

    async def outputs() -> list[Any]:
        rows = [(i, "hi") for i in range(6)]
        return [result.output async for _, result in run_many(desk.agent, rows, concurrency=1)]

    assert asyncio.run(outputs()) == ["answer 1"] * 6


def test_a_stand_ins_answer_is_never_a_models() -> None:
    """The id is the same, the provider is not."""
    store = MemoryStore()
    live = ScriptedModel(["live"], name="m")
    agent = Agent("clerk", "anthropic:claude-haiku-4-5", cache_answers=60, offline=lambda request: "stand-in")
    assert run_sync(agent, "hi", store=store, models="offline").output == "stand-in"
    assert run_sync(agent, "hi", store=store, models={"clerk": live}).output == "live"


def test_another_models_answer_is_not_kept_for_the_one_that_failed() -> None:
    """A fallback helps this run; the next asks the model that was named."""
    store = MemoryStore()
    down = ScriptedModel([Overloaded("busy", retry_after=0)] * 3 + ["first choice"], name="first")
    agent = Agent("clerk", down, fallback=[ScriptedModel(["second choice"], name="second")], cache_answers=60)
    with virtual_time():
        outputs = [run_sync(agent, "hi", store=store).output for _ in range(3)]
    assert outputs == ["second choice", "first choice", "first choice"]


def test_a_resumed_run_gives_the_stored_answer_again_from_its_own_journal(tmp_path: Any) -> None:
    """The answer is part of the run, whatever becomes of the stored one."""
    desk, path = Desk(), str(tmp_path / "outlay.db")
    run_sync(desk.agent, "hi", store=path)
    run_sync(desk.agent, "hi", store=path, run_id="second")
    again = run_sync(desk.agent, "hi", store=path, run_id="second")
    assert (again.output, desk.asked, again.bill.total) == ("answer 1", 1, Decimal(0))


def test_a_cut_answer_is_not_stored() -> None:
    desk, store = Desk(), MemoryStore()
    cut = desk.agent.replace(model=ScriptedModel([Reply("ha", stop="length"), "whole"]))
    assert run_sync(cut, "hi", store=store).output is None
    assert run_sync(cut, "hi", store=store).output == "whole"


def test_a_store_that_fails_at_answers_costs_no_run() -> None:
    """The answer was paid for, and is given."""

    class Broken(MemoryStore):
        async def commit(self, changes: Any) -> tuple[int, ...]:
            if any(change.collection == "answers" for change in changes):
                raise StoreFailed("full")
            return await super().commit(changes)

    desk, store = Desk(), Broken()
    assert [run_sync(desk.agent, "hi", store=store).output for _ in range(2)] == ["answer 1", "answer 2"]


@pytest.mark.parametrize("kept", [0, -1, timedelta(0)])
def test_no_time_at_all_is_refused(kept: Any) -> None:
    with pytest.raises(ConfigError, match="is no time to keep answers"):
        Agent("clerk", ScriptedModel([]), cache_answers=kept)


def test_a_scope_that_is_no_text_is_refused() -> None:
    """None would be one tenant for all who have none."""
    desk = Desk(cache_scope=lambda: None)
    with pytest.raises(ConfigError, match="cache_scope gave NoneType, not text"):
        run_sync(desk.agent, "hi")
