"""Cascade of models inside an agent: turn by turn, the cheapest first."""

import asyncio
from decimal import Decimal
from typing import Literal

import pytest

from outlay import Agent, Budget, open_store, run, run_many, run_sync
from outlay.agents.cascade import ModelCascade
from outlay.analysis.tree import tree
from outlay.errors import ConfigError, Overloaded
from outlay.events import CallFinished, Decision
from outlay.patterns import Cascade
from outlay.testing import Reply, ScriptedModel

CENT = (10_000, 0)


def model(name, *replies, price=CENT):
    return ScriptedModel(list(replies), name=name, price=price)


def is_good(text: str) -> str | None:
    return None if text.startswith("good") else f"{text} is not good"


def fine(output) -> None:
    return None


def asked(result) -> list[tuple[str, str]]:
    return [(e.model, e.purpose) for e in result.events if isinstance(e, CallFinished)]


def test_a_cascade_of_models_is_a_model():
    """It is no node, and an agent takes it."""
    cascade = Cascade([model("cheap", "good"), model("strong")], is_good)
    assert isinstance(cascade, ModelCascade)
    result = run_sync(Agent("a", cascade), "go")
    assert (result.unwrap(), result.degraded, asked(result)) == ("good", False, [("cheap", "tier:0")])


def test_what_does_not_pass_goes_to_the_next_model_and_is_no_part_of_the_conversation():
    strong = model("strong", "good")
    result = run_sync(Agent("a", Cascade([model("cheap", "poor"), strong], is_good)), "go")
    assert result.unwrap() == "good"
    assert [m.text for m in strong.calls[0].messages] == ["go"]
    assert [m.text for m in result.transcript.messages] == ["go", "good"]


def test_each_tier_is_on_the_bill_with_its_model():
    result = run_sync(Agent("a", Cascade([model("cheap", "poor"), model("strong", "good")], is_good)), "go")
    assert [(x.model, x.purpose, x.cost) for x in result.bill.lines] == [
        ("cheap", "tier:0", Decimal("0.01")),
        ("strong", "tier:1", Decimal("0.01")),
    ]


def test_routing_is_turn_by_turn():
    """The cheap model calls the tool; its answer is refused; the strong one answers in the same conversation."""

    def look(word: str) -> str:
        return f"{word}: a lamp"

    cheap = model("cheap", Reply(tool_calls=[("look", {"word": "x"})]), "poor")
    strong = model("strong", "good")
    result = run_sync(Agent("a", Cascade([cheap, strong], is_good), tools=[look]), "go")
    assert result.unwrap() == "good"
    assert [name for name, _ in asked(result)] == ["cheap", "cheap", "strong"]
    assert strong.calls[0].messages[-1].tool_results[0].content == "x: a lamp"


@pytest.mark.parametrize(
    "call", [("look", {"word": 7.5}), ("look", {}), ("find", {"word": "x"})], ids=["type", "missing", "unknown"]
)
def test_a_tool_call_that_cannot_run_is_no_answer(call):
    """No gate is needed for that: the tool does not exist, or its arguments do not fit."""

    def look(word: str) -> str:
        return word

    cheap = model("cheap", Reply(tool_calls=[call]), "done")
    strong = model("strong", Reply(tool_calls=[("look", {"word": "x"})]))
    result = run_sync(Agent("a", Cascade([cheap, strong], fine), tools=[look]), "go")
    assert (result.unwrap(), [name for name, _ in asked(result)]) == ("done", ["cheap", "strong", "cheap"])


def test_an_output_that_does_not_decode_is_no_answer():
    cheap, strong = model("cheap", "maybe"), model("strong", "yes")
    result = run_sync(Agent("a", Cascade([cheap, strong], fine), output_type=Literal["yes", "no"]), "go")
    assert (result.unwrap(), result.degraded) == ("yes", False)


@pytest.mark.parametrize("stop", ["refusal", "length"])
def test_a_model_that_declined_or_broke_off_gave_no_answer(stop):
    flow = Agent("a", Cascade([model("cheap", Reply("good", stop=stop)), model("strong", "good")], fine))
    assert run_sync(flow, "go").unwrap() == "good"


def test_a_correction_begins_above_the_tier_that_was_refused():
    """`verify` said no to what the gate let through: a stronger model corrects it, in the conversation."""
    cheap, strong = model("cheap", "poor"), model("strong", "good")
    result = run_sync(Agent("a", Cascade([cheap, strong], fine), verify=[is_good]), "go")
    assert (result.unwrap(), len(cheap.calls), len(strong.calls)) == ("good", 1, 1)
    assert "poor is not good" in strong.calls[0].messages[-1].text


def test_the_top_tiers_answer_is_kept_and_degraded():
    result = run_sync(Agent("a", Cascade([model("cheap", "poor"), model("strong", "fair")], is_good)), "go")
    assert (result.unwrap(), result.degraded) == ("fair", True)
    assert result.skipped[0].reason == "the top tier did not pass: fair is not good"


def test_a_top_tier_that_fails_leaves_the_answer_from_below():
    strong = model("strong", Overloaded("busy", retryable=False))
    result = run_sync(Agent("a", Cascade([model("cheap", "poor"), strong], is_good)), "go")
    assert (result.unwrap(), result.degraded) == ("poor", True)
    failed = [e.data["failed"] for e in result.events if isinstance(e, Decision) and e.about == "cascade"]
    assert failed == ["", "Overloaded"]


