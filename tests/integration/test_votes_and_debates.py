"""Vote and Debate over real sockets: the calls that reach the provider are the calls that were needed."""

from __future__ import annotations

import pytest

from outlay import Agent, Budget, run_sync
from outlay.emulator import EmulatedRequest
from outlay.patterns import Debate, Judgement, Vote
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


@pytest.mark.parametrize("model", [MODEL, "openai:gpt-5.4"], ids=["anthropic", "responses"])
def test_a_debate_goes_on_in_the_debaters_own_conversations(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """Two first answers, a judgement, two rebuttals that were told of the other's answer, a judgement."""

    def says(request: EmulatedRequest) -> str | dict[str, object]:
        if request.schema is not None:
            both = '"ben":"42"' in request.text
            return {"done": both, "answer": "42" if both else "open"}
        return "42" if "answered: 42" in request.text or request.system.startswith("Ada") else "41"

    debaters = [
        Agent(name, model, instructions=f"{name.title()} says.", max_output_tokens=50) for name in ("ada", "ben")
    ]
    chair = Agent("judge", model, output_type=Judgement, max_output_tokens=100)
    with Emulator(behaviour=says) as emulator:
        point_to(emulator, monkeypatch)
        result = run_sync(Debate(debaters, chair), "6 * 7?", budget=Budget(usd="0.05"))
        assert (result.unwrap(), len(emulator.requests)) == ("42", 6)
    facts = result.facts["debate"]
    assert (facts["ended"], facts["rounds"]) == ("judge", 1)
    assert facts["changes"] == [{"round": 1, "changed": {"ben": {"from": "41", "to": "42"}}, "judgement_changed": True}]
    assert sum(line.calls for line in result.bill.lines) == 6
