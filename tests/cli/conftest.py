"""The command line as its users have it: a program in a folder, with stdout, stderr and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outlay.cli.group import cli

FLOWS = Path(__file__).parent / "flows" / "desk.py"
SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = [sys.executable, "-m", "outlay.cli"]
UNSET = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_BASE_URL",
    "OPENAI_BASE_URL",
    "OUTLAY_STORE",
    "CI",
    "NO_COLOR",
)


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Said]


def environment(**more: str) -> dict[str, str]:
    """The machine's own, without keys and without our settings."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET and not name.startswith("OUTLAY")}
    return {**kept, "PYTHONPATH": str(SOURCE), **more}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new folder to work in, with the flows as desk.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk.py").write_text(FLOWS.read_text("utf-8"), "utf-8")
    return tmp_path


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Run a command in this process."""
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    path, modules = sys.path[:], set(sys.modules)

    def call(*args: str, stdin: str | None = None) -> Said:
        result = CliRunner().invoke(cli, list(args), input=stdin, prog_name="outlay")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    yield call
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def program(folder: Path) -> Call:
    """Run a command as a process of its own."""

    def run(*args: str, **env: str) -> Said:
        done = subprocess.run(
            [*PROGRAM, *args], cwd=folder, env=environment(**env), capture_output=True, text=True, timeout=60
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def write_rows(path: Path, number: int) -> Path:
    path.write_text("".join(json.dumps({"id": f"r{i}", "text": f"row {i}"}) + "\n" for i in range(1, number + 1)))
    return path


def lines_of(path: Path) -> list[Any]:
    """The lines of an output file; each must be whole."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
