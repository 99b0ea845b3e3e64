"""A forecast of an agent that shortens its conversation: the real thing is simulated, and no formula pretends."""

from __future__ import annotations

import json
import statistics
from typing import Any

from outlay import Agent, Budget, Compaction, run_sync
from outlay.agents.checkpoint import asks_for_summary, extract
from outlay.forecast import Assumptions, closed_form
from outlay.forecast.assumptions import Beliefs
from outlay.forecast.calibration import fit_runs
from outlay.forecast.closed import NotApplicable
from outlay.forecast.simulation import Plan, simulate
from outlay.testing import Reply, ScriptedModel

MODEL = "anthropic:claude-sonnet-4-6"


def look(page: int) -> str:
    """Read a page."""
    return "line of a page. " * 100


def reading(request: Any) -> Any:
    """Reads thirty pages, going by the last call that it sees; it cannot write a summary."""
    assert not asks_for_summary(request)
    pages = [json.loads(call.arguments)["page"] for message in request.messages for call in message.tool_calls]
    page = pages[-1] + 1 if pages else 1
    return Reply(tool_calls=[("look", {"page": page})]) if page <= 30 else "done"


def reader(compaction: Compaction | None) -> Agent[str]:
    return Agent("reader", MODEL, tools=[look], max_turns=40, offline=reading, compaction=compaction)


def dollars(compaction: Compaction | None) -> float:
    given = Assumptions()
    outcomes = simulate(Plan(reader(compaction), ["Find it"], 3, assumptions=given), Beliefs(given), workers=1)
    assert all(outcome.reason == "completed" for outcome in outcomes)
    return statistics.fmean(outcome.dollars for outcome in outcomes)


def test_the_simulation_shortens_as_the_run_would() -> None:
    """Summaries have a stand-in of their own there, too, and are paid."""
    whole = dollars(None)
    assert dollars(Compaction()) < whole / 2
    assert dollars(Compaction(clear=False, expected_turns=40)) < 0.8 * whole


def test_the_closed_form_does_not_pretend() -> None:
    """Unless there is nothing to shorten."""
    found = closed_form(reader(Compaction()), "Find it", Assumptions())
    assert isinstance(found, NotApplicable)
    assert "may be shortened" in found.reason
    answering = Agent("a", MODEL, compaction=Compaction())
    assert not isinstance(closed_form(answering, "Find it", Assumptions()), NotApplicable)


def test_summaries_are_no_turns_of_the_agent() -> None:
    """What is fitted from a run is what the agent said: 25 calls of tools and one answer."""
    taken: list[int] = []

    def answer(request: Any) -> Any:
        if asks_for_summary(request):
            return extract(request)
        taken.append(1)
        return Reply(tool_calls=[("look", {"page": 1})]) if len(taken) <= 25 else "done"

    short = Compaction(clear=False, expected_turns=60)
    agent = Agent("reader", ScriptedModel(answer, price=(3, 15)), tools=[look], max_turns=40, compaction=short)
    result = run_sync(agent, "Find it", budget=Budget(usd=9))
    assert result.bill.by("purpose")["compaction"].calls > 0
    fitted = fit_runs(result.events)
    assert fitted.agents["reader"].events == 26
