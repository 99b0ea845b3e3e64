"""The command line as its users have it: a program in a folder, with stdout, stderr and an exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import FLOWS, PROGRAM, UNSET, Call, Said, environment
from click.testing import CliRunner

from outlay.cli.group import cli


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
