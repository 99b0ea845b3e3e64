"""Outcomes out of a store: what a table would say, read from what runs recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outlay import Agent, run_sync
from outlay.errors import Overloaded
from outlay.patterns import Cascade
from outlay.routing import Outcome, agreement
from outlay.routing.recorded import RecordedOutcomes, recorded_outcomes
from outlay.stores.opening import open_store
from outlay.testing import Reply, ScriptedModel


def right(output: str) -> str | None:
    return None if output.startswith("right") else "wrong"


def model(name: str, *replies: Any) -> ScriptedModel:
    return ScriptedModel(list(replies), name=name, price=(1_000_000, 0))


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "runs.db")


def recorded(store: str, agent: str = "a") -> RecordedOutcomes:
    async def read() -> RecordedOutcomes:
        async with open_store(store) as opened:
            return await recorded_outcomes(opened, agent)

    return asyncio.run(read())


def outcomes(found: RecordedOutcomes) -> dict[str, dict[str, float]]:
    return {q.query: {model: one.correct for model, one in q.outcomes.items()} for q in found.questions}


def test_a_gate_says_of_each_tier_that_it_looked_at_whether_it_was_right(store: str) -> None:
    cheap, strong = model("cheap", "right 1", "wrong 2", "wrong 3"), model("strong", "right 2", "wrong 3")
    for text in ("one", "two", "three"):
        run_sync(Agent("a", Cascade([cheap, strong], right)), text, store=store)
    found = recorded(store)
    assert outcomes(found) == {
        "one": {"cheap": 1.0},
        "two": {"cheap": 0.0, "strong": 1.0},
        "three": {"cheap": 0.0, "strong": 0.0},
    }
    assert found.questions[1].outcomes["cheap"] == Outcome(0.0, "wrong 2", 1.0)
    assert (found.judged, found.left_out) == ({"gate right": 5}, {})


def test_the_strong_one_is_taken_to_be_right_only_where_the_cheap_one_was(store: str) -> None:
    cheap, strong = model("cheap", "right 1", "wrong 2"), model("strong", Overloaded("busy", retryable=False))
    for text in ("one", "two"):
        run_sync(Agent("a", Cascade([cheap, strong], right)), text, store=store)
    questions, taken = recorded(store).taking("strong", "cheap")
    assert taken == 1
    assert {q.query: sorted(q.outcomes) for q in questions} == {"one": ["cheap", "strong"], "two": ["cheap"]}


def test_a_gate_that_looks_at_the_cheap_one_only_says_nothing_of_the_strong_one(store: str) -> None:
    cheap, peer, strong = model("cheap", "a"), model("peer", "b"), model("strong", "c")
    run_sync(Agent("a", Cascade([cheap, strong], agreement([peer]))), "one", store=store)
    found = recorded(store)
    assert outcomes(found) == {"one": {"cheap": 0.0}}
    assert found.left_out == {"neither a gate nor a check said whether it was right": 1}


def test_the_agents_own_checks_know_better_than_a_gate_that_let_it_pass(store: str) -> None:
    """And what comes after a correction is another question."""
    cheap, strong = model("cheap", "wrong"), model("strong", "right")
    agent = Agent("a", Cascade([cheap, strong], lambda output: None), verify=[right])
    assert run_sync(agent, "one", store=store).unwrap() == "right"
    found = recorded(store)
    assert outcomes(found) == {"one": {"cheap": 0.0}}
    assert found.left_out == {"not the first turn of a conversation": 1}


def test_two_models_over_the_same_questions_need_no_cascade(store: str) -> None:
    """As of two runs of `outlay map`, or of a comparison; several answers of one model are one outcome."""
    for name, said in (("cheap", "right"), ("cheap", "wrong"), ("strong", "right")):
        run_sync(Agent("a", model(name, said), verify=[right], output_retries=0), "one", store=store)
    found = recorded(store)
    assert outcomes(found) == {"one": {"cheap": 0.5, "strong": 1.0}}
    assert found.judged == {"right": 3}


def test_what_nobody_judged_or_another_version_gave_is_left_out(store: str) -> None:
    class Versioned(ScriptedModel):
        version = "2026-01"

        async def send(self, request: Any, transport: Any, on_text: Any = None) -> Any:
            return replace(await super().send(request, transport, on_text), model=self.version)

    old, new = (Versioned(["right"], name="m") for _ in range(2))
    new.version = "2026-02"
    run_sync(Agent("a", model("m", "right")), "unjudged", store=store)
    for text, one in (("old", old), ("new", new)):
        run_sync(Agent("a", one, verify=[right]), text, store=store)
    found = recorded(store)
    assert outcomes(found) == {"new": {"m": 1.0}}
    assert found.versions == {"m": "2026-02"}
    assert found.left_out == {"given by an earlier version of the model": 2}


def test_turns_that_call_tools_and_other_agents_teach_nothing(store: str) -> None:
    def look() -> str:
        """Look."""
        return "seen"

    cheap = model("cheap", Reply(tool_calls=[("look", {})]), "right")
    run_sync(Agent("a", cheap, tools=[look], verify=[right]), "one", store=store)
    found = recorded(store)
    assert not found.questions
    assert found.left_out == {"ended with tool": 1, "not the first turn of a conversation": 1}
    assert not recorded(store, "b").questions
