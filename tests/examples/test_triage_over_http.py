"""The triage flow over real sockets: the adapters, the transport and the budget against the emulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay import Budget, Result, run_many
from outlay.analysis.bill import Bill
from outlay.events import CallFinished
from outlay.testing import Emulator, stand_ins

MESSAGES = Path(__file__).parents[2] / "examples" / "triage" / "messages.jsonl"
ROWS = [(row["id"], row["text"]) for row in map(json.loads, MESSAGES.read_text().splitlines())]


async def answers(flow: Any, **options: Any) -> dict[str, Result[Any]]:
    return {id: result async for id, result in run_many(flow, ROWS, **options)}


@pytest.fixture
def triage() -> Any:
    import flow

    return flow.triage


def over_http(triage: Any, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[dict[str, Result[Any]], Emulator]:
    with Emulator(behaviour=stand_ins(triage)) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        return asyncio.run(answers(triage, **options)), emulator


def test_the_answers_over_http_are_those_of_the_stand_ins(triage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that says what the stand-ins say leads to the same answers, each row with one or with a reason."""
    live, _ = over_http(triage, monkeypatch)
    offline = asyncio.run(answers(triage, models="offline"))
    assert {id: result.output for id, result in live.items()} == {id: result.output for id, result in offline.items()}
    assert all(result.output.to == "customer" or result.output.reason for result in live.values())


def test_the_bill_is_the_providers_own_count(triage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, agents, events and the provider agree: tokens to the token, money to the last digit."""
    live, emulator = over_http(triage, monkeypatch)
    bill = Bill.merge([result.bill for result in live.values()])
    assert bill.total == sum((result.bill.total for result in live.values()), Decimal(0))
    assert bill.total == sum((line.cost for line in bill.by("agent").values()), Decimal(0))
    assert bill.total == sum(costs(live), Decimal(0))
    billed = emulator.billed()
    assert sum(line.input_tokens for line in bill.lines) == sum(usage.input_tokens for usage in billed.values())
    assert sum(line.output_tokens for line in bill.lines) == sum(usage.output_tokens for usage in billed.values())


def test_a_budget_holds_over_http_and_finished_rows_are_kept(triage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """$0.05 for all rows together: at most that is spent, by our count and by the provider's."""
    live, _ = over_http(triage, monkeypatch, budget=Budget(usd="0.05"), on_alert=lambda alert: None)
    bill = Bill.merge([result.bill for result in live.values()])
    assert bill.total is not None
    assert Decimal("0.02") < bill.total <= Decimal("0.05")
    done = [result for result in live.values() if result.stop_reason == "completed"]
    assert 5 < len(done) < len(ROWS)
    assert {result.stop_reason for result in live.values()} <= {"completed", "budget"}


def costs(results: Mapping[str, Result[Any]]) -> list[Decimal]:
    return [e.cost for r in results.values() for e in r.events if isinstance(e, CallFinished) and e.cost is not None]
