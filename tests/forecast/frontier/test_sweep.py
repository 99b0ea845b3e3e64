"""The budget sweep: limits in force in every run, beside the flow that knows nothing of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent
from outlay.errors import ConfigError
from outlay.forecast import Assumptions, Expect
from outlay.forecast.frontier import sweep
from outlay.forecast.frontier.sweep import is_over
from outlay.forecast.tally import Outcome
from outlay.patterns import FanOut, Pipeline, Refine
from outlay.testing import ScriptedModel

MODEL = ScriptedModel([], name="small", price=(1, 5))


def agent(name: str) -> Agent[Any]:
    return Agent(name, MODEL, instructions="Do as you are told.", max_output_tokens=400)


def fine(answer: str) -> None:
    """A check that a simulation answers for."""


FLOW = Pipeline(Refine(agent("a"), fine, max_rounds=3), FanOut([agent("b"), agent("c")]), agent("d"))


def test_no_run_is_over_its_limit_and_blind_ones_are():
    """100, 75, 50, 25, 10 % of the P95 of dollars, then of seconds."""
    found = sweep(FLOW, ["x" * 80], n=60, workers=1)
    assert [step.share for step in found.steps] == [1.0, 0.75, 0.5, 0.25, 0.1] * 2
    assert [step.unit for step in found.steps] == ["dollars"] * 5 + ["seconds"] * 5
    assert [step.overruns for step in found.steps] == [0] * 10
    for steps in (found.steps[:5], found.steps[5:]):
        over = [step.blind_overruns for step in steps]
        assert over == sorted(over)
        assert over[-1] == 60
        assert steps[-1].blind_success.share == 0
        successes = [step.success.share for step in steps]
        assert successes == sorted(successes, reverse=True)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.05, 1.2), st.integers(0, 5), st.floats(0, 0.3))
def test_it_never_overruns_whatever_the_limit_the_seed_and_the_failures(share: float, seed: int, failure: float):
    given = Assumptions(everyone=Expect(failure=failure))
    found = sweep(FLOW, ["x" * 80], n=15, seed=seed, assumptions=given, shares=[share], workers=1)
    assert [step.overruns for step in found.steps] == [0, 0]


def test_an_overrun_is_read_off_what_the_run_did():
    run = Outcome(1.0, 10.0, 1, "completed", True, 0, (), ())
    assert is_over(run, "dollars", 0.9)
    assert not is_over(run, "dollars", 1.0)
    assert is_over(run, "seconds", 9.9)
    assert is_over(Outcome(0.1, 1, 1, "completed", True, 0, (), (), overruns=1), "dollars", 1.0)


def test_a_flow_without_a_price_has_no_budget_to_share():
    with pytest.raises(ConfigError, match="without a price"):
        sweep(Agent("a", ScriptedModel([], name="own")), ["x"], n=5, workers=1)


def test_it_is_shown_beside_the_blind_flow():
    text = sweep(FLOW, ["x"], n=10, workers=1).render()
    assert text.startswith("budget sweep of pipeline · 10 runs at each limit")
    assert "blind: success" in text
    assert text.count("%") >= 30
