"""FLOW: by path or by module, with the user's own line where it does not import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cli_support import Call


def test_by_path_the_neighbours_of_the_file_can_be_imported(call: Call, folder: Path):
    (folder / "sub").mkdir()
    (folder / "sub" / "words.py").write_text("WORD = 'hello'")
    (folder / "sub" / "main.py").write_text("from words import WORD\ndef flow(x): return WORD + ' ' + x")
    assert call("run", "sub/main.py:flow", "--input", "you").out.startswith("hello you\n")


def test_by_module_from_the_current_folder(call: Call, folder: Path):
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").touch()
    (folder / "pack" / "flows.py").write_text("def flow(x): return x[::-1]")
    assert call("run", "pack.flows:flow", "--input", "abc").out.startswith("cba\n")


def test_a_file_named_like_a_module_does_not_replace_it(call: Call, folder: Path):
    (folder / "json.py").write_text("def flow(x: str) -> str: return x * 2")
    assert call("run", "json.py:flow", "--input", "a", "--json").json["output"] == "aa"


def test_a_missing_attribute_lists_the_nodes(call: Call):
    said = call("run", "desk.py:ehco", "--input", "x")
    assert said.code == 2
    assert said.err.startswith("error: desk.py has no 'ehco'\n  it has: echo (agent), chat (agent), mute (agent), ")
    assert said.err.endswith("\n  next: did you mean desk.py:echo?\n")


def test_no_attribute_lists_the_nodes(call: Call):
    said = call("run", "desk.py", "--input", "x")
    assert said.code == 2
    assert "error: FLOW 'desk.py' names no attribute: write desk.py:NAME\n  it has: echo (agent)" in said.err
    assert "\n  next: FLOW desk.py:" in said.err
    assert "\n  next: FLOW desk.py:" in call("run", "desk.py:zzz", "--input", "x").err


def test_what_is_no_node_is_named_for_what_it_is(call: Call):
    assert "error: desk.py:number is an int, not a flow" in call("run", "desk.py:number", "--input", "x").err
    assert "error: desk.py:Order is a class, not a flow" in call("run", "desk.py:Order", "--input", "x").err


@pytest.mark.parametrize(
    ("source", "error", "line"),
    [
        ("import os\nimport zork_that_is_not_there", "ModuleNotFoundError: No module named", "line 2: import zork"),
        ("x = (", "SyntaxError: '(' was never closed", "line 1: x = ("),
        ("def f():\n    return 1 / 0\n\nf()", "ZeroDivisionError: division by zero", "line 2: return 1 / 0"),
        (
            'from outlay import Agent\nAgent("a", "m", max_turns=0)',
            "ConfigError: agent 'a': max_turns",
            "line 2: Agent(",
        ),
        ("import sys\nsys.exit(3)", "it ends the program (SystemExit: 3)", "line 2: sys.exit(3)"),
    ],
)
def test_a_file_that_does_not_import_shows_its_line(source: str, error: str, line: str, call: Call, folder: Path):
    (folder / "bad.py").write_text(source)
    said = call("run", "bad.py:flow", "--input", "x")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: cannot import bad.py: {error}")
    assert f"\n  bad.py {line}" in said.err
    assert "Traceback" not in said.err


def test_a_module_that_is_not_installed_is_missed_by_the_python_that_runs_this(call: Call, folder: Path):
    """Often it is there, in another environment."""
    (folder / "bad.py").write_text("import nobody_has_it.at_all")
    said = call("run", "bad.py:flow", "--input", "x")
    assert said.err.endswith(f"\n  next: install nobody_has_it for {sys.executable}, which runs this\n")


def test_debug_shows_the_traceback(call: Call, folder: Path):
    (folder / "bad.py").write_text("1 / 0")
    assert "Traceback (most recent call last)" in call("run", "bad.py:flow", "--input", "x", "--debug").err


@pytest.mark.parametrize(
    ("flow", "error"),
    [
        ("nope.py:flow", "error: cannot read nope.py: it is not there\n  in .: desk.py\n"),
        ("nope.mod:flow", "error: there is no module 'nope.mod'\n"),
        ("./:flow", "error: cannot read .: it is a folder\n"),
    ],
)
def test_what_is_not_there(flow: str, error: str, call: Call):
    said = call("run", flow, "--input", "x")
    assert said.code == 2
    assert said.err.startswith(error)


def test_a_folder_is_told_to_be_one(call: Call, folder: Path):
    (folder / "sub").mkdir()
    (folder / "sub" / "main.py").touch()
    said = call("run", "sub", "--input", "x")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(
        "error: cannot read sub: it is a folder\n  in sub: sub/main.py\n  next: FLOW is path/to/"
    )


def test_an_address_that_is_wrong_is_named_for_its_option(call: Call):
    said = call("run", "desk.py:needy", "--input", "x", "--deps", "nope.py:deps")
    assert said.code == 2
    assert said.err.endswith("  next: --deps is path/to/file.py:attribute\n")
