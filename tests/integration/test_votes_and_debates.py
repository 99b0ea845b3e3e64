"""Vote and Debate over real sockets: the calls that reach the provider are the calls that were needed."""

from __future__ import annotations

import pytest

from outlay import Agent, Budget, run_sync
from outlay.patterns import Vote
from outlay.testing import Emulator

MODEL = "anthropic:claude-haiku-4-5"


def point_to(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in emulator.env().items():
        monkeypatch.setenv(name, value)


def test_a_settled_vote_sends_no_further_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of five agree: three requests arrive, and three are billed."""
    solver = Agent("solver", MODEL, max_output_tokens=50)
    with Emulator(behaviour="42") as emulator:
        point_to(emulator, monkeypatch)
        result = run_sync(Vote(solver, 5), "6 * 7?", budget=Budget(usd="0.01"))
        assert (result.unwrap(), len(emulator.requests)) == ("42", 3)
    assert result.facts["vote"]["saved"] == 2
    assert sum(line.calls for line in result.bill.lines) == 3
