"""`outlay report`: from stored runs to figures, as text, HTML and JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import Call, write_rows


@pytest.fixture
def mapped(call: Call, folder: Path) -> None:
    """Twenty-four runs on stand-ins."""
    write_rows(folder / "in.jsonl", 24)
    call("map", "desk.py:echo", "--input", "in.jsonl", "--output", "out.jsonl")


@pytest.mark.usefixtures("mapped")
def test_a_week_of_runs(call: Call):
    said = call("report", "--week")
    assert said.code == 0
    assert said.out.startswith("report · 7 days, ")
    assert "24 tasks, $0.0" in said.out
    assert "echo (offline)      24" in said.out
    assert "not known" in said.out


@pytest.mark.usefixtures("mapped")
def test_json_agrees_with_the_bills(call: Call):
    found = call("report", "--json").json
    bills = [call("bill", run["run_id"], "--json").json for run in call("runs", "--limit", "3", "--json").json]
    assert found["tasks"] == 24
    assert len({found["workloads"][0]["flow"], "echo"}) == 1
    assert float(found["spent"]) == pytest.approx(sum(float(bill["total"]) for bill in bills) * 8, rel=0.1)


@pytest.mark.usefixtures("mapped")
def test_the_page_is_a_file(call: Call, folder: Path):
    said = call("report", "--day", "--html", "week.html")
    assert "report in week.html" in said.err
    assert (folder / "week.html").read_text("utf-8").startswith("<!doctype html>")
    missing = call("report", "--html", "no/week.html")
    assert (missing.code, "next: mkdir -p no" in missing.err) == (2, True)


@pytest.mark.usefixtures("mapped")
def test_periods_and_flows_without_runs_are_said(call: Call):
    for arguments in (
        ("--until", "2020-01-08"),
        ("--flow", "nobody"),
        ("--since", "2019-01-01", "--until", "2019-01-02"),
    ):
        said = call("report", *arguments)
        assert said.code == 0
        assert "0 tasks, $0.0000" in said.out
        assert "outlay runs lists what there is" in said.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--since", "yesterday"), "'yesterday' is no time that a run could have begun at"),
        (("--since", "7d", "--until", "14d"), "the period ends before it begins"),
        (("--since", "7d", "--week"), "two beginnings"),
        ((), "there is no store at .outlay/outlay.db yet"),
    ],
)
def test_what_makes_no_report_is_refused(call: Call, arguments: tuple[str, ...], error: str):
    said = call("report", *arguments)
    assert said.code == 2
    assert error in said.err
    assert "next: " in said.err
