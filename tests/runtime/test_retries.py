"""Trying again: one layer, each attempt counted and billed (SEMANTICS 3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flows import at_once, cents, dear, of_kind

from outlay import Agent, Budget, RunContext, node, run
from outlay.errors import (
    AuthFailed,
    BadResponse,
    ModelTimeout,
    Overloaded,
    RateLimited,
    Refused,
)
from outlay.events import CallFailed, CallFinished, CallStarted, Decision
from outlay.testing import Reply, ScriptedModel


def agent(*replies: Any, latency: float = 0.0) -> Agent[str]:
    return Agent("a", dear(list(replies), latency=latency), max_output_tokens=200, min_output_tokens=200)


def test_each_attempt_is_recorded_and_the_bill_counts_them() -> None:
    """Two failures and an answer: three attempts under one key, one call with two retries."""
    result = at_once(run(agent(Overloaded("busy", status=529), RateLimited("slow", status=429), cents(1, "fine")), ""))
    assert result.unwrap() == "fine"
    started = of_kind(result, CallStarted)
    assert [e.attempt for e in started] == [1, 2, 3]
    assert len({e.key for e in started}) == 1
    assert [(e.error, e.status, e.maybe_billed) for e in of_kind(result, CallFailed)] == [
        ("Overloaded", 529, False),
        ("RateLimited", 429, False),
    ]
    assert [d.data["attempt"] for d in of_kind(result, Decision) if d.about == "retry"] == [2, 3]
    (line,) = result.bill.lines
    assert (line.calls, line.retries, line.cost) == (1, 2, Decimal("0.01"))


def test_attempts_end_after_three() -> None:
    """One layer retries, three times in all, and the error says so."""
    model = dear([Overloaded("busy")] * 9)
    result = at_once(run(Agent("a", model), ""))
    assert (result.stop_reason, len(model.calls)) == ("error", 3)
    assert isinstance(result.error, Overloaded)
    assert "3 attempts" in str(result.error)
    assert result.error.path == "a"


@pytest.mark.parametrize("error", [AuthFailed("key"), Refused("no"), ModelTimeout("late", retryable=False)])
def test_what_cannot_help_is_tried_once(error: Exception) -> None:
    """No retry where the answer would be the same."""
    result = at_once(run(agent(error), ""))
    assert len(of_kind(result, CallStarted)) == 1


@pytest.mark.parametrize("error", [ModelTimeout("late"), BadResponse("cut")])
def test_an_attempt_that_may_have_been_billed_stays_in_doubt(error: Exception) -> None:
    """It keeps its reservation outside the total, and counts as spent against the budget."""
    result = at_once(run(agent(error, cents(1, "fine")), "", budget=Budget(usd="0.05")))
    assert (result.bill.total, result.bill.in_doubt) == (Decimal("0.01"), Decimal("0.02"))
    stopped = at_once(run(agent(error, "never"), "", budget=Budget(usd="0.03")))
    assert stopped.stop_reason == "budget"
    assert (stopped.bill.total, stopped.bill.in_doubt) == (0, Decimal("0.02"))


def test_an_attempt_that_was_refused_gives_its_reservation_back() -> None:
    """A 429 costs nothing: the same money serves the next attempt."""
    result = at_once(run(agent(RateLimited("slow"), cents(2, "fine")), "", budget=Budget(usd="0.02")))
    assert (result.output, result.bill.in_doubt) == ("fine", 0)


def test_usage_that_was_not_reported_is_unknown_and_held() -> None:
    """Unknown is not zero: no total, and the reservation counts as spent."""
    from outlay.values.request import ModelResponse

    class Silent(ScriptedModel):
        async def send(self, *args: Any, **options: Any) -> ModelResponse:
            found = await super().send(*args, **options)
            return ModelResponse(found.message, found.stop, None, model=found.model)

    silent = Silent(["x", "y"], price=(0, 100))
    flow = Agent("a", silent, max_output_tokens=200, min_output_tokens=200)

    @node
    async def twice(ctx: RunContext, _: str) -> None:
        await ctx.run(flow, "")
        await ctx.run(flow, "")

    result = at_once(run(twice, "", budget=Budget(usd="0.03")))
    assert (result.stop_reason, result.bill.total) == ("budget", None)
    assert (result.bill.at_least, result.bill.in_doubt) == (0, Decimal("0.02"))
    assert len(of_kind(result, CallFinished)) == 1


def test_retry_after_is_waited_for() -> None:
    """The provider's word counts, in seconds, and nothing is held meanwhile."""
    result = at_once(run(agent(RateLimited("slow", retry_after=30), "fine"), ""))
    assert result.unwrap() == "fine"
    assert 30 <= result.seconds <= 30.5


