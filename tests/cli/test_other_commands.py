"""`demo`, `init`, `doctor`, `emulator`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from decimal import Decimal
from pathlib import Path

import pytest
from cli_support import PROGRAM, Call, environment, lines_of

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_demo(program: Call):
    """Answers, hand-overs and the bill on stdout; without a key it says that stand-ins answer."""
    said = program("demo")
    assert said.code == 0
    assert said.err.startswith("triage · 42 messages · offline stand-ins (no money is spent; list prices shown)\n")
    lines = said.out.splitlines()
    assert sum(line.startswith("m") and " customer " in line for line in lines) == 23
    assert "19 of 42 handed to a human:" in lines
    assert any(line.startswith("  urgent            6  m03, m10, ") for line in lines)
    assert "42 runs · triage · 42 completed · 0 degraded" in lines
    assert "answer 23 · to human 19 (low confidence 13, urgent 6)" in lines


def test_the_demo_in_json_within_its_budget(call: Call):
    found = call("demo", "--json").json
    assert (found["rows"], found["stop_reason"], len(found["messages"])) == (42, "completed", 42)
    assert 0 < Decimal(found["cost"]) <= Decimal("0.50")


def test_the_demo_stops_at_its_budget(call: Call):
    said = call("demo", "--budget", "0.03", "--json")
    assert said.code == 3
    assert Decimal(said.json["cost"]) <= Decimal("0.03")
    assert "error: budget stop at $0.02" in said.err


def test_the_wheel_has_the_example():
    """What pyproject.toml puts there is what `demo` looks for."""
    import tomllib

    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert wheel["force-include"] == {"examples/triage": "outlay/_examples/triage"}


def test_init_writes_a_flow_that_runs_at_once(program: Call, folder: Path):
    said = program("init")
    assert (said.code, said.out) == (0, "wrote flow.py\nwrote questions.jsonl\n")
    assert program("run", "flow.py:desk", "--input", "When do you open?").code == 0
    mapped = program("map", "flow.py:desk", "--input", "questions.jsonl", "--output", "answers.jsonl", "--budget", "1")
    assert mapped.code == 0
    assert "reply 2 · to human 1 (complaint 1)" in mapped.out
    assert len(lines_of(folder / "answers.jsonl")) == 3


@pytest.mark.parametrize("name", ["flow.py", "questions.jsonl"])
def test_init_never_overwrites(name: str, call: Call, folder: Path):
    (folder / name).write_text("mine")
    said = call("init")
    assert said.code == 2
    assert said.err.startswith(f"error: {name} is here already: nothing was written\n")
    assert (folder / name).read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == sorted(["desk.py", name])


def test_the_doctor_finds_all_well(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    said = call("doctor")
    assert said.code == 0
    assert "✓ ANTHROPIC_API_KEY  set\n" in said.out
    assert "✓ prices             genai-prices " in said.out
    assert "secret" not in said.out + said.err


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ANTHROPIC_API_KEY", "sk-secret\n", "✗ ANTHROPIC_API_KEY  set, with spaces or line ends around it"),
        ("OPENAI_BASE_URL", "localhost:80/v1", "✗ OPENAI_BASE_URL    localhost:80/v1 is not an http address"),
        ("OUTLAY_PRICES", "none.toml", "✗ prices             "),
        ("OUTLAY_STORE", "desk.py", "✗ store              "),
    ],
)
def test_the_doctor_finds_what_is_broken(name: str, value: str, line: str, call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)
    said = call("doctor")
    assert said.code == 1
    assert line in said.out
    assert "secret" not in said.out


def test_the_doctor_hides_the_password_in_an_address(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:secret@localhost:9/v1?key=secret")
    assert "✓ OPENAI_BASE_URL    http://localhost:9/v1\n" in call("doctor").out


def test_the_doctor_in_json_makes_no_store(call: Call, folder: Path):
    found = {finding["name"]: finding for finding in call("doctor", "--json").json}
    assert found["store"]["state"] == "note"
    assert not (folder / ".outlay").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_emulator_prints_what_to_copy_and_answers(folder: Path):
    process = subprocess.Popen(
        [*PROGRAM, "emulator", "--flow", "desk.py:echo", "--fault", "529@1", "--fault=404@4"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = dict(process.stdout.readline().strip().removeprefix("export ").split("=", 1) for _ in range(4))
        assert set(lines) == {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"}
        done = subprocess.run(
            [*PROGRAM, "run", "desk.py:echo", "--input", "hello", "--json"],
            cwd=folder,
            env=environment(**lines),
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0
        assert "echo · live" in done.stderr
        assert json.loads(done.stdout)["output"] == "you said hello"
        taken = subprocess.run(
            [*PROGRAM, "emulator", "--port", lines["ANTHROPIC_BASE_URL"].rpartition(":")[2]],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert taken.returncode == 1
        assert "another program does" in taken.stderr
        with urllib.request.urlopen(
            urllib.request.Request(lines["OPENAI_BASE_URL"] + "/models", headers={"Authorization": "Bearer k"})
        ) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):  # the fourth: the first was tried again
            urllib.request.urlopen(
                urllib.request.Request(lines["OPENAI_BASE_URL"] + "/models", headers={"Authorization": "Bearer k"})
            )
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in err


@pytest.mark.parametrize("word", ["200@1", "fire=0.1", "429=much", "429=0.8", "529@0"])
def test_a_fault_that_is_none_is_a_usage_error(call: Call, word: str):
    said = call("emulator", "--fault", word, "--fault", "500=0.3")
    assert said.code == 2
    assert said.err.startswith("error: --fault: ")
    assert "next: outlay emulator --help" in said.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits.anthropic]\nconcurrency = 8\n[timeouts]\ntotal = 60", "✓ outlay.toml        limits, timeouts\n"),
        ("[limit.anthropic]\nconcurrency = 8", "✗ outlay.toml        nothing reads its table [limit]\n"),
        ("[limits.anthropic]\nspeed = 8", "limits.'anthropic', speed is unknown\n"),
        ("[timeouts]\ntotal = 0", "timeouts, total is a number above 0, not 0\n"),
        ("[check]\nsilenced = []", "check.silenced is unknown\n"),
    ],
)
def test_the_doctor_reads_all_of_the_settings(text: str, said: str, call: Call, folder: Path):
    """A table with a name that nothing reads would be left out of every run, without a word."""
    (folder / "outlay.toml").write_text(text)
    found = call("doctor")
    assert said in found.out
    assert found.code == (0 if said.startswith("✓") else 1)


def test_the_doctor_of_a_store_that_is_not_there(call: Call):
    said = call("doctor", "--store", "none.db")
    assert said.code == 1
    assert "there is no store at none.db\n" in said.out


def test_a_store_without_runs_says_how_to_have_one(call: Call, folder: Path):
    (folder / "empty.db").touch()
    assert call("runs", "--store", "empty.db").out == "no runs yet: outlay demo, or outlay run FLOW --input TEXT\n"
