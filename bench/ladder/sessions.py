"""Two long conversations of one agent: a coding session of 40 turns, and an autonomous run of 100.

The emulated model knows nothing but what stands in the request that it gets: it reads what tools gave and what it noted
itself, as a model would. What is no longer there when it is needed makes the answer wrong, and a deterministic check
sees that. The cheap model calls the same tools and slips in the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.ladder.measured import Meter
from bench.ladder.models import CHEAP, model_for
from bench.ladder.rungs import AUTONOMOUS, CODING, Setting
from outlay import Agent, Compaction, run
from outlay.agents.checkpoint import ASKS
from outlay.emulator import EmulatedReply, EmulatedRequest, ToolCall


def filler(words: str, tokens: int) -> str:
    """Text of about so many tokens of the emulator, four characters each."""
    lines = "".join(f"{words} {n:05}\n" for n in range(tokens * 4 // (len(words) + 7) + 1))
    return lines[: tokens * 4]


@dataclass(frozen=True)
class Session:
    """`behaviour` is the model's, `check` says whether its answer is right: None, or why not."""

    name: str
    turns: int
    instructions: str
    tools: tuple[Callable[..., str], ...]
    behaviour: Callable[[EmulatedRequest], EmulatedReply]
    check: Callable[[str], str | None]

    async def play(self, setting: Setting, meter: Meter) -> None:
        agent = Agent(
            "engineer",
            model_for(setting, self.check),
            instructions=self.instructions,
            tools=self.tools,
            verify=[self.check],
            max_turns=self.turns + 5,
            cache="auto" if setting.prompt_cache else "off",
            compaction=Compaction() if setting.compaction else None,
        )
        result: Any = await run(agent, "Begin.", on_event=meter)
        meter.check(result.stop_reason == "completed" and self.check(result.output) is None)


def seen(request: EmulatedRequest) -> str:
    """All that the model can see of the conversation."""
    return "\n".join(message.text for message in request.messages)


def turn_of(request: EmulatedRequest) -> int:
    """The step that comes next: each call names its number, and so does a checkpoint that stands for calls."""
    calls = [str(call.arguments) for message in request.messages for call in message.tool_calls]
    steps = [int(n) for call in calls for n in re.findall(r"\d+", call)]
    steps += [int(n) for n in re.findall(r"Steps taken: (\d+)", seen(request))]
    return max(steps, default=0 if calls else -1) + 1


def checkpoint(request: EmulatedRequest) -> EmulatedReply:
    """What a model writes that is asked to sum up: where it stands, and what it saw fail."""
    found = re.findall(r"(?:FAILED|ALARM|Noted:|The bug is)[^\n\"]*", seen(request))
    errors = list(dict.fromkeys(line[:200] for line in found))
    notes = {"summary": f"Steps taken: {turn_of(request) - 1}.", "errors": errors}
    return EmulatedReply(json.dumps({"open_tasks": [], "paths": [], "decisions": [], **notes}))


# ── coding: 40 turns ────────────────────────────────────────────────────────────────────────────────────────────

_BUG = "def total(amounts):\n    return sum(amounts[1:])\n"
_MENDED = "def total(amounts):\n    return sum(amounts)\n"
_SLIP = "def total(amounts):\n    return sum(amounts[:-1])\n"


def read_file(path: str) -> str:
    """The text of a file."""
    return (_BUG if path == "src/mod_06.py" else "") + filler(f"# {path}: line", 900)


def run_tests(only: str) -> str:
    """Run the tests of a module and show what failed."""
    failed = "FAILED test_total: src/mod_06.py total([3, 4]) gave 4, expected 7\n" if only == "all" else ""
    return failed + filler(f"{only}: test passed", 500)


def _codes(request: EmulatedRequest) -> EmulatedReply:
    if ASKS in request.messages[-1].text:
        return checkpoint(request)
    turn = turn_of(request)
    if turn == 0:
        return EmulatedReply("First the tests.", (ToolCall("run_tests", {"only": "all"}),))
    if turn < 39:
        notes = re.findall(r"FAILED [^\n]*|return sum\(amounts\[1:\]\)", "\n".join(request.tool_results))
        tool = ToolCall("run_tests", {"only": f"mod_{turn:02}"}) if turn % 4 == 3 else None
        said = "".join(f"Noted: {note}. " for note in notes) + "On."
        return EmulatedReply(said, (tool or ToolCall("read_file", {"path": f"src/mod_{turn:02}.py"}),))
    if not ("FAILED test_total" in seen(request) and "sum(amounts[1:])" in seen(request)):
        return EmulatedReply("I no longer know what failed, or where.")
    # told that it failed, the cheap one finds it, too
    told = "cannot be used" in request.text
    return EmulatedReply(_SLIP if request.model == CHEAP and not told else _MENDED)


def mended(patch: str) -> str | None:
    """Run the patched function on what failed and on two more cases."""
    scope: dict[str, Any] = {}
    try:
        exec(patch, {"__builtins__": {"sum": sum}}, scope)
        given = [scope["total"](amounts) for amounts in ([3, 4], [], [5])]
    except Exception as error:
        return f"the patch does not run: {type(error).__name__}"
    return None if given == [7, 0, 5] else f"test_total: gave {given}, expected [7, 0, 5]"


# ── autonomous: 100 turns ───────────────────────────────────────────────────────────────────────────────────────

_ALARMS = (7, 41, 88)


def read_page(page: int) -> str:
    """A page of the log."""
    alarm = f"ALARM on page {page}\n" if page in _ALARMS else ""
    return alarm + filler(f"page {page:03}: all is well", 1_200)


def _audits(request: EmulatedRequest) -> EmulatedReply:
    if ASKS in request.messages[-1].text:
        return checkpoint(request)
    turn = turn_of(request)
    if turn < 99:
        fresh = re.findall(r"ALARM on page (\d+)", "\n".join(request.tool_results))
        note = "".join(f"Noted: alarm, page {page}. " for page in fresh)
        return EmulatedReply(note + f"On to page {turn}.", (ToolCall("read_page", {"page": turn}),))
    found = sorted(set(map(int, re.findall(r"(?:ALARM on|alarm,) page (\d+)", seen(request)))))
    if request.model == CHEAP and "cannot be used" not in request.text:
        found = found[:-1]
    return EmulatedReply(f"Alarms on pages {', '.join(map(str, found))}.")


def all_alarms(report: str) -> str | None:
    found = tuple(map(int, re.findall(r"\d+", report)))
    return (
        None if found == _ALARMS else f"the log has {len(_ALARMS)} alarms, the report has other pages than they are on"
    )


SESSIONS = (
    Session(
        CODING,
        40,
        "You mend a Python project. " + filler("Rule of the house", 6_000),
        (read_file, run_tests),
        _codes,
        mended,
    ),
    Session(
        AUTONOMOUS,
        100,
        "You read a log, page by page, and report alarms. " + filler("Rule of the watch", 3_000),
        (read_page,),
        _audits,
        all_alarms,
    ),
)