@pytest.mark.parametrize("asked", [-5.0, float("nan"), float("inf"), None])
def test_a_hostile_retry_after_changes_nothing(asked: float | None) -> None:
    """Nonsense is ignored; the run goes on within a second."""
    result = at_once(run(agent(RateLimited("slow", retry_after=asked), "fine"), ""))
    assert result.unwrap() == "fine"
    assert result.seconds < 1


def test_a_provider_that_asks_for_ages_is_given_up_on() -> None:
    """A billion seconds is not waited for."""
    result = at_once(run(agent(RateLimited("slow", retry_after=1e9), "never"), ""))
    assert isinstance(result.error, RateLimited)
    assert result.seconds == 0


def test_a_retry_is_not_begun_that_would_miss_the_deadline() -> None:
    """The error comes now and not at the deadline."""
    result = at_once(run(agent(RateLimited("slow", retry_after=30), "never"), "", budget=Budget(seconds=20)))
    assert (result.stop_reason, result.seconds) == ("error", 0)


@pytest.mark.parametrize(
    ("hours", "fallback", "output", "seconds"),
    [(2.0, False, "fine", 3600), (0.5, False, None, 0), (None, False, None, 0), (2.0, True, "spare", 0)],
)
def test_an_hour_of_rest_is_obeyed_within_the_deadline(
    hours: float | None, fallback: bool, output: str | None, seconds: float
) -> None:
    """Not where it would miss it, nor where nobody said how long it may take, nor while another model could answer."""
    spare = [dear([cents(1, "spare")], name="spare")] if fallback else []
    flow = agent(RateLimited("slow", retry_after=3600), cents(1, "fine")).replace(fallback=spare)
    budget = None if hours is None else Budget(seconds=hours * 3600)
    result = at_once(run(flow, "", budget=budget))
    assert (result.output, seconds <= result.seconds < seconds + 1) == (output, True)


def test_equal_calls_do_not_retry_at_the_same_moment() -> None:
    """Full jitter: branches that failed together come back apart, and the same way for the same seed."""
    from outlay.patterns import FanOut

    def delays(seed: int) -> list[float]:
        down: dict[str, int] = {}

        def answer(request: Any) -> Any:
            down[request.text] = down.get(request.text, 0) + 1
            return Overloaded("busy") if down[request.text] == 1 else "fine"

        result = at_once(run(FanOut(Agent("a", ScriptedModel(answer))), list("abcdefgh"), seed=seed))
        return [d.data["in_seconds"] for d in of_kind(result, Decision) if d.about == "retry"]

    assert len(set(delays(1))) == 8
    assert delays(1) == delays(1) != delays(2)


def test_an_outage_is_not_amplified() -> None:
    """Retries are a tenth of a provider's calls; those that get none say so."""
    from outlay.patterns import FanOut

    model = ScriptedModel(lambda request: Overloaded("busy"))
    result = at_once(run(FanOut(Agent("a", model)), [str(i) for i in range(300)]))
    assert len(model.calls) == 330
    assert "not tried again" in str(result.error)


def test_a_provider_that_asks_to_wait_is_asked_again_by_all() -> None:
    """A 429 is no outage: waiting as it says amplifies nothing."""
    from outlay.patterns import FanOut

    asked: set[str] = set()

    def answer(request: Any) -> Any:
        if request.text in asked:
            return "fine"
        asked.add(request.text)
        return RateLimited("slow", retry_after=5)

    result = at_once(run(FanOut(Agent("a", ScriptedModel(answer))), [str(i) for i in range(100)]))
    assert result.unwrap() == ["fine"] * 100


def test_a_retry_does_not_shift_what_user_code_draws() -> None:
    """A resumed run has no retries to repeat, and must draw the same."""

    def draws(*replies: Any) -> list[float]:
        @node
        async def flow(ctx: RunContext, _: str) -> list[float]:
            first = ctx.random()
            await ctx.run(agent(*replies), "")
            return [first, ctx.random()]

        return at_once(run(flow, "", seed=7)).unwrap()

    assert draws(Overloaded("busy"), Overloaded("busy"), "fine") == draws("fine")


def test_a_refused_output_is_billed_as_the_turn_it_was() -> None:
    """Corrections are calls, not retries."""

    def short(text: str) -> str | None:
        return "too long" if len(text) > 3 else None

    flow = Agent("a", dear([cents(1, "long"), cents(1, "ok")]), verify=[short])
    result = at_once(run(flow, ""))
    (line,) = result.bill.lines
    assert (result.output, line.calls, line.retries, line.cost) == ("ok", 2, 0, Decimal("0.02"))


def test_a_call_that_asks_for_tools_is_no_failure() -> None:
    """Turns have keys of their own."""
    flow = Agent("a", ScriptedModel([Reply(tool_calls=[("f", {})]), "done"]), tools=[_tool])
    started = of_kind(at_once(run(flow, "")), CallStarted)
    assert len({e.key for e in started}) == 2


def _tool() -> str:
    """Nothing."""
    return ""


_tool.__name__ = "f"
