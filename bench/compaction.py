"""What a session of 10, 20, 50 and 100 turns costs with and without compaction, over the emulator at list prices.

The emulator has the provider's prompt cache, and the dollars are those of the runs' own events. They are the same on
every machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.contest import Figure

if TYPE_CHECKING:
    from outlay import Compaction

MODEL = "anthropic:claude-sonnet-4-6"
TURNS = (10, 20, 50, 100)
#: Of what the session costs without compaction, at 100 turns.
_MOST = 0.55
#: Of what half as many turns cost.
_GROWTH = 2.2
_INSTRUCTIONS, _PAGE, _THOUGHT, _NOTES = 2_000, 600, 60, 200


def measure(quick: bool) -> Sequence[Figure]:
    from outlay import Compaction

    whole = {turns: dollars(turns, None) for turns in TURNS}
    short = {turns: dollars(turns, Compaction()) for turns in TURNS}
    figures = [
        Figure(
            "compaction",
            f"a session of {turns} turns",
            short[turns],
            "$",
            "the whole read each turn",
            whole[turns],
            short[turns] / whole[turns],
            _MOST if turns == TURNS[-1] else None,
        )
        for turns in TURNS
    ]
    half, full = TURNS[-2:]
    growth, squared = short[full] / short[half], whole[full] / whole[half]
    what = f"… {full} turns against {half}"
    return [*figures, Figure("compaction", what, growth, "times", "", squared, None, _GROWTH, "value")]


def dollars(turns: int, compaction: Compaction | None) -> float:
    """An agent that reads a page a turn, thinks about it, and answers in the last one."""
    from outlay import Agent, Budget, run_sync
    from outlay.agents.checkpoint import ASKS
    from outlay.emulator import EmulatedReply, ToolCall
    from outlay.runtime.prefixes import forget
    from outlay.testing import Emulator

    taken = 0
    fields: dict[str, list[str]] = {name: [] for name in ("open_tasks", "paths", "errors", "decisions")}
    notes = json.dumps({"summary": text(_NOTES, "note"), **fields})

    def look(page: int) -> str:
        """Read a page."""
        return text(_PAGE, f"page {page}")

    def behave(request: Any) -> EmulatedReply:
        nonlocal taken
        if ASKS in request.messages[-1].text:
            return EmulatedReply(notes)
        taken += 1
        if taken == turns:
            return EmulatedReply("Found it.")
        return EmulatedReply(text(_THOUGHT, "thought"), tool_calls=(ToolCall("look", {"page": taken}),))

    agent = Agent(
        "coder", MODEL, instructions=text(_INSTRUCTIONS, "rule"), tools=[look], max_turns=turns, compaction=compaction
    )
    forget()
    with Emulator(behaviour=behave) as emulator, _environment(emulator.env()):
        result = run_sync(agent, "Where is it?", budget=Budget(usd=100))
    result.unwrap()
    return float(result.bill.at_least)


def text(tokens: int, seed: str) -> str:
    """A text of so many tokens, four characters each."""
    return "".join(f"{seed} {n:06}. " for n in range(tokens))[: tokens * 4]


@contextmanager
def _environment(more: Mapping[str, str]) -> Any:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
