"""A crew of crews over real sockets: typed plans, typed claims, contradictions and the bill against the emulator."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from outlay import Agent, Budget, run
from outlay.patterns import Claim, Plan, Subtask, Supervisor
from outlay.testing import Emulator, stand_ins

GROWTH = {"europe": "4 %", "america": "7 %"}


def lead(name: str, model: str, *subtasks: tuple[str, str]) -> Agent[Plan]:
    plan = Plan([Subtask(id, worker, f"do {id}") for id, worker in subtasks], "One paragraph.")
    return Agent(name, model, instructions=f"You plan as {name}.", output_type=Plan, offline=lambda request: plan)


def desk(name: str, model: str) -> Supervisor[Any, list[Claim]]:
    claims = [Claim("growth", GROWTH[name], 0.7, f"{name}.csv")]

    def agent(role: str) -> Agent[list[Claim]]:
        title = f"{name}_{role}"
        return Agent(
            title, model, instructions=f"You are {title}.", output_type=list[Claim], offline=lambda request: claims
        )

    return Supervisor(
        lead(f"{name}_lead", model, ("x", f"{name}_analyst")),
        [agent("analyst")],
        agent("writer"),
        name=name,
        description=f"The desk of {name}.",
    )


def both_sides(request: Any) -> str:
    (found,) = json.loads(request.text)["contradictions"]
    return "; ".join(f"{claim['worker']} says {claim['value']}" for claim in found["claims"])


@pytest.mark.parametrize("model", ["anthropic:claude-haiku-4-5", "openai:gpt-5.4"], ids=["anthropic", "openai"])
def test_a_hierarchy_over_the_emulator(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed plans and claims through real structured outputs; the provider's count is the bill's."""
    editor = Agent("editor", model, instructions="You edit.", offline=both_sides)
    chief = lead("chief", model, ("eu", "europe"), ("us", "america"))
    flow = Supervisor(chief, [desk("europe", model), desk("america", model)], editor, name="report")
    with Emulator(behaviour=stand_ins(flow)) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        result = asyncio.run(run(flow, "How does the market grow?", budget=Budget(usd="0.50", depth=2)))
    assert result.unwrap() == "europe says 4 %; america says 7 %"
    assert (result.stop_reason, result.degraded) == ("completed", False)
    (found,) = result.facts["report"]["contradictions"]
    assert [claim["by"] for claim in found["claims"]] == [
        "report/europe[eu]/europe_analyst[x]",
        "report/america[us]/america_analyst[x]",
    ]
    billed = emulator.billed().values()
    assert sum(line.output_tokens or 0 for line in result.bill.lines) == sum(usage.output_tokens for usage in billed)
    assert sum(line.calls for line in result.bill.lines) == 8
