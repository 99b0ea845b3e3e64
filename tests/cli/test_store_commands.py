"""`runs`, `bill`, `trace`: what is in the store, by the beginning of an id or `last`."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cli_support import Call

COLUMNS = [
    "time",
    "trace_id",
    "path",
    "agent",
    "model",
    "returned_model",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "ttft_ms",
    "latency_ms",
    "stop_reason",
    "tools",
    "thinking",
    "confidence",
    "route",
    "retries",
    "error_type",
    "cost",
]


@pytest.fixture
def run_id(call: Call) -> str:
    """A run of the desk in the default store; its input is markup."""
    call("run", "desk.py:picky", "--input", "3")
    return call("run", "desk.py:desk", "--input", "<b>calm</b> \x1b[31m", "--json").json["run_id"]


def test_runs_lists_the_newest_last(run_id: str, call: Call):
    head, first, second, _, total = call("runs").out.splitlines()
    assert head.split() == ["run", "started", "flow", "outcome", "calls", "seconds", "cost"]
    assert re.search(r"  picky  ✗ error( · \w+)? +0 ", first)
    assert second.startswith(run_id)
    assert "desk   ✓ completed · offline" in second
    assert total == "2 runs"


def test_runs_shows_at_most_so_many(run_id: str, call: Call):
    said = call("runs", "--limit", "1")
    assert "picky" not in said.out
    assert said.out.endswith("\n2 runs, the newest 1 shown\n")


def test_runs_in_json(run_id: str, call: Call):
    found = call("runs", "--json").json[-1]
    assert (found["run_id"], found["flow"], found["stop_reason"], found["calls"]) == (run_id, "desk", "completed", 2)
    assert Decimal(found["cost"]) > 0


@pytest.mark.parametrize("name", ["last", "start", "whole"])
def test_the_bill_is_that_of_the_run(name: str, run_id: str, call: Call):
    said = call("bill", {"last": "last", "start": run_id[:6], "whole": run_id}[name])
    lines = said.out.splitlines()
    assert lines[0].startswith(f"run {run_id} · desk · completed in ")
    assert [line.split()[0] for line in lines[3:6]] == ["sorter", "echo", "total"]


def test_the_bill_and_the_trace_agree(run_id: str, call: Call):
    bill = call("bill", run_id, "--json").json
    rows = rows_of(call, run_id)
    assert Decimal(bill["total"]) == sum(Decimal(row["cost"]) for row in rows)
    assert {line["agent"] for line in bill["lines"]} == {row["agent"] for row in rows}
    assert (bill["in_doubt"], bill["doubtful"], bill["unreported"]) == ("0", 0, 0)


def test_the_bill_of_several_runs(run_id: str, call: Call):
    other = call("run", "desk.py:echo", "--input", "x", "--json").json
    whole = Decimal(call("bill", run_id, other["run_id"], "--json").json["total"])
    assert whole == Decimal(call("bill", run_id, "--json").json["total"]) + Decimal(other["cost"])


def rows_of(call: Call, run: str, *more: str) -> list[dict[str, Any]]:
    said = call("trace", run, "--format", "jsonl", *more)
    return [json.loads(line, parse_float=Decimal) for line in said.out.splitlines()]


def test_the_trace_as_a_tree(run_id: str, call: Call):
    lines = call("trace", "last").out.splitlines()
    assert lines[0].startswith(f"✓ run {run_id} · desk · ")
    assert lines[1].startswith("└─ ✓ desk · Router · ")
    assert lines[2].startswith("   ├─ ✓ sorter · agent · ")
    assert not any("calm" in line for line in lines)


def test_the_tree_with_contents(run_id: str, call: Call):
    said = call("trace", "last", "--content")
    assert "  user: <b>calm</b>" in said.out
    assert "  assistant: you said <b>calm</b>" in said.out
    assert "\x1b" not in said.out


def test_the_trace_has_a_row_a_call(run_id: str, call: Call):
    rows = rows_of(call, run_id)
    assert [list(row) for row in rows] == [[*COLUMNS, "input", "output"]] * 2
    assert [row["agent"] for row in rows] == ["sorter", "echo"]
    assert {(row["trace_id"], row["route"]) for row in rows} == {(run_id, "echo")}
    assert "user: <b>calm</b>" in rows[0]["input"]
    assert rows[1]["output"] == "assistant: you said <b>calm</b> \x1b[31m"


def test_contents_can_be_left_out(run_id: str, call: Call):
    assert [list(row) for row in rows_of(call, run_id, "--no-content")] == [COLUMNS] * 2


def test_instructions_are_part_of_the_input(call: Call, folder: Path):
    (folder / "told.py").write_text(
        "from outlay import Agent\na = Agent('a', 'anthropic:claude-haiku-4-5', instructions='Be brief.', "
        "offline=lambda r: 'ok')"
    )
    call("run", "told.py:a", "--input", "x")
    assert rows_of(call, "last")[0]["input"] == "system: Be brief.\n\nuser: x"


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_self_contained_and_escaped(run_id: str, call: Call):
    page = Page(call("trace", run_id, "--format", "html", "--content").out)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "b"})
    assert "user: <b>calm</b>" in page.text
    assert "\x1b" not in page.text


def test_the_page_has_no_contents_by_default(run_id: str, call: Call):
    assert "calm</b>" not in Page(call("trace", run_id, "--format", "html").out).text


@pytest.mark.parametrize("command", ["runs", "bill", "trace"])
def test_a_store_that_is_not_there_is_not_made(command: str, call: Call, folder: Path):
    said = call(command, *(() if command == "runs" else ("last",)))
    assert said.code == 2
    assert said.err == (
        "error: there is no store at .outlay/outlay.db yet\n"
        "  next: outlay demo makes one; or name another with --store or OUTLAY_STORE\n"
    )
    assert not (folder / ".outlay").exists()


def test_a_run_that_is_not_there(run_id: str, call: Call):
    said = call("bill", "zzz")
    assert said.code == 2
    assert (
        said.err == "error: there is no run 'zzz' in the store\n  next: outlay runs lists them; `last` is the newest\n"
    )


def test_a_beginning_that_several_runs_share(call: Call):
    for _ in range(17):  # one more than there are first digits
        call("run", "desk.py:word", "--input", "x")
    ids = [run["run_id"] for run in call("runs", "--json").json]
    shared = next(id[0] for id in ids if sum(other[0] == id[0] for other in ids) > 1)
    said = call("bill", shared)
    assert said.code == 2
    assert re.match(rf"error: \d+ runs begin with '{shared}': ", said.err)


def test_the_doctor_reads_all_of_a_store(run_id: str, call: Call):
    said = call("doctor", "--store")
    assert said.code == 0
    assert re.search(r"✓ runs +2 runs · 0 going · 0 waiting for a human · 0 without contents\n", said.out)
    assert "✓ integrity          everything is as it was written\n" in said.out
    assert "integrity" not in call("doctor").out


def test_the_doctor_names_what_was_tampered_with(run_id: str, call: Call, folder: Path):
    import sqlite3

    hand = sqlite3.connect(folder / ".outlay" / "outlay.db")
    hand.execute("UPDATE events SET body = '{}' WHERE kind = 'run_started' AND id >> 32 = 2")
    hand.commit()
    hand.close()
    said = call("doctor", "--store", ".outlay/outlay.db")
    assert said.code == 1
    assert f"event 0 of run {run_id} is not what was written" in said.out
    found = [finding for finding in call("doctor", "--store", "--json").json if finding["name"] == "damage"]
    assert found
    assert all(finding["state"] == "broken" for finding in found)
