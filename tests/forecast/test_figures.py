"""Figures of a forecast: what may be said of runs that succeed or do not."""

from __future__ import annotations

from typing import Any

import pytest

from outlay import Agent
from outlay.forecast import Assumptions, Expect, forecast
from outlay.forecast.figures import Range, Rate, Success
from outlay.patterns import FanOut, Pipeline
from outlay.testing import ScriptedModel

MODEL = ScriptedModel([], name="small", price=(1, 5))


def test_the_interval_of_a_share_is_wilsons():
    assert (Rate.of(0, 10).low, Rate.of(10, 10).high) == (0, pytest.approx(1))
    rate = Rate.of(8, 10)
    assert (rate.share, round(rate.low, 3), round(rate.high, 3)) == (0.8, 0.49, 0.943)


@pytest.mark.parametrize(
    ("share", "p5", "p50", "p95"), [(0.0, 0, 0, 0), (0.5, 0.42, 0.5, 0.58), (0.97, 0.94, 0.97, 0.99), (1.0, 1, 1, 1)]
)
def test_the_percentiles_of_success_are_a_hundred_runs(share: float, p5: float, p50: float, p95: float):
    """Of a binomial of a hundred: one run succeeds or does not, and has no percentile between."""
    found = Success.among(1_000 * share, 1_000)
    assert (found.share, found.p5, found.p50, found.p95) == (share, p5, p50, p95)


def test_a_range_counts_every_value():
    found = Range.of([float(i) for i in range(1, 101)])
    assert (found.p5, found.p50, found.p95, sum(found.bins)) == (5, 50, 95, 100)


def agent(name: str) -> Agent[Any]:
    return Agent(name, MODEL, max_output_tokens=20)


def test_each_agent_succeeds_as_often_as_it_answers_and_is_right_as_declared():
    """`bad` fails with all three attempts in 0.9^3 of its runs; the fan-out goes on without it, and is not clean."""
    given = Assumptions(
        everyone=Expect(failure=0), agents={"bad": Expect(failure=0.9, right=0.8), "good": Expect(right=0.9)}
    )
    found = forecast(FanOut([agent("good"), agent("bad")]), n=2_000, assumptions=given, workers=1)
    parts = {one.name: one for one in found.agents}
    assert parts["good"].success is not None
    assert parts["bad"].success is not None
    assert (parts["good"].success.share, parts["good"].right) == (1.0, 0.9)
    assert parts["bad"].success.share == pytest.approx(1 - 0.9**3, abs=0.03)
    assert found.success.share == pytest.approx(parts["bad"].success.share)
    assert found.right is not None
    assert found.right.share == pytest.approx(found.success.share * 0.72)
    shown = found.render()
    assert "and right" in shown
    assert "90.0 %" in shown


def test_an_agent_is_asked_only_where_it_is_reached():
    given = Assumptions(everyone=Expect(failure=0), agents={"bad": Expect(failure=0.9)})
    found = forecast(Pipeline(agent("bad"), agent("good")), n=500, assumptions=given, workers=1)
    parts = {one.name: one for one in found.agents}
    assert parts["good"].success is not None
    assert parts["good"].success.share == 1.0
    assert parts["good"].calls < 0.4
    assert found.right is None
