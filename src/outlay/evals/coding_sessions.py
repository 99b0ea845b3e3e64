"""Coding sessions made by a program: what the agent does turn by turn, and what must still be known afterwards.

The answers to the canaries come from the program that made the session, not from the code that looks for them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from outlay import Agent, Compaction, Result, Tool, run
from outlay.agents.checkpoint import asks_for_summary
from outlay.evals.canaries import TASK, Canary
from outlay.models.scripted import ScriptedModel
from outlay.protocols.model import Model
from outlay.values.budget import Budget
from outlay.values.reply import Reply
from outlay.values.request import ModelRequest

#: US dollars per million tokens of the scripted model: Sonnet's list price, nothing cached.
PRICE = (3, 15)
_MODULES = ("auth", "billing", "cache", "dates", "export", "filters", "graph", "history", "imports", "jobs", "keys")
_CHOICES = ("a lock file", "one retry", "UTC everywhere", "an index on user_id", "no new dependency", "a dataclass")
_FAULTS = ("AssertionError: 3 != 4", "KeyError: 'user_id'", "TimeoutError after 30 s", "ImportError: cannot import jwt")


@dataclass(frozen=True, slots=True)
class Step:
    """One turn: what the model says, the tool that it calls, and what that gives."""

    text: str
    tool: str
    arguments: dict[str, Any]
    result: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class CodingSession:
    task: str
    steps: tuple[Step, ...]
    canaries: tuple[Canary, ...]

    @staticmethod
    def of(seed: int, turns: int) -> CodingSession:
        """The session of a seed: the same one each time."""
        return _Maker(Random(f"coding session {seed}"), seed, turns).session()  # noqa: S311 - no secret

    async def play(self, compaction: Compaction | None, writer: Model | None, budget: Budget) -> Result[str]:
        """The session as an agent's run. `writer` writes the summaries; without one they are written by code."""
        left = iter(self.steps)
        now: list[Step] = []

        def answer(request: ModelRequest) -> Any:
            if asks_for_summary(request):
                assert compaction is not None
                return compaction.offline(request)
            now[:] = [step] if (step := next(left, None)) else []
            return Reply(now[0].text, tool_calls=[(now[0].tool, now[0].arguments)]) if now else "All tests pass."

        def tool(name: str) -> Tool:
            async def act(**_: Any) -> str:
                if now[0].failed:
                    raise RuntimeError(now[0].result)
                return now[0].result

            schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
            return Tool(name, act, f"{name} of a file", schema)

        agent = Agent(
            "coder",
            ScriptedModel(answer, name="coding-session", price=PRICE),
            instructions="You mend a program until its tests pass.",
            tools=[tool(name) for name in ("read_file", "edit_file", "run_tests", "grep")],
            max_turns=len(self.steps) + 1,
            compaction=None if compaction is None else replace(compaction, model=writer),
        )
        return await run(agent, self.task, budget=budget)


@dataclass(slots=True)
class _Maker:
    random: Random
    seed: int
    turns: int
    steps: list[Step] = field(default_factory=list[Step])
    canaries: list[Canary] = field(default_factory=list[Canary])

    def session(self) -> CodingSession:
        task = f"Ticket {1000 + self.seed}: mend the module {self.random.choice(_MODULES)} and keep its interface."
        self.canaries.append(Canary("What was asked for?", task, TASK))
        for turn in range(1, self.turns + 1):
            self._turn(turn)
        if len(self.steps) >= 3:
            third = self.steps[2]
            call = f"{third.tool} {json.dumps(third.arguments)}"
            self.canaries.append(Canary("What was the third tool call?", call, "calls"))
        return CodingSession(task, tuple(self.steps), tuple(self.canaries))

    def _turn(self, turn: int) -> None:
        module = self.random.choice(_MODULES)
        source, tests = f"src/app/{module}_{turn}.py", f"tests/test_{module}_{turn}.py"
        if turn % 5 == 2:
            fault = f"{self.random.choice(_FAULTS)} in {tests}"
            self.steps.append(Step("Let me see whether it holds.", "run_tests", {"path": tests}, fault, failed=True))
            self.canaries.append(Canary("Which file failed, and how?", fault, "errors"))
            return
        text = f"I look at {module} next."
        if turn % 7 == 3:
            decision = f"use {self.random.choice(_CHOICES)} for {module}, because of turn {turn}"
            text += f"\nDecision: {decision}"
            self.canaries.append(Canary("Which decision was taken?", decision, "decisions"))
        if turn == self.turns // 2:
            todo = f"document {module} for release {self.seed + 2}"
            text += f"\n- [ ] {todo}"
            self.canaries.append(Canary("What is still to be done?", todo, "open_tasks"))
        tool = self.random.choice(("read_file", "edit_file", "grep"))
        self.steps.append(Step(text, tool, {"path": source}, self._listing(source)))
        self.canaries.append(Canary("Which files were touched?", source, "paths"))

    def _listing(self, path: str) -> str:
        lines = self.random.randrange(30, 90)
        return "\n".join(f"{path}:{n}: value_{self.random.randrange(1000)} = compute({n})" for n in range(lines))
