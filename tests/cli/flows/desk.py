"""Flows for the tests of the command line: offline, of known cost, some slow, some failing."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from outlay import Agent, Budget, RunContext, node
from outlay.patterns import FanOut, Router

echo = Agent("echo", "anthropic:claude-haiku-4-5", offline=lambda request: f"you said {request.text}")
chat = Agent("chat", "anthropic:claude-haiku-4-5", offline=lambda request: f"heard {len(request.messages)}")
mute = Agent("mute", "anthropic:claude-haiku-4-5")


@node(children=(echo,))
async def slow(ctx: RunContext, text: str) -> str:
    """A third of a second of work, then a call."""
    await asyncio.sleep(0.3)
    return await ctx.run(echo, text)


@node(children=(echo,))
async def picky(ctx: RunContext, text: str) -> str:
    """Fails on every text with a 3 in it."""
    if "3" in text:
        raise ValueError("no \x1b[31mthree\x1b[0m")
    return await ctx.run(echo, text)


@node
async def ask(ctx: RunContext, text: str) -> str:
    """Waits for a human."""
    return await ctx.ask("Shall I?")


@node
async def loud(text: str) -> str:
    """Prints, and answers with what terminals obey."""
    print("noise on stdout")
    return "\x1b]0;title\x07plain\x1b[2J \u202etext"


@dataclass
class Order:
    item: str
    number: int


@node
async def order(order: Order) -> str:
    """Takes an object."""
    return f"{order.number} of {order.item}"


@node
async def word(text: str) -> str:
    """Takes a text and nothing else."""
    return text.upper()


@node
async def anything(value: Any) -> str:
    """Takes what it is given."""
    return json.dumps(value)


@node
async def needy(ctx: RunContext, text: str) -> str:
    """Uses its dependencies."""
    return f"{ctx.deps} {text}"


async def make_deps() -> str:
    print("making deps")
    return "deps"


short = echo.replace(name="short", budget=Budget(calls=0))


def sort(request: Any) -> str:
    return "angry" if "!" in request.text else "calm"


sorter = Agent("sorter", "anthropic:claude-haiku-4-5", offline=sort)


@node
async def to_human(text: str) -> str:
    return "to a human"


desk = Router(sorter, {"calm": echo}, default=to_human, escalate=["angry"], name="desk")
number = 7


#: Completes without one of its members.
pair = FanOut([picky, word], name="pair")
