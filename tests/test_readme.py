"""The README is part of the product: its programs run, its receipt is the demo's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from outlay.testing import Emulator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=[f"program-{i + 1}" for i in range(len(PROGRAMS))])
def test_every_python_program_runs_as_it_stands(program: str, tmp_path: Path) -> None:
    """Each block is a whole program; the providers it names are the emulator."""
    with Emulator() as emulator:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env=os.environ | emulator.env(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr


def test_the_receipt_is_the_one_that_the_demo_prints(tmp_path: Path) -> None:
    """The receipt on the first screen is real, to the character."""
    receipt = re.search(r"The receipt of `make demo`:.*?```text\n(.*?)```", README, re.DOTALL)
    assert receipt is not None
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-m", "outlay.cli", "demo"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert receipt[1].strip() in done.stdout


def test_every_relative_link_leads_somewhere() -> None:
    """A link to a file of the project names one that is there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