def test_an_error_of_the_cheap_model_is_no_failed_check():
    cheap, strong = model("cheap", Overloaded("busy", retryable=False)), model("strong")
    assert isinstance(run_sync(Agent("a", Cascade([cheap, strong], fine)), "go").error, Overloaded)
    assert strong.calls == []


def test_a_tier_that_does_not_fit_the_budget_leaves_the_answer_from_below():
    strong = model("strong", "good", price=(1_000_000, 0))
    agent = Agent("a", Cascade([model("cheap", "poor"), strong], is_good))
    result = run_sync(agent, "go", budget=Budget(usd="0.50"))
    assert (result.output, result.stop_reason, strong.calls) == ("poor", "budget", [])


def test_an_unpriced_tier_is_refused_before_anything_is_spent():
    """Also the one that might never be asked."""
    cheap, strong = model("cheap", "good"), model("strong", price=None)
    with pytest.raises(ConfigError, match="strong"):
        run_sync(Agent("a", Cascade([cheap, strong], is_good)), "go", budget=Budget(usd="1"))
    assert cheap.calls == []


def test_a_gate_that_raises_is_named():
    def gate(text: str) -> None:
        raise ValueError("no number")

    error = run_sync(Agent("a", Cascade([model("cheap", "x"), model("strong")], gate)), "go").error
    assert isinstance(error, ConfigError)
    assert "the gate gate raised ValueError: no number" in str(error)


def test_replacements_reach_the_tiers():
    """By the model's string; a replacement by the agent's name stands for all tiers."""
    agent = Agent("a", Cascade(["anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"], is_good))
    strong = model("strong", "good")
    models = {"anthropic:claude-haiku-4-5": model("cheap", "poor"), "anthropic:claude-sonnet-4-6": strong}
    assert run_sync(agent, "go", models=models).unwrap() == "good"
    assert run_sync(agent, "go", models={"a": model("any", "poor", "good")}).unwrap() == "good"


def test_offline_each_tier_is_billed_at_its_own_list_price():
    agent = Agent(
        "a",
        Cascade(["anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"], lambda text: "never"),
        offline=lambda request: "an answer",
    )
    lines = run_sync(agent, "go", models="offline").bill.lines
    assert [line.model for line in lines] == ["anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"]
    assert lines[1].cost == 3 * lines[0].cost


async def test_a_resumed_run_pays_for_no_tier_again(tmp_path):
    """Killed between the tiers: the strong one is all that is left to ask."""
    cheap, strong = model("cheap", "poor"), model("strong", "good")

    def gate_of_death(text: str) -> str | None:
        raise ConfigError("the process dies here")

    async with open_store(str(tmp_path / "runs.db")) as store:
        dying = Agent("a", Cascade([cheap, strong], gate_of_death))
        assert (await run(dying, "go", store=store, run_id="r")).error is not None
        mended = dying.replace(model=Cascade([cheap, strong], is_good))
        result = await run(mended, "go", store=store, run_id="r")
    assert (result.unwrap(), len(cheap.calls), len(strong.calls)) == ("good", 1, 1)
    assert [line.purpose for line in result.bill.lines] == ["tier:0", "tier:1"]


def test_a_tier_that_would_cost_more_than_it_saves_is_left_out_and_said_to_be():
    """Dearer than the top: there is nothing to save, whatever it settles."""
    dear, strong = model("dear", price=(20_000, 0)), model("strong", "good")
    result = run_sync(Agent("a", Cascade([dear, strong], is_good)), "go")
    assert (result.unwrap(), asked(result)) == ("good", [("strong", "tier:1")])
    (left_out,) = [e.data for e in result.events if isinstance(e, Decision) and e.about == "tiers_left_out"]
    assert (left_out["tiers"], result.degraded) == ([0], False)
    assert "! cascade: tier 0 left out, as more would be spent than saved" in tree(result.events)


def test_a_gate_that_refuses_nearly_all_leaves_its_tier_out_after_twenty_turns():
    """Over all rows of a map: the cheap one saves nothing, and is only asked from time to time."""
    cheap = ScriptedModel(lambda request: "poor", name="cheap", price=CENT)
    strong = ScriptedModel(lambda request: "good", name="strong", price=(100_000, 0))
    agent = Agent("a", Cascade([cheap, strong], is_good))

    async def main():
        rows = [(n, "go") for n in range(100)]
        return [result.unwrap() async for _, result in run_many(agent, rows, concurrency=1)]

    assert asyncio.run(main()) == ["good"] * 100
    assert len(cheap.calls) == 20 + 80 // 20


def test_an_unpriced_tier_is_never_left_out():
    cheap, strong = model("cheap", "good", price=None), model("strong", "good")
    assert asked(run_sync(Agent("a", Cascade([cheap, strong], is_good)), "go")) == [("cheap", "tier:0")]


async def test_a_resumed_run_leaves_out_what_the_first_did(tmp_path):
    """The choice is recorded: what the process learned in the meantime changes nothing."""
    first = True

    def fragile(output: str) -> str | None:
        if first:
            raise RuntimeError("killed")
        return None

    dear, strong = model("dear", "good", price=(20_000, 0)), model("strong", "good")
    agent = Agent("a", Cascade([dear, strong], lambda output: None), verify=[fragile])
    async with open_store(tmp_path / "s.db") as store:
        await run(agent, "go", store=store, run_id="r")
        first = False
        cheaper = ScriptedModel(["good"], name="dear", price=(1, 0))
        again = agent.replace(model=Cascade([cheaper, strong], lambda output: None))
        result = await run(again, "go", store=store, run_id="r")
    assert (result.unwrap(), len(strong.calls), len(cheaper.calls)) == ("good", 1, 0)
