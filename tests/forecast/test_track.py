"""How past forecasts did: kept in the store, held against the runs that came after them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from outlay import Agent
from outlay.analysis.runs import RunSummary
from outlay.forecast import forecast
from outlay.forecast.track import MOST_KEPT, Kept, earlier, held, keep, kept, said_of
from outlay.stores.memory import MemoryStore
from outlay.testing import ScriptedModel


def made(time: float, *, flow: str = "desk", lane: str = "live", scale: float = 1.0) -> Kept:
    three = (1 * scale, 2 * scale, 4 * scale)
    return Kept(flow=flow, time=time, lane=lane, runs=100, dollars=three, seconds=three)


def run(started: float, cost: float | None, *, outcome: str = "completed", lane: str = "live") -> RunSummary:
    known = None if cost is None else Decimal(str(cost))
    return RunSummary(f"r{started}", "desk", started, outcome, cost or 1.0, known, known or Decimal(0), 1, lane=lane)


def test_runs_are_held_against_the_last_forecast_before_them():
    """Five runs after the first forecast, four after the second, which expected ten times as much."""
    forecasts = [made(100), made(200, scale=10)]
    runs = [run(101 + i, cost) for i, cost in enumerate((0.5, 1, 2, 4, 8))]
    runs += [run(201 + i, cost) for i, cost in enumerate((10, 20, 20, 40))]
    past = held(forecasts, runs)
    assert past is not None
    assert past.dollars is not None
    assert (past.forecasts, past.dollars.runs) == (2, 9)
    assert past.dollars.under_p95.share == pytest.approx(8 / 9)
    assert past.dollars.within.share == pytest.approx(7 / 9)
    assert past.dollars.p50_bias == 0


@pytest.mark.parametrize(
    "other", [run(50, 2), run(150, 2, outcome="error"), run(150, 2, outcome="budget"), run(150, 2, lane="offline")]
)
def test_runs_before_it_of_another_lane_or_not_completed_do_not_count(other: RunSummary):
    assert held([made(100)], [other]) is None


def test_seconds_of_runs_on_stand_ins_are_held_against_nothing():
    past = held([made(100, lane="offline")], [run(150, 2, lane="offline")])
    assert past is not None
    assert (past.dollars is not None, past.seconds) == (True, None)


def test_a_run_of_which_the_cost_is_unknown_counts_for_its_seconds():
    past = held([made(100)], [run(150, None)])
    assert past is not None
    assert past.dollars is None
    assert past.seconds is not None


async def test_forecasts_are_kept_by_flow_and_the_oldest_are_forgotten():
    store = MemoryStore()
    for i in range(MOST_KEPT + 3):
        await keep(store, made(float(i)))
    await keep(store, made(1.0, flow="other"))
    found = await earlier(store, "desk")
    assert [one.time for one in found] == [float(i) for i in range(3, MOST_KEPT + 3)]
    assert await earlier(store, "other") == [made(1.0, flow="other")]


def test_a_forecast_without_a_price_has_no_dollars_to_be_right_about():
    found = forecast(Agent("a", ScriptedModel([], name="own")), ["x"], n=5, workers=1)
    assert kept(found, "live", 1.0).dollars is None


def test_it_says_how_they_did():
    past = held([made(100)], [run(150, 2), run(151, 8)])
    assert past is not None
    (dollars, seconds) = said_of(past)
    assert dollars == (
        "past forecasts of dollars: of 2 runs since, 50.0 % (9.5 % to 90.5 %) stayed under the P95, "
        "50.0 % between P5 and P95; P50 off by -75.0 %"
    )
    assert seconds.startswith("past forecasts of seconds")
