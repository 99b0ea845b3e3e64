"""`--help` is fast and imports nothing heavy; usage errors name the right word."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cli_support import Call, environment

from outlay.cli.group import COMMANDS

HEAVY = {"pydantic", "aiohttp", "genai_prices", "rich", "msgspec", "outlay.runtime", "outlay.agents", "sqlite3"}


def test_help_lists_every_command_on_stdout(call: Call):
    said = call("--help")
    assert said.code == 0
    assert said.err == ""
    assert all(f"\n  {name} " in said.out for name in COMMANDS)


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom outlay.cli import main\nsys.argv = ['outlay', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert set(done.stderr.split()) & HEAVY == set()


def test_it_is_a_module_too():
    """For whoever has it installed and not on the path."""
    done = subprocess.run(
        [sys.executable, "-m", "outlay", "--version"], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "outlay")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_its_options(name: str, call: Call):
    said = call(name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: outlay {name} ")
    assert "--debug" in said.out


def test_a_mistyped_command_is_guessed(call: Call):
    said = call("mpa")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error: there is no command 'mpa'\n  next: outlay map\n"


def test_a_missing_argument_points_to_the_help(call: Call):
    said = call("run")
    assert said.code == 2
    assert said.err == "error: Missing argument 'FLOW'.\n  next: outlay run --help\n"


def test_the_version(call: Call):
    assert call("--version").out.startswith("outlay 0.")


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "much"])
def test_a_budget_is_an_amount_of_money(amount: str, call: Call):
    said = call("run", "desk.py:echo", "--input", "x", "--budget", amount)
    assert said.code == 2
    assert said.err.startswith("error: Invalid value for '--budget': ")


@pytest.mark.parametrize("words", [[], ["router"], ["cache"], ["eval"]], ids=" ".join)
def test_a_command_that_was_left_out_is_no_error_of_its_own(words: list[str], call: Call):
    """The help, on stderr, as it would be asked for; a program sees that nothing was done."""
    said = call(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err == call(*words, "--help").out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["forecast", "a.py:f", "--n", "x"], "Invalid value for '--n': 'x' is not a whole number."),
        (["emulator", "--port", "x"], "Invalid value for '--port': 'x' is not a whole number."),
        (["emulator", "--latency", "x"], "Invalid value for '--latency': 'x' is not a number."),
        (["run", "a.py:f", "--watchdog"], "Option '--watchdog' requires an argument."),
    ],
)
def test_a_wrong_value_is_told_in_words_of_people(words: list[str], text: str, call: Call):
    said = call(*words)
    assert (said.code, said.err) == (2, f"error: {text}\n  next: outlay {words[0]} --help\n")


def test_an_error_of_ours_says_how_to_see_where(call: Call, monkeypatch: pytest.MonkeyPatch):
    """An exception that nobody foresaw has no hint of its own."""

    def broken() -> None:
        raise OSError("no space left")

    monkeypatch.setattr("outlay.cli.doctor.platform.python_version", broken)
    said = call("doctor")
    assert (said.code, said.err) == (
        1,
        "error: OSError: no space left\n  next: the same command with --debug shows where\n",
    )
