"""kill -9 at every event of a nested flow: what finished is not repeated, what was in flight is seen, the answer is
the undisturbed one, and a tool with a side effect runs at most once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

CHILD = Path(__file__).with_name("kill_child.py")


def points(store: str, folder: Path, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The undisturbed run, and what happened at each point."""
    done = subprocess.run(
        [sys.executable, str(CHILD), store, str(folder), str(seed)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    quiet, *found = map(json.loads, done.stdout.splitlines())
    return quiet["quiet"], found


def check(quiet: dict[str, Any], found: list[dict[str, Any]]) -> None:
    assert quiet["stop_reason"] == "completed"
    assert len(found) > 60
    for point in found:
        n, left, second, last = point["n"], point["left"], point["second"], point["last"]
        begun, done = Counter(left["begun"]), Counter(left["done"])
        # no effect that was recorded as finished is repeated, and nothing was sent whose intent is not recorded
        again = Counter[str]()
        for line, times in point["called_again"].items():
            again[line.split(" ")[0]] += times
        before = Counter[str]()
        for line, times in point["called_before"].items():
            before[line.split(" ")[0]] += times
        assert not before - begun, (n, before, begun)
        for path, times in again.items():
            assert done[path] + times <= _whole(found, path), (n, path)
        # every one in flight is flagged
        if begun - done and second["stop_reason"] == "completed":
            assert float(second["in_doubt"]) > 0, n
        # the mail goes out at most once, and nobody sends it again without being asked
        assert point["mailed"][1] <= 1, n
        assert point["mailed"][2] <= 1, n
        if "send" in left["tools_in_doubt"]:
            assert second["pending"] == ["in_doubt"], n
        else:
            assert second["stop_reason"] == "completed", (n, second["error"])
        assert last["output"] == quiet["output"], (n, last)
        assert last["stop_reason"] == "completed", (n, last["error"])


def _whole(found: list[dict[str, Any]], path: str) -> int:
    """How often an undisturbed run calls at this path."""
    return 2 if path.endswith(("/send", "/write")) else 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_every_event_on_sqlite(tmp_path: Path, seed: int) -> None:
    check(*points(str(tmp_path / "{n}.db"), tmp_path, seed))


def test_killed_at_every_event_on_postgresql(tmp_path: Path, postgres: str) -> None:
    check(*points(postgres, tmp_path, 4))
