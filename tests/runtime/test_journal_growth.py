"""What a journal takes: bytes grow with what is said, and not with how often it is said again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outlay import Agent, open_store, run, tool
from outlay.patterns import Refine
from outlay.testing import Reply, ScriptedModel


def drafts(number: int) -> Any:
    """One conversation, in which 1 KB is written again and again."""
    return Refine(
        Agent("a", ScriptedModel(lambda request: f"{len(request.messages):08d}" * 128)),
        lambda text: "again",
        max_rounds=number,
    )


def turns(number: int) -> Any:
    """One conversation, in which a tool gives 1 KB turn after turn."""

    @tool
    def look(number: int) -> str:
        """Look something up."""
        return f"{number:08d}" * 128

    def answer(request: Any) -> Any:
        turn = len(request.messages) // 2
        return "done" if turn + 1 >= number else Reply(tool_calls=[("look", {"number": turn})])

    return Agent("a", ScriptedModel(answer), tools=[look], max_turns=number + 1)


def size(path: Path) -> int:
    return path.stat().st_size


async def bytes_a_step(flow: Any, steps: int, path: Path) -> float:
    async with open_store(path) as store:
        pass
    before = size(path)
    async with open_store(path) as store:
        result = await run(flow, "x", store=store)
    assert result.stop_reason == "completed"
    return (size(path) - before) / steps


@pytest.mark.parametrize(("flow", "most"), [(drafts, 4_096), (turns, 2 * 4_096)], ids=["one effect", "two effects"])
async def test_a_conversation_of_any_length_takes_as_much_a_step(flow: Any, most: int, tmp_path: Path) -> None:
    """At most 4 KB an effect, to the file's last page."""
    took = {steps: await bytes_a_step(flow(steps), steps, tmp_path / f"{steps}.db") for steps in (30, 120)}
    assert all(step <= most for step in took.values())
    assert took[120] <= took[30] * 1.05


async def test_a_resume_writes_what_is_new_and_nothing_again(tmp_path: Path) -> None:
    """A leg that fails at the same place as the one before it adds a handful of events, however long the run is."""
    async with open_store(tmp_path / "outlay.db") as store:
        tries: list[int] = []

        def fails(text: str) -> str:
            tries.append(1)
            if len(tries) % 30 == 0:
                raise ValueError("broke off")
            return "again"

        flow = Refine(Agent("a", ScriptedModel(lambda request: "x" * 1_000)), fails, max_rounds=100)
        sizes: list[int] = []
        for _ in range(3):
            await run(flow, "x", store=store, run_id="r")
            sizes.append(len(await store.events("r")))
            contents = len(await store.digests())
        assert sizes[1] - sizes[0] < 10
        assert contents < 100
