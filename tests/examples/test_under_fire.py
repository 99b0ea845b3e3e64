"""examples/under_fire.py: forty bad minutes, each of which ends as the flow has declared."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "examples/under_fire.py"


def test_every_minute_ends_as_declared_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    lines = runpy.run_path(str(PROGRAM))["main"]()
    told = capsys.readouterr().err
    assert len(lines) == 40
    assert all("From the article on" in line for line in lines[:10])
    assert [n for n, line in enumerate(lines) if "hedge" in line] == [7, 19]
    assert "$0.02 + $0.01 in doubt" in lines[7]
    assert all("ConnectionError" in line for line in lines[10:13])
    assert all("what I remember" in line for line in lines[13:17])  # and from here on once a probe it is asked again
    assert all("its answer of" in line for line in lines[30:39])
    assert "stopped by the watchdog" in lines[39]
    assert "find does not answer and is left alone" in told
    assert "watchdog: find: the same call 5 times" in told
