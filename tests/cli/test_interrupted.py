"""Ctrl-C in commands that work in several processes: they end at once, and without a traceback of any of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_support import FLOWS, PROGRAM, environment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the processes in /proc")
CORES = len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else 1


def has_children(pid: int) -> bool:
    return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@pytest.mark.skipif(CORES == 1, reason="one core, one process")
@pytest.mark.parametrize(
    "words", [["simulate", "--seeds", "0:1000000"], ["forecast", f"{FLOWS}:echo", "--n", "1000000"]]
)
def test_ctrl_c_ends_all_processes_at_once(words: list[str], folder: Path):
    """A terminal sends it to each of them, wherever it is: importing, or at work."""
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not has_children(process.pid):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "interrupted"
