"""Faults: each kind is what its name says, comes from the seed, and is billed in the provider's own books."""

import statistics
from decimal import Decimal

import pytest

from outlay import Agent, Budget, run_sync
from outlay.errors import BadResponse, ConfigError, ModelTimeout, Overloaded, RateLimited, ServerError
from outlay.events import CallFailed, CallFinished, Overrun
from outlay.sim.distributions import Fixed, LogNormal, Observed, Uniform
from outlay.sim.faults import HOSTILE_RETRY_AFTER, KINDS
from outlay.testing import Faults, ScriptedModel, virtual_time


def played(faults, text="done and dusted", **options):
    """One agent behind these faults: its result, the provider's books, the virtual seconds."""
    model = faults.wrap(ScriptedModel(lambda request: text, price=(1, 5)))
    with virtual_time() as clock:
        result = run_sync(Agent("a", model, max_output_tokens=50), "x", **options)
    return result, model.books, clock.elapsed


ENDS = {
    "rate_limited": RateLimited,
    "overloaded": Overloaded,
    "server_error": ServerError,
    "no_connection": ModelTimeout,
    "read_timeout": ModelTimeout,
    "half_open": ModelTimeout,
    "broken_json": BadResponse,
    "reset": BadResponse,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_the_ledger_is_the_providers_own_count_but_for_what_is_in_doubt(kind, seed):
    """Whatever the line does: total <= billed <= total + in doubt (a call that told no usage makes the total None)."""
    result, books, _ = played(Faults(seed, {kind: 1.0}))
    bill = result.bill
    assert books.exchanges
    assert books.open == []
    if bill.total is not None:
        assert bill.total <= books.billed <= bill.total + bill.in_doubt
    if kind in ENDS:
        assert type(result.error) is ENDS[kind]
        assert len(books.exchanges) == (3 if kind != "rate_limited" else len(books.exchanges))
        assert bill.total == 0
    elif kind == "duplicate_events":
        assert result.output == "done and dusted"
        assert bill.total == books.billed > 0


def test_reset_after_billing_is_in_doubt_three_times():
    """The provider counted each attempt, the client saw an error each time."""
    result, books, _ = played(Faults(1, {"reset": 1.0}))
    assert [event.maybe_billed for event in result.events if isinstance(event, CallFailed)] == [True] * 3
    assert result.bill.total == 0
    assert Decimal(0) < books.billed <= result.bill.in_doubt


@pytest.mark.parametrize("kind", ["rate_limited", "overloaded", "server_error", "no_connection"])
def test_what_never_reached_the_model_is_not_in_doubt(kind):
    result, books, _ = played(Faults(1, {kind: 1.0}))
    assert (books.billed, result.bill.in_doubt) == (0, 0)


def test_wrong_usage_is_unknown_or_an_overrun_never_a_wrong_sum():
    """Left out or no number: the bill has no total. Over the cap: it is billed, and flagged."""
    seen = set()
    for seed in range(12):
        result, books, _ = played(Faults(seed, {"wrong_usage": 1.0}))
        assert result.output == "done and dusted"
        (finished,) = (event for event in result.events if isinstance(event, CallFinished))
        if finished.cost is None:
            assert result.bill.total is None
            assert books.billed > 0
        else:
            assert finished.cost == books.billed
            assert any(isinstance(event, Overrun) for event in result.events)
        seen.add(finished.cost is None)
    assert seen == {True, False}


@pytest.mark.parametrize("header", HOSTILE_RETRY_AFTER, ids=repr)
def test_no_retry_after_makes_a_run_wait_past_its_deadline(header, monkeypatch):
    """Absent, negative, not a number, infinite, a date, an hour: it ends within its seconds."""
    monkeypatch.setattr("outlay.sim.faults.HOSTILE_RETRY_AFTER", (header,))
    result, _, seconds = played(Faults(3, {429: 1.0}), budget=Budget(seconds=30))
    assert isinstance(result.error, RateLimited)
    assert 0 <= seconds <= 30


def test_a_fate_hangs_on_the_seed_and_the_request_and_not_on_the_order():
    faults = Faults(5, 0.5, latency=(0, 9))
    asked = [(f"path {i}", time) for i in range(50) for time in range(2)]
    fates = {what: faults.fate(*what) for what in asked}
    assert {what: Faults(5, 0.5, latency=(0, 9)).fate(*what) for what in reversed(asked)} == fates
    assert {what: Faults(6, 0.5, latency=(0, 9)).fate(*what) for what in asked} != fates


def test_kinds_come_at_their_rates():
    faults = Faults(1, {429: 0.2, "reset": 0.1})
    kinds = [faults.fate(f"{i}").kind for i in range(4_000)]
    assert kinds.count("rate_limited") / 4_000 == pytest.approx(0.2, abs=0.02)
    assert kinds.count("reset") / 4_000 == pytest.approx(0.1, abs=0.02)
    assert set(kinds) == {"rate_limited", "reset", None}


def test_latency_length_and_quality_are_drawn_as_declared():
    """Seconds of the answer, tokens of its usage, and half an answer where it is not good."""
    faults = Faults(2, latency=LogNormal(2, 0.5), length=Uniform(10, 30), quality=0.7)
    fates = [faults.fate(f"{i}") for i in range(2_000)]
    assert statistics.median(fate.latency for fate in fates) == pytest.approx(2, rel=0.05)
    assert {fate.tokens for fate in fates} == set(range(10, 31))
    assert sum(fate.good for fate in fates) / 2_000 == pytest.approx(0.7, abs=0.03)
    result, books, seconds = played(Faults(1, latency=Observed([4.0]), length=Fixed(20), quality=0.0))
    assert (seconds, result.output) == (4.0, "done an")
    assert [exchange.usage.output_tokens for exchange in books.exchanges] == [20]


def test_an_answer_longer_than_its_cap_is_cut_there_and_billed():
    result, books, _ = played(Faults(1, length=500))
    assert type(result.error).__name__ == "OutputTruncated"
    assert result.bill.total == books.billed == Decimal("0.000251")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rates": {"rain": 0.1}},
        {"rates": {418: 0.1}},
        {"rates": 1.5},
        {"rates": {429: -0.1}},
        {"quality": 2},
        {"latency": -1},
        {"length": float("inf")},
    ],
)
def test_what_is_no_schedule_is_refused(wrong):
    with pytest.raises(ConfigError):
        Faults(1, **wrong)
