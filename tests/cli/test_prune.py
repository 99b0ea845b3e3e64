"""`runs prune`: what is old goes, after it was said what that is."""

from __future__ import annotations

import pytest
from cli_support import Call


@pytest.fixture
def runs(call: Call) -> list[str]:
    """Two runs that are over, and one that waits for a human."""
    call("run", "desk.py:ask", "--input", "x")
    return [call("run", "desk.py:desk", "--input", text, "--json").json["run_id"] for text in ("calm", "angry")]


def listed(call: Call) -> set[str]:
    return {run["run_id"] for run in call("runs", "--json").json}


def test_a_dry_run_says_what_would_go_and_changes_nothing(runs: list[str], call: Call):
    said = call("runs", "prune", "--older-than", "0d", "--dry-run")
    assert said.code == 0
    assert runs[0] in said.out
    assert "would delete 2 runs" in said.out
    assert "kept 1 run: waits for a human (outlay approvals shows what they wait for)" in said.out
    assert set(runs) <= listed(call)


def test_old_runs_go_and_one_that_waits_stays(runs: list[str], call: Call):
    said = call("runs", "prune", "--older-than", "0s", "--yes")
    assert "\ndeleted 2 runs" in said.out
    left = listed(call)
    assert len(left) == 1
    assert not left & set(runs)


def test_young_runs_stay(runs: list[str], call: Call):
    found = call("runs", "prune", "--older-than", "30d", "--yes", "--json").json
    assert found == {"runs": [], "kept": {}, "dry_run": False, "contents": 0, "freed_bytes": 0}
    assert len(listed(call)) == 3


def test_with_their_events_kept_runs_have_a_bill_and_cannot_go_on(runs: list[str], call: Call):
    before = call("bill", runs[0]).out
    assert "deleted the contents of 2 runs" in call("runs", "prune", "--older-than", "0s", "--keep-events", "--yes").out
    assert call("bill", runs[0]).out == before
    assert len(listed(call)) == 3


def test_nobody_to_ask_is_a_usage_error(runs: list[str], call: Call):
    said = call("runs", "prune", "--older-than", "0s")
    assert (said.code, said.out) == (2, "")
    assert "next: add --yes, or look with --dry-run" in said.err
    assert len(listed(call)) == 3


@pytest.mark.parametrize("age", ["30", "d", "-1d", "1y", "1d2h", ""])
def test_an_age_has_a_unit(age: str, call: Call):
    said = call("runs", "prune", "--older-than", age)
    assert said.code == 2
    assert "write 30d, 12h, 90m or 2w" in said.err


def test_the_store_may_stand_before_the_subcommand(runs: list[str], call: Call):
    said = call("runs", "--store", "nowhere.db", "prune", "--older-than", "1d", "--dry-run")
    assert said.code == 2
    assert "there is no store at nowhere.db yet" in said.err
