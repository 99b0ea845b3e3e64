"""The first program of the contract, with stand-ins so that it runs offline."""

from typing import Any, Literal

from pydantic import BaseModel

from outlay import Agent, Budget, Result, RunContext, node, run_sync, tool
from outlay.patterns import Router
from outlay.testing import Reply
from outlay.values.request import ModelRequest


class Intent(BaseModel):
    label: Literal["billing", "technical", "general", "urgent"]
    confidence: float


@tool
def search_docs(query: str) -> list[str]:
    """Passages of the help articles that match."""
    return ["Cards arrive within 5 days."]


def short(reply: str) -> str | None:
    return f"{n} words, at most 200" if (n := len(reply.split())) > 200 else None


@node
async def to_human(ctx: RunContext, message: str) -> str:
    return f"to a human: {ctx.route.reason}"


def classify(request: ModelRequest) -> Intent:
    return Intent(label="urgent" if "fire" in request.text else "billing", confidence=0.9)


def answer(request: ModelRequest) -> str | Reply:
    found = request.messages[-1].tool_results
    return (
        f"Passages say: {found[0].content[2:-2]}" if found else Reply(tool_calls=[("search_docs", {"query": "card"})])
    )


router = Agent("router", "anthropic:claude-haiku-4-5", output_type=Intent, offline=classify)
reply = Agent(
    "reply",
    "anthropic:claude-sonnet-4-6",
    tools=[search_docs],
    verify=[short],
    instructions="Answer the customer, only from passages you found.",
    offline=answer,
)
triage = Router(router, {"billing": reply, "technical": reply, "general": reply}, default=to_human, escalate=["urgent"])


def main(models: Any = None, question: str = "Where is my card?") -> Result[str]:
    result = run_sync(triage, question, budget=Budget(usd="0.05"), models=models)
    print(result.output, result.bill, sep="\n")
    return result
