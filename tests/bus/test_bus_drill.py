"""Processes that die: what `python -m bench.drill` does at full size, here in small, and its judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.drill import judge

from bus.conftest import Site

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_lost_or_done_twice_or_out_of_order_when_consumers_are_killed(site: Site):
    """Two publishers, three consumers, kill -9 at random: every delivery beyond the first is explained by a kill."""
    settings = ["--messages", "500", "--kills", "5", "--seed", "7", "--visibility", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.drill", site.url, *settings],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    verdict = json.loads(done.stdout)
    assert verdict["messages"] == 1_000
    assert verdict["kills"] == 5
    assert {name: verdict[name] for name in ("lost", "unexplained", "disordered", "overlapping")} == {
        "lost": 0,
        "unexplained": 0,
        "disordered": 0,
        "overlapping": 0,
    }


GOOD = ["start 1 a 0", "done 1 a 0", "acked 1 a 0", "start 2 a 1", "done 2 a 1", "acked 2 a 1"]


@pytest.mark.parametrize(
    ("lines", "killed", "wrong"),
    [
        (GOOD, [], {}),
        (["start 3 a 0", *GOOD], [3], {}),
        (["start 3 a 0", "done 3 a 0", *GOOD], [3], {}),
        (["start 3 a 0", *GOOD], [], {"unexplained": 1}),
        (["start 3 a 0", *GOOD, "expired 3 a 0"], [], {}),
        (GOOD[:3], [], {"lost": 1}),
        ([*GOOD, "start 2 a 0"], [2], {"unexplained": 1, "disordered": 1}),
        ([GOOD[0], *GOOD[3:], *GOOD[1:3]], [], {"overlapping": 1}),
        (GOOD[3:] + GOOD[:3], [], {"disordered": 2, "overlapping": 1}),
    ],
)
def test_the_judge_sees_what_went_wrong(lines: list[str], killed: list[int], wrong: dict[str, int]):
    verdict = judge(lines, killed, 2, 0)
    counted = {"lost": 0, "unexplained": 0, "disordered": 0, "overlapping": 0} | wrong
    assert {name: getattr(verdict, name) for name in counted} == counted
    assert verdict.ok == (not wrong)
