"""Flows that wait, break off or pause; what really happens outside is noted in files."""

import time
from pathlib import Path
from typing import Any

from outlay import Agent, Budget, RunContext, node, tool
from outlay.patterns import FanOut
from outlay.testing import Reply

HAIKU = "anthropic:claude-haiku-4-5"


def note(file: str, text: str) -> None:
    with Path(file).open("a") as notes:
        notes.write(text + "\n")


@tool(side_effect=True, requires_approval=True)
def send(to: str, text: str) -> str:
    """Send a mail."""
    note("sent.txt", to)
    return f"sent to {to}"


def write(request: Any) -> Any:
    if request.messages[-1].role == "tool":
        return f"I was told: {request.messages[-1].parts[0].content}"
    return Reply(tool_calls=[("send", {"to": "bob", "text": "\x1b[31mred\u202e" + "x" * 300})])


clerk = Agent("clerk", HAIKU, tools=[send], offline=write)


def slowly(request: Any) -> str:
    note("calls.txt", request.text)
    time.sleep(0.1)
    return f"did {request.text}"


step = Agent("step", HAIKU, offline=slowly, max_output_tokens=64)


@tool(side_effect=True)
def deliver(to: str) -> str:
    """Deliver; it takes for ever the first time."""
    note("delivered.txt", to)
    if Path("delivered.txt").read_text().count("\n") == 1:
        time.sleep(60)
    return "delivered"


@node(children=(step,))
async def errand(ctx: RunContext, text: str) -> str:
    """Three calls, then something with a side effect that hangs."""
    for i in range(3):
        await ctx.run(step, f"{text} {i}")
    return await ctx.effect("deliver", deliver.function, text, side_effect=True)


@node(children=(step,))
async def walk(ctx: RunContext, order: dict[str, int]) -> str:
    """As many calls as the input says."""
    return " ".join([await ctx.run(step, f"step {i}") for i in range(order["steps"])])


@node
async def choose(ctx: RunContext, text: str) -> str:
    """Waits for a human for an hour at most."""
    return await ctx.ask("Which\x1b[2J one?", options=["the red", "blue"], default="blue", deadline=3600)


@node
async def tricky(ctx: RunContext, text: str) -> str:
    """Asks with options that a model might write."""
    return await ctx.ask("?", options=["yes", "$(touch owned); `id`"])


@node
async def hurry(ctx: RunContext, text: str) -> str:
    """Waits for a human for a moment."""
    return await ctx.ask("Now?", options=["yes", "no"], default="no", deadline=0.2)


async def make_deps() -> str:
    return "deps"


@node
async def needy(ctx: RunContext, text: str) -> str:
    return f"{await ctx.ask('Go on?')} with {ctx.deps}"


def wordy(request: Any) -> str:
    note("calls.txt", request.text)
    return f"did {request.text}" + " and so on" * 60


dear = Agent("dear", HAIKU, offline=wordy, max_output_tokens=400, min_output_tokens=400)
spend = FanOut(dear, name="spend", max_parallel=1)
many = FanOut(dear, name="many", budget=Budget(usd="0.0035", on_exhausted="pause"))
