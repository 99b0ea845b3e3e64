"""`outlay run`: the output and the bill on stdout, all else on stderr, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import Call

NOTICE = """\
echo · offline stand-ins (no money is spent; list prices shown)
  ANTHROPIC_API_KEY is not set: offline stand-ins answer, not models
"""


def test_the_output_and_the_bill(program: Call):
    """Results to stdout, progress to stderr; without a key the stand-ins answer, and it says so."""
    said = program("run", "desk.py:echo", "--input", "hello")
    assert said.code == 0
    assert said.err == NOTICE
    output, head, columns, line, total = [line for line in said.out.splitlines() if line]
    assert output == "you said hello"
    assert head.startswith("run ")
    assert " · echo · completed in " in head
    assert columns.split()[:3] == ["agent", "model", "calls"]
    assert line.split()[:3] == ["echo", "claude-haiku-4-5", "1"]
    assert total.split()[0] == "total"


def test_json_is_one_document(call: Call):
    found = call("run", "desk.py:echo", "--input", "hello", "--json").json
    assert found["output"] == "you said hello"
    assert found["stop_reason"] == "completed"
    assert found["degraded"] is False
    assert found["cost"].startswith("0.0000")
    assert found["agents"] == {"echo": found["cost"]}


def test_a_session_goes_on_in_the_next_process(program: Call):
    """Two commands are one conversation; without `--session` a run stands alone."""
    for options, heard in ((("--session", "s"), 1), (("--session", "s"), 3), ((), 1)):
        assert program("run", "desk.py:chat", "--input", "hello", *options).out.startswith(f"heard {heard}\n")


def test_asked_for_offline_there_is_no_notice(call: Call):
    assert "is not set" not in call("run", "desk.py:echo", "--input", "x", "--models", "offline").err


def test_what_the_users_file_prints_is_no_result(call: Call):
    said = call("run", "desk.py:loud", "--input", "x", "--json")
    assert "noise on stdout" in said.err
    assert said.json["stop_reason"] == "completed"


def test_terminal_controls_are_stripped(call: Call):
    assert call("run", "desk.py:loud", "--input", "x").out.startswith("plain text\n")


def test_what_a_completed_run_does_without_is_said(call: Call):
    """A line a part, with the reason, beside the results; what the reason quotes cannot write to the terminal."""
    said = call("run", "desk.py:pair", "--input", "x3", "--models", "offline")
    assert said.code == 0
    assert json.loads(said.out.split("\n\n")[0]) == {"word": "X3"}
    assert said.err.splitlines()[-1] == "  without pair/picky: the worker failed: ValueError: no three"


def test_an_error_shows_the_users_line_and_exits_1(call: Call):
    said = call("run", "desk.py:picky", "--input", "3")
    assert said.code == 1
    first, line, run, hint = said.err.splitlines()[-4:]
    assert first == "error: ValueError: no three"
    assert line.startswith("  desk.py line ")
    assert line.endswith('raise ValueError("no \\x1b[31mthree\\x1b[0m")')
    assert run.endswith(" · picky")
    assert hint.startswith("  next: outlay trace ")


def test_a_budget_stop_exits_3(call: Call):
    said = call("run", "desk.py:echo", "--input", "hello", "--budget", "0.0001")
    assert said.code == 3
    assert "stopped by the budget" in said.out
    assert "error: budget stop at $0.0000 of $0.0001\n" in said.err
    assert "\n  the next call reserves $0." in said.err
    assert "\n  kept: everything paid for is in .outlay/outlay.db\n" in said.err


def test_a_question_to_a_human_exits_4(call: Call):
    said = call("run", "desk.py:ask", "--input", "x")
    assert said.code == 4
    assert "error: waiting for a human: Shall I?" in said.err


def test_neither_key_nor_stand_in_is_a_usage_error(call: Call):
    said = call("run", "desk.py:mute", "--input", "x")
    assert said.code == 2
    assert said.err == (
        "error: ANTHROPIC_API_KEY is not set, and agent 'mute' has no offline stand-in\n"
        "  next: set ANTHROPIC_API_KEY, or give Agent('mute', …, offline=lambda request: …)\n"
    )


def test_a_key_makes_it_live(call: Call, monkeypatch: pytest.MonkeyPatch):
    """Nothing answers at that address: a live run fails, and offline would not."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert "echo · live\n" in call("run", "desk.py:word", "--input", "x").err.replace("word", "echo")


@pytest.mark.parametrize(("given", "output"), [("@in.txt", "you said from a file"), ("-", "you said from stdin")])
def test_input_from_a_file_or_stdin(given: str, output: str, call: Call, folder: Path):
    (folder / "in.txt").write_text("from a file")
    assert call("run", "desk.py:echo", "--input", given, stdin="from stdin").out.startswith(output + "\n")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (None, "error: cannot read in.txt: No such file or directory"),
        (b"  \n", "error: in.txt is empty"),
        (b"\xff\xfe\x00", "error: in.txt is not UTF-8 text (byte 1)"),
    ],
)
def test_an_input_file_that_cannot_be_used(data: bytes | None, error: str, call: Call, folder: Path):
    if data is not None:
        (folder / "in.txt").write_bytes(data)
    said = call("run", "desk.py:echo", "--input", "@in.txt")
    assert said.code == 2
    assert said.err.startswith(error)


def test_where_the_root_takes_no_text_the_input_is_json(call: Call):
    assert call("run", "desk.py:order", "--input", '{"item": "lamp", "number": 2}').out.startswith("2 of lamp\n")


def test_input_that_is_not_the_json_it_should_be(call: Call):
    said = call("run", "desk.py:order", "--input", "a lamp")
    assert said.code == 2
    assert said.err.startswith(
        "error: the flow takes Order, so the input must be JSON; --input is not (Expecting value at line 1, column 1)\n"
        "  it begins 'a lamp'\n"
    )


def test_json_that_does_not_fit(call: Call):
    said = call("run", "desk.py:order", "--input", '{"item": "lamp"}')
    assert said.code == 2
    assert said.err == "error: --input does not fit the flow's input: number: Field required (Order)\n"


def test_deps_come_from_a_factory(call: Call):
    said = call("run", "desk.py:needy", "--input", "x", "--deps", "desk.py:make_deps")
    assert said.out.startswith("deps x\n")
    assert "making deps" in said.err


def test_a_store_that_is_none_is_a_usage_error(call: Call, folder: Path):
    (folder / "file.txt").write_text("not a store")
    said = call("run", "desk.py:word", "--input", "x", "--store", "file.txt")
    assert said.code == 2
    assert "it is not an Outlay store" in said.err


def test_the_store_is_an_option_or_a_variable(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch):
    call("run", "desk.py:word", "--input", "x")
    monkeypatch.setenv("OUTLAY_STORE", "b.db")
    call("run", "desk.py:word", "--input", "x")
    call("run", "desk.py:word", "--input", "x", "--store", "c.db")
    assert all((folder / name).is_file() for name in (".outlay/outlay.db", "b.db", "c.db"))
