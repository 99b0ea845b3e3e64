"""Stored answers to questions that are nearly the same: given, billed as saved, and never across a boundary."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, Literal

import pytest

from outlay import Agent, Budget, RunContext, run, run_many, run_sync
from outlay.errors import ConfigError
from outlay.events import Decision
from outlay.patterns import Vote
from outlay.protocols.clock import loop_factory
from outlay.routing.calibration import Calibration
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel, virtual_time
from outlay.values.label import Labelled, untrusted
from outlay.values.usage import Usage

pytest.importorskip("wordllama", reason="needs pip install 'outlay[similar]'")
from outlay.routing.similar import SimilarAnswers, local_embedder

FIRST, AGAIN, OTHER = "Where is my new card?", "Where has my new card got to?", "How do I close my account?"


def similar(threshold: float = 0.8) -> SimilarAnswers:
    return SimilarAnswers(Calibration("crc", 0.01, threshold, 1.0, 0.0, 100, 0.5), local_embedder(), 0.1, 100)


class Desk:
    """An agent whose model numbers its answers, so that a new one is seen to be new."""

    def __init__(self, **options: Any) -> None:
        self.asked = 0
        model = ScriptedModel(self.answer, price=(1, 5), name="m")
        given = {"cache_answers": 3600, "cache_similar": similar(), **options}
        self.agent: Agent[Any] = Agent("clerk", model, **given)

    def answer(self, request: Any) -> Reply:
        self.asked += 1
        return Reply(f"answer {self.asked}", usage=Usage(1000, 0, 0, 200))


def test_a_question_that_is_nearly_the_same_costs_nothing_and_the_bill_says_so() -> None:
    desk, store = Desk(), MemoryStore()
    run_sync(desk.agent, FIRST, store=store)
    again = run_sync(desk.agent, AGAIN, store=store)
    assert (again.output, desk.asked, again.bill.total) == ("answer 1", 1, Decimal(0))
    saved = again.bill.savings
    assert (saved.answers, saved.similar_answers, saved.by_answers) == (1, 1, Decimal("0.002"))
    assert "1 stored answer (1 to similar questions), saved $0.0020" in again.bill.render()
    (said,) = [e.data for e in again.events if isinstance(e, Decision) and e.about == "stored_answer"]
    assert 0.9 < said["similarity"] < 1
    assert run_sync(desk.agent, OTHER, store=store).output == "answer 2"


def test_the_same_question_is_the_exact_one_and_not_a_similar_one() -> None:
    desk, store = Desk(), MemoryStore()
    run_sync(desk.agent, FIRST, store=store)
    again = run_sync(desk.agent, FIRST, store=store)
    assert (again.bill.savings.answers, again.bill.savings.similar_answers) == (1, 0)


def test_an_answer_given_to_a_similar_question_is_not_stored_as_its_own() -> None:
    """Or likeness of likeness would drift."""
    desk, store = Desk(), MemoryStore()
    run_sync(desk.agent, FIRST, store=store)
    results = [run_sync(desk.agent, AGAIN, store=store) for _ in range(2)]
    assert [result.bill.savings.similar_answers for result in results] == [1, 1]


@pytest.mark.parametrize(
    "asked",
    ["Where is my new card 17?", "Where isn't my new card?", 'Where is my "new card"?', "Where is my new Amex card?"],
)
def test_numbers_negations_quotes_and_names_have_to_be_equal(asked: str) -> None:
    desk, store = Desk(cache_similar=similar(0.5)), MemoryStore()
    run_sync(desk.agent, FIRST, store=store)
    assert run_sync(desk.agent, asked, store=store).output == "answer 2"


def test_tenants_scopes_and_labels_are_boundaries() -> None:
    """By the context, by the scope of the budget that pays, by what the question is made of."""

    def tenant_of(ctx: RunContext[str]) -> str:
        return f"tenant:{ctx.deps}"

    store = MemoryStore()
    desk = Desk(cache_scope=tenant_of)
    run_sync(desk.agent, FIRST, store=store, deps="a")
    outputs = [run_sync(desk.agent, AGAIN, store=store, deps=tenant).output for tenant in "ba"]
    assert outputs == ["answer 2", "answer 1"]
    desk = Desk()
    budgets = {tenant: Budget(usd=1, scope=f"tenant:{tenant}", per="day") for tenant in "ab"}
    run_sync(desk.agent, FIRST, store=store, budget=budgets["a"])
    outputs = [run_sync(desk.agent, AGAIN, store=store, budget=budgets[tenant]).output for tenant in "ba"]
    assert outputs == ["answer 2", "answer 1"]
    desk, store = Desk(), MemoryStore()
    run_sync(desk.agent, FIRST, store=store)
    assert run_sync(desk.agent, Labelled(AGAIN, untrusted("web")), store=store).output == "answer 2"


@pytest.mark.parametrize(
    "change", [{"instructions": "Be brief."}, {"max_output_tokens": 500}, {"name": "other"}], ids=str
)
def test_another_request_is_another_place(change: dict[str, Any]) -> None:
    desk, store = Desk(), MemoryStore()
    run_sync(desk.agent, FIRST, store=store)
    assert run_sync(desk.agent.replace(**change), AGAIN, store=store).output == "answer 2"


def test_an_answer_that_the_agents_own_check_refuses_for_this_question_is_not_given() -> None:
    """The check sees the new question; what it says is in the events, and no output counts as refused."""

    def names_it(ctx: RunContext[Any], answer: str) -> str | None:
        return None if answer.endswith(ctx.input[-4:]) else "it does not end as the question does"

    model = ScriptedModel(lambda request: f"about {request.text[-4:]}", price=(1, 5))
    agent = Agent("clerk", model, cache_answers=60, cache_similar=similar(), verify=[names_it])
    store = MemoryStore()
    run_sync(agent, FIRST, store=store)
    again = run_sync(agent, AGAIN, store=store)
    assert (again.output, again.bill.savings.similar_answers, again.bill.refused) == ("about  to?", 0, 0)
    assert [e.about for e in again.events if isinstance(e, Decision)].count("stored_answer_refused") == 1


def test_closed_answers_are_decoded_as_the_agents_own() -> None:
    model = ScriptedModel(["card"], price=(1, 5))
    agent = Agent("clerk", model, output_type=Literal["card", "other"], cache_answers=60, cache_similar=similar())
    store = MemoryStore()
    assert [run_sync(agent, text, store=store).output for text in (FIRST, AGAIN)] == ["card", "card"]


def test_it_ends_with_its_time_and_fresh_asks_anew() -> None:
    desk, store = Desk(cache_answers=60), MemoryStore()

    async def after(seconds: float, text: str, fresh: bool = False) -> str | None:
        await asyncio.sleep(seconds)
        return (await run(desk.agent, text, store=store, fresh=fresh)).output

    async def all_day() -> list[str | None]:
        asked = [(0, FIRST, False), (59, AGAIN, False), (1, AGAIN, False), (1, FIRST, False), (1, FIRST, True)]
        return [await after(*one) for one in asked]

    with virtual_time(), asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        # the third is answered anew, and is what the fourth is given; the last one asks for a new one
        assert runner.run(all_day()) == ["answer 1", "answer 1", "answer 2", "answer 2", "answer 3"]


def test_the_samples_of_a_vote_are_given_each_its_own() -> None:
    """Three different answers to the similar question too, not one of them three times."""
    desk, store = Desk(), MemoryStore()
    flow = Vote(desk.agent, 3, early_stop=False, name="vote")
    first = run_sync(flow, FIRST, store=store)
    again = run_sync(flow, AGAIN, store=store)

    def answers(result: Any) -> set[str]:
        return {event.head for event in result.events if type(event).__name__ == "CallFinished"}

    assert (desk.asked, again.bill.savings.similar_answers) == (3, 3)
    assert len(answers(first)) == len(answers(again)) == 3


def test_rows_of_a_map_share_them() -> None:
    desk = Desk()

    async def outputs() -> list[Any]:
        rows = list(enumerate([FIRST, AGAIN, OTHER, FIRST]))
        return [result.output async for _, result in run_many(desk.agent, rows, concurrency=1)]

    assert asyncio.run(outputs()) == ["answer 1", "answer 1", "answer 2", "answer 1"]


def test_another_process_finds_what_this_one_stored(tmp_path: Any) -> None:
    """By the file: nothing of the first run is in memory any more."""
    desk, path = Desk(), str(tmp_path / "outlay.db")
    run_sync(desk.agent, FIRST, store=path)
    again = run_sync(desk.agent, AGAIN, store=path, run_id="again")
    resumed = run_sync(desk.agent, AGAIN, store=path, run_id="again")
    assert (again.output, resumed.output, desk.asked) == ("answer 1", "answer 1", 1)


def test_only_the_first_message_of_a_conversation_is_looked_up() -> None:
    desk, store = Desk(), MemoryStore()
    first = run_sync(desk.agent, FIRST, store=store)
    assert run_sync(desk.agent, AGAIN, store=store, history=first.transcript).output == "answer 2"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"cache_similar": 0.9}, "cache_similar=0.9 says nothing of what is similar"),
        ({"cache_similar": similar(), "cache_answers": None}, "cache_similar= needs cache_answers="),
        ({"cache_similar": similar(), "tools": [lambda: ""]}, "has tools"),
    ],
    ids=["no object", "no time", "tools"],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], problem: str) -> None:
    if "tools" in options:

        def look(page: int) -> str:
            return ""

        options = {**options, "tools": [look]}
    with pytest.raises(ConfigError, match=problem):
        Agent("clerk", ScriptedModel([]), **{"cache_answers": 60, **options})
