"""The second program of the contract, with stand-ins so that it runs offline."""

import json
from typing import Any

from pydantic import BaseModel

from outlay import Agent, Budget, Result, run
from outlay.patterns import Plan, Subtask, Supervisor
from outlay.values.request import ModelRequest


class Finding(BaseModel):
    claim: str
    source: str


def search(query: str) -> list[str]:
    """Pages that match."""
    return [query]


def two_questions(request: ModelRequest) -> Plan:
    return Plan([Subtask(name, "scout", f"Look into {name}.") for name in ("cost", "safety")])


def one_finding(request: ModelRequest) -> list[Finding]:
    return [Finding(claim="It works.", source="https://example.org")]


def put_together(request: ModelRequest) -> str:
    return f"Ready, by {sum(map(len, json.loads(request.text)['results'].values()))} findings."


planner = Agent("planner", "anthropic:claude-sonnet-4-6", output_type=Plan, offline=two_questions)
reconcile = Agent("reconcile", "anthropic:claude-sonnet-4-6", offline=put_together)
scout = Agent(
    "scout",
    "anthropic:claude-haiku-4-5",
    tools=[search],
    output_type=list[Finding],
    description="Answers one narrow question and cites every claim.",
    offline=one_finding,
)
crew = Supervisor(planner, [scout], reconcile, max_subtasks=12)


async def main(models: Any = None) -> Result[str]:
    result = await run(crew, "Is sodium-ion ready for the grid?", budget=Budget(usd="1.50"), models=models)
    print(result.stop_reason, result.output, result.partial)
    return result
