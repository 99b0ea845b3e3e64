"""Random flows: trees of all patterns, with agents that call tools, ask people, run out of budget and time.

Everything is drawn from one `Random`, and what an agent answers is a function of what it is asked, so the same seed
grows the same flow and the flow says the same whenever it is resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from outlay.agents.agent import Agent
from outlay.agents.function import FunctionNode, node
from outlay.agents.tool import Tool
from outlay.errors import Overloaded
from outlay.models.scripted import ScriptedModel
from outlay.patterns import (
    Blackboard,
    Debate,
    Detached,
    FanOut,
    Gate,
    Mesh,
    Pipeline,
    Refine,
    RoundRobin,
    Router,
    Specialist,
    Supervisor,
    Vote,
)
from outlay.protocols.context import RunContext
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.sim.precautions import Precautions
from outlay.values.budget import Budget
from outlay.values.critique import Critique
from outlay.values.debate import Judgement
from outlay.values.plan import Plan, Subtask
from outlay.values.reply import Reply
from outlay.values.request import ModelRequest

#: Agents in one flow, about: a tree that has them grows leaves only.
MOST_AGENTS = 10
_CAP = 200
#: US dollars per million tokens of input and of output.
_PRICE = (1, 5)
_KINDS = (
    *("pipeline", "fanout", "items", "router", "supervisor", "refine", "vote", "debate", "roundrobin", "mesh"),
    *("blackboard", "gate", "detached", "twice", "asks", "races", "counts"),
)


@dataclass
class Grower:
    """Draws a flow. `act` is what a tool does in the world, `wrap` puts a model behind its provider; `precautions` are
    what its agents do about it, None for nothing but what every call does."""

    draw: Random
    act: Callable[[str, str], Any]
    wrap: Callable[[Model], Model]
    seed: int = 0
    precautions: Precautions | None = None
    agents: int = 0
    _numbers: count[int] = field(default_factory=count)

    def flow(self) -> Node[Any, Any]:
        return self.tree(self.draw.randint(1, 3), root=True)

    def budgets(self) -> Budget | None:
        """What the whole run may use; half of the time more than it needs."""
        draw = self.draw
        return draw.choice(
            [
                None,
                Budget(usd="1"),
                Budget(usd=f"{draw.choice([2, 4, 8, 16]) / 1000:.3f}"),
                Budget(usd=f"{draw.choice([3, 5, 10]) / 1000:.3f}", calls=draw.randint(2, 40)),
                Budget(calls=draw.randint(1, 20)),
                Budget(tokens=draw.choice([800, 3_000, 10_000])),
                Budget(seconds=draw.choice([5, 60, 600])),
                Budget(usd="0.02", seconds=draw.choice([30, 300])),
            ]
        )

    # ── leaves ────────────────────────────────────────────────────────────────────────────────────────────

    def name(self, kind: str) -> str:
        return f"{kind}{next(self._numbers)}"

    def agent(self, answer: Any = None, **options: Any) -> Agent[Any]:
        self.agents += 1
        draw, name = self.draw, self.name("agent")
        mood = draw.choice(["well"] * 9 + ["refuses", "raises", "fails", "loops"]) if answer is None else "well"
        tools = [] if answer is not None else draw.sample(self.tools(name), draw.choice([0, 0, 1, 2]))
        called = draw.randint(1, 2)

        def reply(request: ModelRequest) -> Any:
            turns = sum(message.role == "assistant" for message in request.messages)
            if mood == "refuses":
                return Reply("no", stop="refusal")
            if mood == "raises":
                return LookupError("lost")
            if mood == "fails":
                return Overloaded("busy", retryable=False)
            if tools and (mood == "loops" or turns < called):
                given = [(tool.name, {"what": f"{turns}.{i}"}) for i, tool in enumerate(tools)]
                return Reply(tool_calls=given[:1] if mood == "loops" else given)
            said: Any = answer(request) if callable(answer) else answer
            return said if said is not None else f"{name} says {request.transcript.head.hex()[:8]}"

        latency = draw.choice([0.0, 0.1, 0.5, 1.0, 3.0])

        def played(as_name: str) -> Model:
            return self.wrap(ScriptedModel(reply, name=as_name, price=_PRICE, latency=latency))

        usual = played(f"simulated-{self.agents % 3}")
        options = {"model": usual, "max_output_tokens": _CAP, "tools": tools, "max_turns": 5} | options
        if self.precautions is not None:
            options["tools"] = [self.precautions.of_tool(tool) for tool in tools]
            options |= self.precautions.of_agent(usual, played, tools)
        return Agent(name, **options)

    def tools(self, agent: str) -> list[Tool]:
        act = self.act

        async def look(ctx: RunContext[Any], what: str) -> str:
            return await act("look", ctx.idempotency_key)

        async def order(ctx: RunContext[Any], what: str) -> str:
            return await act("order", ctx.idempotency_key)

        async def send(ctx: RunContext[Any], what: str) -> str:
            return await act("send", ctx.idempotency_key)

        return [
            Tool(f"look_{agent}", look, "Looks something up."),
            Tool(f"order_{agent}", order, "Orders it, once for each key.", side_effect=True, idempotent=True),
            Tool(f"send_{agent}", send, "Sends it.", side_effect=True),
            Tool(f"pay_{agent}", send, "Pays for it.", side_effect=True, requires_approval=True),
        ]

    def options(self) -> dict[str, Any]:
        draw = self.draw
        budget = draw.choice(
            [None] * 8
            + [Budget(calls=draw.randint(1, 4)), Budget(usd=f"{draw.choice([2, 4]) / 1000:.3f}"), Budget(seconds=20)]
        )
        return {"optional": draw.random() < 0.2, "budget": budget}

    # ── trees ─────────────────────────────────────────────────────────────────────────────────────────────

    def tree(self, depth: int, *, root: bool = False) -> Node[Any, Any]:
        kind = self.draw.choice(_KINDS)
        if depth == 0 or self.agents >= MOST_AGENTS or (not root and self.draw.random() < 0.25):
            return self.agent(**self.options())
        return getattr(self, kind)(depth - 1)

    def trees(self, depth: int, most: int = 3) -> list[Any]:
        return [self.tree(depth) for _ in range(self.draw.randint(1, most))]

    def pipeline(self, depth: int) -> Any:
        return Pipeline(*self.trees(depth), name=self.name("pipeline"), **self.options())

    def fanout(self, depth: int) -> Any:
        return FanOut(self.trees(depth), merge=self.joined(), name=self.name("fanout"), **self.options())

    def items(self, depth: int) -> Any:
        n = self.draw.randint(0, 4)

        def split(_: Any) -> list[str]:
            return [f"item {i % 3}" for i in range(n)]  # two may be equal

        return FanOut(self.tree(depth), split, self.joined(), name=self.name("items"), **self.options())

    def joined(self) -> Any:
        return FunctionNode[Any, str](_join, name=self.name("join"))

    def router(self, depth: int) -> Any:
        routes = {"yes": self.tree(depth)}
        return Router(self.agent("yes"), routes, self.tree(depth), name=self.name("router"), **self.options())

    def supervisor(self, depth: int) -> Any:
        parts = self.trees(depth)
        chained = [i > 0 and self.draw.random() < 0.5 for i in range(len(parts))]
        plan = Plan(
            [
                Subtask(f"t{i}", part.name, f"do {i}", [f"t{i - 1}"] if chained[i] else [])
                for i, part in enumerate(parts)
            ]
        )
        planner = self.agent(plan, output_type=Plan, max_output_tokens=2 * _CAP)
        return Supervisor(planner, parts, self.agent(), name=self.name("crew"), **self.options())

    def refine(self, depth: int) -> Any:
        critic = self.agent(_critique, output_type=Critique)
        return Refine(self.tree(depth), critic, max_rounds=2, name=self.name("refine"), **self.options())

    def gate(self, depth: int) -> Any:
        critic = self.agent(Critique(True), output_type=Critique)
        gate = Gate(critic, name=self.name("gate"), **self.options())
        return Pipeline(self.tree(depth), gate, name=self.name("gated"))

    def detached(self, depth: int) -> Any:
        beside = Detached(self.agent(), name=self.name("beside"))
        return Pipeline(beside, self.tree(depth), name=self.name("pipeline"))

    def vote(self, depth: int) -> Any:
        n, early = self.draw.randint(1, 4), self.draw.random() < 0.5
        return Vote(self.tree(min(depth, 1)), n, str, early, name=self.name("vote"), **self.options())

    def debate(self, depth: int) -> Any:
        judge = self.agent(Judgement(True, "agreed"), output_type=Judgement)
        return Debate([self.agent(), *self.trees(depth, 2)], judge, 1, name=self.name("debate"), **self.options())

    def roundrobin(self, depth: int) -> Any:
        parts = self.trees(depth)
        return RoundRobin(parts, len(parts), name=self.name("talk"), **self.options())

    def mesh(self, depth: int) -> Any:
        peer = self.tree(depth)
        call = Reply(tool_calls=[(f"handoff_to_{peer.name}", {"task": "go on", "summary": "so far"})])
        first = self.agent(call)
        return Mesh({first: [peer]}, first, 1, name=self.name("mesh"), **self.options())

    def blackboard(self, depth: int) -> Any:
        found: list[Specialist] = []
        for i, part in enumerate(self.trees(depth)):
            expert = Pipeline(part, _kind_of, name=self.name("expert"))
            found.append(Specialist(expert, ["input"], {f"e{i}": str}))
        return Blackboard(found, name=self.name("board"), **self.options())

    # ── plain code ────────────────────────────────────────────────────────────────────────────────────────

    def twice(self, depth: int) -> Any:
        """The same call and the same effect again, one after another and at once."""
        child = self.tree(min(depth, 1))

        async def twice(ctx: RunContext[Any], value: Any) -> str:
            first = await ctx.run(child, "the same")
            for _ in range(2):
                await ctx.effect("fetch", _fetch)
            both = await ctx.gather(*(ctx.run(child, "the same", key=f"k{i}") for i in range(2)))
            return f"{first!s:.40} {len(both)} {ctx.random() < 0.5}"

        return node(name=self.name("twice"), children=(child,))(twice)

    def asks(self, depth: int) -> Any:
        child, options = self.tree(depth), ["yes", "no"]
        wait = self.draw.choice([None, 20.0, 5_000.0])

        async def asks(ctx: RunContext[Any], value: Any) -> Any:
            answer = await ctx.ask("Shall it go on?", options=options, default="no" if wait else None, deadline=wait)
            return await ctx.run(child, value) if answer == "yes" else "it shall not"

        return node(name=self.name("asks"), children=(child,))(asks)

    def races(self, depth: int) -> Any:
        """The first of several within a time, the others stopped."""
        children, seconds = self.trees(depth), self.draw.choice([1.0, 30.0])

        async def races(ctx: RunContext[Any], value: Any) -> str:
            try:
                async with ctx.timeout(seconds):
                    found = await ctx.gather(*(ctx.run(child, value) for child in children))
            except TimeoutError:
                await ctx.sleep(1)
                return "too late"
            return f"{len(found)} in time"

        return node(name=self.name("races"), children=tuple(children))(races)

    def counts(self, depth: int) -> Any:
        """A shared number that each visit raises by one."""
        child = self.tree(depth)

        async def counts(ctx: RunContext[Any], value: Any) -> Any:
            await ctx.state.update("visits", _plus_one, default=0)
            return await ctx.run(child, value)

        return node(name=self.name("counts"), children=(child,))(counts)


def _critique(request: ModelRequest) -> Critique:
    return Critique(len(request.text) % 2 == 0, "again")


async def _fetch() -> str:
    await asyncio.sleep(0.05)
    return "fetched"


def _plus_one(n: int) -> int:
    return n + 1


def _kind_of(output: Any) -> str:
    return type(output).__name__


def _join(found: Sequence[Any]) -> str:
    return f"joined {len(found)}"


__all__ = ["MOST_AGENTS", "Grower"]
