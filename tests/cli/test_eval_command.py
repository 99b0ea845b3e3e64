"""`outlay eval compaction`: what is still known after a conversation was shortened; exit code 1 if it had to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import Call

from outlay.agents.checkpoint import ASKS
from outlay.emulator import EmulatedReply
from outlay.testing import Emulator

FLOW = """
from outlay import Agent, Compaction
from outlay.agents.checkpoint import asks_for_summary
from outlay.testing import Reply

looked = []


def look(path: str) -> str:
    '''Look at a file.'''
    if path.endswith("_4.py"):
        raise LookupError("ORD-17 is torn out")
    return f"secret of {path} " + "line " * 400


def stand_in(request):
    looked.append(1)
    return Reply(tool_calls=[("look", {"path": f"a/b_{len(looked)}.py"})]) if len(looked) < 30 else "done"


short = Compaction(clear=False, expected_turns=60)
reader = Agent("reader", "anthropic:claude-sonnet-4-6", tools=[look], max_turns=40, offline=stand_in, compaction=short)
plain = Agent("plain", "anthropic:claude-sonnet-4-6", offline=stand_in)
"""


@pytest.fixture
def flow(folder: Path) -> Path:
    path = folder / "reader.py"
    path.write_text(FLOW)
    return path


def test_it_shows_each_field_before_and_after(call: Call) -> None:
    said = call("eval", "compaction", "--seeds", "1", "--turns", "60")
    assert (said.code, said.err) == (0, "")
    first, *table = said.out.splitlines()
    assert first.startswith("1 conversation · shortened ")
    assert first.endswith(" · summaries by code")
    rows = {line.split()[0]: line.split()[1:] for line in table if "of" in line.split()}
    assert rows["errors"] == ["yes", "12", "of", "12", "12"]
    assert rows["calls"] == ["no", "1", "of", "1", "0"]
    assert said.out.splitlines()[-1] == "every must-survive field is there"


def test_json_has_every_canary(call: Call) -> None:
    found = call("eval", "compaction", "--seeds", "0:2", "--turns", "20", "--json").json
    assert found["lost"] == 0
    assert [one["what"] for one in found["conversations"]] == ["session 0 of 20 turns", "session 1 of 20 turns"]
    assert {canary["field"] for canary in found["conversations"][0]["canaries"]} >= {"task", "errors", "decisions"}


def test_a_recorded_run_and_a_question_of_ones_own(call: Call, flow: Path, folder: Path) -> None:
    """What the flow's run recorded: its fields are there, and what only a page said is not."""
    assert call("run", "reader.py:reader", "--input", "Find it", "--models", "offline").code == 0
    said = call("eval", "compaction", "--run", "last")
    assert said.code == 0, said.out + said.err
    (folder / "own.jsonl").write_text(json.dumps({"question": "What did it say?", "expected": "secret of a/b_1.py"}))
    said = call("eval", "compaction", "--run", "last", "--canaries", "own.jsonl")
    assert said.code == 1
    assert "that had to survive" in said.out
    assert "✗ reader: summarise: What did it say?" in said.out


def test_a_model_writes_the_summaries_and_is_paid(call: Call, flow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that loses a field is refused; one that leaves lists empty loses nothing that code finds."""
    asked: list[str] = []

    def behave(request: object) -> EmulatedReply:
        asked.append(request.messages[-1].text)  # type: ignore[attr-defined]
        fields = {name: [] for name in ("open_tasks", "paths", "errors", "decisions")}
        return EmulatedReply(json.dumps({"summary": "some work was done", **fields}))

    with Emulator(behaviour=behave) as emulator:
        for name, value in emulator.env().items():
            monkeypatch.setenv(name, value)
        said = call(
            "eval", "compaction", "--flow", "reader.py:reader", "--models", "live", "--seeds", "1", "--turns", "40"
        )
    assert said.code == 0, said.out + said.err
    assert asked
    assert all(ASKS in text for text in asked)
    assert "the summaries cost $" in said.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "x"], "--seeds x is no range"),
        (["--seeds", "3:3"], "between 1 and 1,000"),
        (["--models", "live"], "whose model"),
        (["--canaries", "own.jsonl"], "about a recorded run"),
        (["--run", "last"], "there is no store"),
        (["--agent", "reader"], "of which flow"),
        (["--flow", "reader.py:plain"], "no agent with a compaction"),
        (["--flow", "reader.py:reader", "--agent", "other"], "no agent 'other'"),
        (["--turns", "0"], "--turns"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(call: Call, flow: Path, arguments: list[str], says: str) -> None:
    said = call("eval", "compaction", *arguments)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert "  next: " in said.err


def test_a_canary_that_is_none_is_named_by_its_line(call: Call, flow: Path, folder: Path) -> None:
    call("run", "reader.py:reader", "--input", "Find it", "--models", "offline")
    (folder / "own.jsonl").write_text('{"question": "a", "expected": "b"}\n{"question": "a"}\n')
    said = call("eval", "compaction", "--run", "last", "--canaries", "own.jsonl")
    assert said.code == 2
    assert "own.jsonl, line 2: not a canary" in said.err
