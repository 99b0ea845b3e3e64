"""Cascade of nodes: the cheapest first, a stronger one where a check says no."""

from decimal import Decimal

import pytest

from outlay import Agent, Budget, RunContext, open_store, run, run_sync
from outlay.errors import ConfigError, OutputInvalid, Overloaded
from outlay.events import Decision
from outlay.patterns import Cascade, Pipeline
from outlay.testing import ScriptedModel

CENT = (10_000, 0)  # one input token is a cent


def agent(name, *replies, price=CENT, **options):
    return Agent(name, ScriptedModel(list(replies), name=name, price=price), **options)


def is_good(text: str) -> str | None:
    return None if text.startswith("good") else f"{text} is not good"


def decisions(result):
    return [event.data for event in result.events if isinstance(event, Decision) and event.about == "cascade"]


def test_the_first_output_that_passes_is_the_output():
    """The strong tier is never asked."""
    strong = agent("strong", "good too")
    result = run_sync(Cascade([agent("cheap", "good"), strong], is_good), "go")
    assert (result.unwrap(), result.degraded, strong.model.calls) == ("good", False, [])
    assert result.facts["cascade"] == {"tier": 0, "node": "cheap", "passed": True, "escalations": 0}


def test_a_failed_check_goes_to_the_next_tier_with_the_original_input():
    strong = agent("strong", "good")
    result = run_sync(Cascade([agent("cheap", "poor"), strong], is_good), "go")
    assert (result.unwrap(), result.degraded) == ("good", False)
    assert strong.model.calls[0].text == "go"
    assert [(d["who"], d["tier"], d["passed"], d["problem"]) for d in decisions(result)] == [
        ("cheap", 0, False, "poor is not good"),
        ("strong", 1, True, ""),
    ]


def test_what_each_tier_cost_is_on_the_bill():
    """By path, and by purpose."""
    result = run_sync(Cascade([agent("cheap", "poor"), agent("strong", "good")], is_good), "go")
    assert [(line.path, line.purpose) for line in result.bill.lines] == [
        ("cascade/cheap[tier-0]", "tier:0"),
        ("cascade/strong[tier-1]", "tier:1"),
    ]
    assert {purpose: line.cost for purpose, line in result.bill.by("purpose").items()} == {
        "tier:0": Decimal("0.01"),
        "tier:1": Decimal("0.01"),
    }


def test_a_tier_is_asked_as_often_as_attempts_says():
    cheap = agent("cheap", "poor", "good")
    result = run_sync(Cascade([cheap, agent("strong")], is_good, attempts=2), "go")
    assert (result.unwrap(), len(cheap.model.calls)) == ("good", 2)
    assert [line.path for line in result.bill.lines] == ["cascade/cheap[tier-0]", "cascade/cheap[tier-0.2]"]


def test_what_the_top_tier_gave_is_kept_and_degraded_where_it_does_not_pass():
    """It was paid for, and there is no better one."""
    result = run_sync(Cascade([agent("cheap", "poor"), agent("strong", "fair")], is_good), "go")
    assert (result.unwrap(), result.degraded, result.stop_reason) == ("fair", True, "completed")
    assert "the top tier did not pass: fair is not good" in result.skipped[0].reason
    assert result.facts["cascade"]["passed"] is False


def test_where_the_top_tier_fails_the_answer_from_below_stands():
    down = agent("strong", Overloaded("busy", retryable=False))
    result = run_sync(Cascade([agent("cheap", "poor"), down], is_good), "go")
    assert (result.unwrap(), result.degraded) == ("poor", True)
    assert isinstance(result.skipped[0].error, Overloaded)
    assert decisions(result)[-1]["failed"] == "Overloaded"


def test_an_error_of_the_first_tier_is_no_failed_check():
    """Another model after an error is a fallback, not a cascade."""
    strong = agent("strong", "good")
    result = run_sync(Cascade([agent("cheap", Overloaded("busy", retryable=False)), strong], is_good), "go")
    assert isinstance(result.error, Overloaded)
    assert strong.model.calls == []


def test_a_tier_without_a_usable_output_did_not_pass():
    """An output that its own checks refused, and a tier that used up its turns."""
    never = agent("cheap", "poor", verify=[is_good], output_retries=0)
    assert run_sync(Cascade([never, agent("strong", "good")], is_good), "go").unwrap() == "good"

    lost = agent("cheap", "poor", verify=[is_good], max_turns=1)
    result = run_sync(Cascade([lost, agent("strong", "good")], is_good), "go")
    assert (result.unwrap(), result.stop_reason) == ("good", "turn_limit")  # as for every node that answers a stop


def test_where_no_tier_gives_anything_its_error_is_raised():
    none = [agent(name, "poor", verify=[is_good], output_retries=0) for name in ("cheap", "strong")]
    assert isinstance(run_sync(Cascade(none, is_good), "go").error, OutputInvalid)


def test_the_budget_is_checked_at_each_tiers_price():
    """The cheap tier fits, the strong one does not: its answer is the best there is, and the reason is the budget."""
    strong = agent("strong", "good", price=(1_000_000, 0))
    flow = Cascade([agent("cheap", "poor"), strong], is_good)
    result = run_sync(flow, "go", budget=Budget(usd="0.50"))
    assert (result.output, result.stop_reason, strong.model.calls) == ("poor", "budget", [])
    assert result.bill.total == Decimal("0.01")


def test_a_gate_that_raises_is_named_with_what_to_do():
    def gate(text: str) -> None:
        raise KeyError("confidence")

    error = run_sync(Cascade([agent("cheap", "x"), agent("strong", "y")], gate), "go").error
    assert isinstance(error, ConfigError)
    assert "the gate gate raised KeyError" in str(error)
    assert "by hand on what tier 0 gave" in error.hint


def test_a_gate_gets_the_context_where_it_asks_for_it():
    def gate(ctx: RunContext, text: str) -> str | None:
        return None if text == ctx.input else "not an echo"

    assert run_sync(Cascade([agent("cheap", "no"), agent("strong", "go")], gate), "go").unwrap() == "go"


def test_all_gates_of_a_list_must_pass():
    def short(text: str) -> str | None:
        return None if len(text) < 6 else "too long"

    flow = Cascade([agent("cheap", "good but long"), agent("strong", "good")], [is_good, short])
    assert run_sync(flow, "go").unwrap() == "good"


@pytest.mark.parametrize("wrong", [lambda: Cascade([], is_good), lambda: Cascade([agent("a")], is_good, attempts=0)])
def test_a_cascade_of_nothing_is_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()


def test_a_gate_is_a_function():
    with pytest.raises(ConfigError, match="is no gate"):
        Cascade([agent("a"), agent("b")], "strict")


async def test_a_resumed_run_goes_the_way_of_the_first(tmp_path):
    """The gate has changed its mind since: what was accepted stays accepted, and nothing is paid for again."""
    moods = iter([None, "no longer good enough"])

    def moody(text: str) -> str | None:
        return next(moods)

    cheap, strong = agent("cheap", "one"), agent("strong", "two")
    last = iter([RuntimeError("the process dies"), None])

    async def after(ctx: RunContext, text: str) -> str:
        if (error := next(last)) is not None:
            raise error
        return text

    flow = Pipeline(Cascade([cheap, strong], moody), after)
    async with open_store(str(tmp_path / "runs.db")) as store:
        assert isinstance((await run(flow, "go", store=store, run_id="r")).error, RuntimeError)
        result = await run(flow, "go", store=store, run_id="r")
    assert (result.unwrap(), len(cheap.model.calls), strong.model.calls) == ("one", 1, [])
