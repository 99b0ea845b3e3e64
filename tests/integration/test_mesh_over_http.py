"""A mesh over real sockets: the lent tools, the ended turns and the retold history are what each provider takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from outlay import Agent, run_sync
from outlay.emulator import EmulatedReply, EmulatedRequest, ToolCall
from outlay.events import Decision
from outlay.patterns import Mesh
from outlay.testing import Emulator

MODELS = ["anthropic:claude-haiku-4-5", "openai:gpt-5.4", "openai-chat:gpt-4o"]


@dataclass
class Claim:
    order: int
    amount: float


class Desk:
    """The emulated model of a front desk, the clerk that it asks, and the cashier to whom it hands over."""

    def __init__(self) -> None:
        self.seen: dict[str, list[EmulatedRequest]] = {"front": [], "clerk": [], "cashier": []}

    def __call__(self, request: EmulatedRequest) -> Any:
        who = request.system.split()[-1]
        self.seen[who].append(request)
        return getattr(self, who)(request)

    def front(self, request: EmulatedRequest) -> Any:
        if not request.tool_results:
            return EmulatedReply(tool_calls=(ToolCall("ask_clerk", {"question": "how much was order 5?"}),))
        amount = float(request.tool_results[0])
        claim = {"order": 5, "amount": amount}
        return EmulatedReply(tool_calls=(ToolCall("handoff_to_cashier", {"task": "refund", "artifact": claim}),))

    def clerk(self, request: EmulatedRequest) -> Any:
        return "12.5"

    def cashier(self, request: EmulatedRequest) -> Any:
        return "refunded 12.5" if '"amount":12.5' in request.text else "refunded nothing"


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    behaviour = Desk()
    with Emulator(behaviour=behaviour) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        yield behaviour


@pytest.mark.parametrize("history", [False, True], ids=["fresh", "history"])
@pytest.mark.parametrize("model", MODELS, ids=["anthropic", "responses", "chat"])
def test_a_peer_is_asked_and_the_work_handed_over(desk: Desk, model: str, history: bool) -> None:
    """The artifact arrives in its type, at the cap no handoff tools are left, the history comes where it is wanted."""
    front, clerk, cashier = (
        Agent(name, model, instructions=f"You are the {name}", output_type=kind, max_output_tokens=200)
        for name, kind in (("front", Claim), ("clerk", str), ("cashier", str))
    )
    flow = Mesh({front: [clerk, cashier], cashier: [front]}, front, 1, history=history)
    result = run_sync(flow, "Where is my money?")
    assert result.unwrap() == "refunded 12.5"
    facts = result.facts["mesh"]
    assert (facts["path"], facts["asked"]) == (["front", "cashier"], [["front", "clerk"]])
    assert {spec.name for spec in desk.seen["front"][0].tools} == {
        "ask_clerk",
        "ask_cashier",
        "handoff_to_clerk",
        "handoff_to_cashier",
    }
    (last,) = desk.seen["cashier"]
    assert [spec.name for spec in last.tools] == ["ask_front"]
    told = " ".join(message.text for message in last.messages)
    assert ("how much was order 5?" in told) == history
    assert len([e for e in result.events if isinstance(e, Decision) and e.about == "history_passed"]) == history
    assert sum(line.calls for line in result.bill.lines) == 4
