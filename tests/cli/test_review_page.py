"""docs/review.md: its snippets for CI run as they stand, in a real repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import environment

PAGE = (Path(__file__).parents[2] / "docs" / "review.md").read_text("utf-8")
FLOW = "from outlay import Agent\na = Agent('a', 'anthropic:claude-haiku-4-5', instructions='Be calm. ' * {})\n"
#: As GitHub and GitLab start the lines of a job.
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]


def block(heading: str) -> str:
    found = re.search(rf"## {heading}\n.*?```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def clone(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A repository whose branch made a prompt ten times as long, and the environment of a job."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "outlay").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m outlay.cli "$@"\n')
    (bin / "outlay").chmod(0o755)
    author = {f"GIT_{who}_{what}": "a@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = environment(PATH=f"{bin}:{os.environ['PATH']}", GIT_CONFIG_GLOBAL=os.devnull, **author)
    folder = tmp_path / "clone"
    folder.mkdir()
    for commands, times in (("git init -q -b main .", 10), ("git checkout -q -b change", 100)):
        (subprocess.run(commands.split(), cwd=folder, env=env, check=True))
        (folder / "flow.py").write_text(FLOW.format(times))
        for command in ("git add -A", "git commit -q -m files"):
            subprocess.run(command.split(), cwd=folder, env=env, check=True)
    return folder, env


def run(script: str, folder: Path, env: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BASH, script], cwd=folder, env=env | more, capture_output=True, text=True)


def test_the_step_for_github_writes_the_comment_and_fails_the_check(clone: tuple[Path, dict[str, str]]):
    """The exit code is that of outlay, though its output goes through a pipe."""
    folder, env = clone
    (script,) = re.findall(r"run: \|\n((?: {10}.*\n)+)", block("In GitHub Actions"))
    done = run(script, folder, env, BASE="main", HEAD="change", GITHUB_STEP_SUMMARY="summary.md")
    assert done.returncode == 1, done.stderr
    assert (folder / "cost.md").read_text() == (folder / "summary.md").read_text()
    assert (folder / "cost.md").read_text().startswith("### Cost of `main` → `change`")
    assert "✗ `a is over 10 %" in (folder / "cost.md").read_text()


def test_the_token_for_github_is_where_no_code_of_the_change_runs():
    steps = block("In GitHub Actions").split("      - ")
    assert [("outlay" in step.partition("run:")[2], "GH_TOKEN" in step) for step in steps[-2:]] == [
        (True, False),
        (False, True),
    ]


def test_the_job_for_gitlab_shows_the_comment_and_fails(clone: tuple[Path, dict[str, str]]):
    folder, env = clone
    lines = re.findall(r"^    - (?!if:|pip )(.*)$", block("In GitLab"), re.MULTILINE)
    done = run("\n".join(lines), folder, env, CI_MERGE_REQUEST_DIFF_BASE_SHA="main")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("### Cost of `main` → `HEAD`")


def test_the_hook_keeps_a_push_back(clone: tuple[Path, dict[str, str]]):
    """As git runs it: with its own variables set, which mean another place."""
    folder, env = clone
    subprocess.run(["git", "update-ref", "refs/remotes/origin/main", "main"], cwd=folder, env=env, check=True)
    hook = folder / "hook"
    hook.write_text(block("Before a push"))
    done = subprocess.run(["sh", "hook"], cwd=folder, env=env | {"GIT_DIR": ".git"}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "✗ a is over 10 %" in done.stderr
