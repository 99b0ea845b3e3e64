"""`outlay fork`: branch off a run from the command line, on what it has paid for."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import Call

FLOW = """
from outlay import Agent
from outlay.patterns import Pipeline


def said(name):
    def answer(request):
        with open("asked.txt", "a") as file:
            file.write(f"{name}:{request.text}\\n")
        return f"{name}({request.text})"

    return answer


model = "anthropic:claude-haiku-4-5"
a = Agent("a", model, offline=said("a"))
b = Agent("b", model, instructions="Old.", offline=said("b"))
flow = Pipeline(a, b, Agent("c", model, offline=said("c")), name="line")
"""


@pytest.fixture
def line(folder: Path, call: Call) -> Path:
    """A folder with a run of three agents in it."""
    (folder / "line.py").write_text(FLOW, "utf-8")
    assert call("run", "line.py:flow", "--input", "x", "--models", "offline").code == 0
    (folder / "asked.txt").unlink()
    return folder


def asked(folder: Path) -> list[str]:
    return (folder / "asked.txt").read_text().splitlines()


def test_a_path_is_done_again(line: Path, call: Call):
    """Its new answer is the old one here, so what depends on it is given again."""
    forked = call("fork", "last", "--at", "line/b", "--json").json
    assert forked["output"] == "c(b(a(x)))"
    assert asked(line) == ["b:a(x)"]


def test_a_node_inside_gets_another_input(line: Path, call: Call):
    """What depends on it runs too, and only that is paid."""
    forked = call("fork", "last", "--at", "line/b", "--input", "other", "--json").json
    assert forked["output"] == "c(b(other))"
    assert asked(line) == ["b:other", "c:b(other)"]
    assert call("runs").out.count("line") >= 2


def test_a_new_prompt_is_tried_on_the_old_run(line: Path, call: Call):
    """Without a path only what has changed is asked again; another input for the run changes everything."""
    (line / "newer.py").write_text(FLOW.replace("Old.", "New."), "utf-8")
    assert call("fork", "last", "newer.py:flow", "--json").json["output"] == "c(b(a(x)))"
    assert asked(line) == ["b:a(x)"]
    assert call("fork", "last", "--input", "y", "--json").json["output"] == "c(b(a(y)))"
    assert len(asked(line)) == 4


def test_an_unknown_path_is_named(line: Path, call: Call):
    done = call("fork", "last", "--at", "line/bb")
    assert done.code == 2
    assert "did you mean line/b" in done.err


def test_a_fork_has_a_budget_of_its_own(line: Path, call: Call):
    """And is resumed like any run."""
    stopped = call("fork", "last", "--input", "y", "--budget", "0.000001")
    assert stopped.code == 3
    assert call("resume", "last", "--budget", "1", "--json").json["output"] == "c(b(a(y)))"
