"""`outlay map`: a line an answer, and only unfinished rows when it is run again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cli_support import Call, Said, lines_of, write_rows

Map = Callable[..., Said]


@pytest.fixture
def map(call: Call) -> Map:
    """Map in.jsonl to out.jsonl; 20 rows unless the test wrote others."""

    def run(flow: str, *more: str, source: str = "in.jsonl", target: str = "out.jsonl") -> Said:
        return call("map", f"desk.py:{flow}", "--input", source, "--output", target, *more)

    return run


@pytest.fixture
def rows(folder: Path) -> Path:
    return write_rows(folder / "in.jsonl", 20)


@pytest.fixture
def out(folder: Path) -> Path:
    return folder / "out.jsonl"


def test_a_line_a_row(map: Map, rows: Path, out: Path):
    said = map("echo", "--json")
    lines = {line["id"]: line for line in lines_of(out)}
    assert said.code == 0
    assert len(lines) == 20
    line = lines["r7"]
    assert list(line) == ["id", "input", "output", "stop_reason", "degraded", "cost", "run_id"]
    assert (line["input"], line["output"], line["stop_reason"]) == ("row 7", "you said row 7", "completed")
    assert Decimal(line["cost"]) > 0


def test_the_summary_in_json(map: Map, rows: Path, out: Path):
    found = map("echo", "--json").json
    cost = sum(Decimal(line["cost"]) for line in lines_of(out))
    assert found.pop("seconds") > 0
    assert Decimal(found.pop("cost")) == Decimal(found.pop("at_least")) == cost
    assert (found.pop("in_doubt"), found.pop("unreported")) == ("0", 0)
    assert found == {
        "rows": 20, "done": 20, "degraded": 0, "failed": 0, "stop_reason": "completed", "ran": 20, "bad": 0,
    }  # fmt: skip


def test_the_receipt_for_people(map: Map, rows: Path):
    """The merged bill, the routes that were taken, and what a row costs; progress is on stderr."""
    said = map("desk")
    lines = [line for line in said.out.splitlines() if line]
    assert lines[0] == "20 runs · desk · 20 completed · 0 degraded"
    assert [line.split()[0] for line in lines[1:5]] == ["agent", "sorter", "echo", "total"]
    assert lines[5] == "echo 20"
    assert lines[6].startswith("per row P50 $0.0000")
    assert " · 20 rows in " in lines[6]
    assert lines[7:] == ["answered 20 of 20 in out.jsonl"]
    assert said.err.startswith("desk · 20 rows · offline stand-ins (no money is spent; list prices shown)\n")


def test_routes_are_counted_with_their_reasons(map: Map, folder: Path):
    (folder / "in.jsonl").write_text('{"text": "a"}\n{"text": "b!"}\n{"text": "c!"}\n')
    assert "\necho 1 · to human 2 (angry 2)\n" in map("desk").out


def test_run_again_there_is_nothing_to_do(map: Map, rows: Path, out: Path):
    map("echo")
    before = out.read_bytes()
    said = map("echo")
    assert (said.code, said.out) == (0, "nothing to do: 20 answers for 20 rows in out.jsonl\n")
    assert out.read_bytes() == before
    assert map("echo", "--json").json["cost"] == "0"


def test_new_rows_are_run_and_old_ones_are_not(map: Map, rows: Path, out: Path, folder: Path):
    map("echo")
    write_rows(rows, 25)
    found = map("echo", "--json")
    assert "going on: 20 of 25 rows are answered in out.jsonl" in found.err
    assert (found.json["done"], found.json["ran"]) == (25, 5)
    assert [line["id"] for line in lines_of(out)].count("r3") == 1


def test_failed_rows_are_answers_and_leave_the_exit_code(map: Map, rows: Path, out: Path):
    """Rows 3 and 13 fail: counted, written with their error, and not tried again."""
    said = map("picky", "--json")
    assert said.code == 0
    assert (said.json["done"], said.json["failed"], said.json["degraded"]) == (20, 2, 2)
    failed = [line for line in lines_of(out) if line["stop_reason"] == "error"]
    assert {line["id"] for line in failed} == {"r3", "r13"}
    assert failed[0]["error"] == "ValueError: no \x1b[31mthree\x1b[0m"
    assert (map("picky", "--json").json["failed"], map("picky", "--json").json["ran"]) == (2, 0)


# ── a budget ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_budget_stops_at_or_under_it_and_says_how_to_go_on(map: Map, rows: Path, out: Path):
    said = map("echo", "--budget", "0.0015", "--concurrency", "1")
    kept = len(lines_of(out))
    assert said.code == 3
    assert 0 < kept < 20
    assert sum(Decimal(line["cost"]) for line in lines_of(out)) <= Decimal("0.0015")
    first, place, left, saved, hint = said.err.splitlines()[-5:]
    assert first.startswith("error: budget stop at $0.00")
    assert first.endswith(" of $0.0015")
    assert place == f"  map echo · row {kept + 1} of 20 · at echo"
    assert left.startswith("  the next call reserves $0.00")
    assert saved == f"  kept: {kept} answers in out.jsonl, everything paid for is in .outlay/outlay.db"
    assert hint.startswith(
        "  next: outlay map desk.py:echo --input in.jsonl --output out.jsonl --concurrency 1 --budget "
    )
    assert hint.endswith(f"        goes on at row {kept + 1}")


def test_after_a_budget_stop_the_rest_is_run(map: Map, rows: Path, out: Path):
    """The budget is for what a command spends itself: the second one has its own."""
    kept = map("echo", "--budget", "0.0015", "--json").json
    assert kept["stop_reason"] == "budget"
    rest = map("echo", "--budget", "1", "--json")
    assert rest.code == 0
    assert rest.json["done"] == 20
    assert rest.json["ran"] == 20 - kept["done"]
    assert sorted(line["id"] for line in lines_of(out)) == sorted(f"r{i}" for i in range(1, 21))


def test_a_budget_too_small_for_one_call_spends_nothing(map: Map, rows: Path, out: Path):
    said = map("echo", "--budget", "0", "--json")
    assert (said.code, said.json["cost"], out.exists()) == (3, "0", False)


def test_a_limit_of_the_flow_itself_is_an_answer(map: Map, rows: Path, out: Path):
    """It would stop the row in the same way again."""
    assert map("short", "--json").code == 0
    assert {line["stop_reason"] for line in lines_of(out)} == {"budget"}


def test_rows_that_wait_for_a_human_are_not_written(map: Map, rows: Path, out: Path):
    said = map("ask")
    assert said.code == 4
    assert not out.exists()
    assert "error: 20 rows without an answer: rows wait for a human\n" in said.err


# ── what is in a row ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "more", "inputs"),
    [
        ('{"input": "a", "text": "b"}', (), ["a"]),
        ('{"text": "b", "other": 1}', (), ["b"]),
        ('{"text": "b", "other": 1}', ("--field", "other"), [1]),
        ('{"a": 1, "b": [2]}', (), [{"a": 1, "b": [2]}]),
        ('\ufeff{"text": "b"}\n\n  \n{"text": "c"}', (), ["b", "c"]),
    ],
)
def test_the_input_of_a_row(text: str, more: tuple[str, ...], inputs: list[Any], map: Map, folder: Path, out: Path):
    (folder / "in.jsonl").write_text(text, "utf-8")
    assert map("anything", *more).code == 0
    assert [line["input"] for line in lines_of(out)] == inputs
    assert [line["id"] for line in lines_of(out)] == list(range(1, len(inputs) + 1))


def test_csv_with_quotes_line_ends_and_a_byte_order_mark(map: Map, folder: Path, out: Path):
    (folder / "in.csv").write_bytes('\ufeffid,text\r\n7,"two\r\nlines, ""quoted"""\r\n8,grün\r\n'.encode())
    assert map("word", source="in.csv").code == 0
    assert {line["id"]: line["output"] for line in lines_of(out)} == {"7": 'TWO\r\nLINES, "QUOTED"', "8": "GRÜN"}


def test_rows_become_what_the_flow_takes(map: Map, folder: Path, out: Path):
    (folder / "in.csv").write_text("item,number\nlamp,2\n")
    assert map("order", source="in.csv").code == 0
    assert lines_of(out)[0]["output"] == "2 of lamp"


def test_half_characters_survive(map: Map, folder: Path, out: Path):
    (folder / "in.jsonl").write_text('{"text": "half \\ud83d"}\n')
    assert map("word").code == 0
    assert lines_of(out)[0]["input"] == "half \ud83d"


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────────────────

GOOD = b'{"id": 1, "text": "a"}\n'
BAD: list[tuple[str, bytes, str]] = [
    ("in.jsonl", b"", "in.jsonl has no rows"),
    ("in.jsonl", b"\n \n", "in.jsonl has no rows"),
    ("in.csv", b"id,text\n", "in.csv has no rows"),
    ("in.jsonl", GOOD + b'{"text": "b" "c"}\n', "cannot read in.jsonl line 2: not JSON (Expecting ',' at column 14)"),
    ("in.jsonl", GOOD + b'{"text": "b"\r\n{}\n', "cannot read in.jsonl line 2: not JSON (Expecting ',' at column 13)"),
    ("in.jsonl", GOOD + b'{"text": "b', "cannot read in.jsonl line 2: not JSON (Unterminated string at column 10)"),
    ("in.jsonl", GOOD + b'{"text": NaN}\n', "cannot read in.jsonl line 2: not JSON (NaN is no JSON value)"),
    ("in.jsonl", GOOD + b'{"text": "\xff"}\n', "cannot read in.jsonl line 2: not UTF-8 text (byte 11)"),
    (
        "in.jsonl",
        GOOD + b"[" * 100_000 + b"\n",
        "cannot read in.jsonl line 2: not JSON that can be read (nested too deeply)",
    ),
    ("in.jsonl", GOOD + b'["b"]\n', "cannot read in.jsonl line 2: not a JSON object but a list"),
    ("in.jsonl", GOOD + b'{"id": 2}\n', "cannot read in.jsonl line 2: it has no 'text'"),
    ("in.jsonl", GOOD + b'{"id": 2, "text": " "}\n', "cannot read in.jsonl line 2: its 'text' is empty"),
    ("in.jsonl", GOOD + b'{"id": 2, "text": null}\n', "cannot read in.jsonl line 2: its 'text' is null"),
    (
        "in.jsonl",
        GOOD + b'{"id": [2], "text": "b"}\n',
        "cannot read in.jsonl line 2: its id is a list, not text or a number",
    ),
    ("in.jsonl", GOOD + b'{"id": "1", "text": "b"}\n', "cannot read in.jsonl line 2: its id '1' is that of line 1 too"),
    (
        "in.jsonl",
        GOOD + b'{"id": 2, "text": {"b": 1}}\n',
        "cannot read in.jsonl line 2: the flow takes text, not an object",
    ),
    ("in.csv", b"id,text\n1,a\n2,b,c\n", "cannot read in.csv line 3: 3 columns, the header has 2"),
    ("in.csv", b'id,text\n1,a\n2,"b\n', "cannot read in.csv line 3: not CSV (unexpected end of data)"),
    ("in.csv", b"id,text,text\n1,a,b\n", "cannot read in.csv: its header names 'text' twice"),
    ("in.csv", b"id,text\n1,\xfcber\n", "cannot read in.csv: it is not UTF-8 text"),
    ("in.jsonl", b"\x7fELF\0\0\0", "cannot read in.jsonl: it is a binary file"),
    ("in.csv", b"PK\x03\x04xlsx", "cannot read in.csv: it is a binary file"),
    ("in.csv", "id,text\n1,a\n".encode("utf-16"), "cannot read in.csv: it is UTF-16 text"),
    ("in.xlsx", b"PK", "cannot tell what in.xlsx is: its name ends neither in .jsonl nor in .csv"),
]


@pytest.mark.parametrize(("name", "data", "error"), BAD, ids=[error[:60] for _, _, error in BAD])
def test_bad_input_is_named_before_anything_is_spent(
    name: str, data: bytes, error: str, map: Map, folder: Path, out: Path
):
    (folder / name).write_bytes(data)
    said = map("word", source=name)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {error}")
    assert "\n  next: " in said.err
    assert not (folder / ".outlay").exists()
    assert not out.exists()


def test_the_error_of_a_bad_row_in_full(map: Map, rows: Path):
    rows.write_text(rows.read_text() + "oops\n")
    assert map("word").err == (
        "error: cannot read in.jsonl line 21: not JSON (Expecting value at column 1)\n"
        "  20 rows before it are fine; nothing has been run or paid\n"
        "  next: fix the line, or --on-bad-row skip\n"
    )


@pytest.mark.parametrize("text", ['{"id": "r1", "text": "a"}\noops\n{"id": "r3"}\n{"id": "r4", "text": "b"}\n'])
def test_bad_rows_can_be_skipped(text: str, map: Map, folder: Path, out: Path):
    (folder / "in.jsonl").write_text(text)
    said = map("word", "--on-bad-row", "skip", "--json")
    assert said.code == 0
    assert said.err.startswith(
        "skipping 2 bad rows of in.jsonl:\n"
        "    line 2: not JSON (Expecting value at column 1)\n"
        "    line 3: it has no 'text'\n"
    )
    assert (said.json["rows"], said.json["done"], said.json["bad"]) == (4, 2, 2)
    assert {line["id"] for line in lines_of(out)} == {"r1", "r4"}


def test_rows_without_a_text_for_a_flow_that_takes_text(map: Map, folder: Path):
    (folder / "in.csv").write_text("id,message\n1,hello\n")
    said = map("word", source="in.csv")
    assert said.code == 2
    assert "line 2: the flow takes text, not an object; name its column with --field" in said.err
    assert "\n  next: --field message" in said.err


def test_whole_rows_are_said_to_be_the_input_where_a_column_may_have_been_meant(map: Map, folder: Path, out: Path):
    """Only of a flow that takes anything, and once: not where it says which object it wants."""
    (folder / "in.csv").write_text("id,message\n1,hello\n")
    note = "note: in.csv has no column input or text, so whole rows are the input (--field takes one of id, message)\n"
    assert note in map("echo", source="in.csv").err
    assert "note:" not in map("echo", source="in.csv").err  # nothing to do
    out.unlink()
    assert "note:" not in map("echo", "--field", "message", source="in.csv").err
    (folder / "in.csv").write_text("id,text,message\n1,hello,x\n")
    out.unlink()
    assert "note:" not in map("echo", source="in.csv").err


def test_a_field_that_is_not_there(map: Map, rows: Path):
    said = map("word", "--field", "message")
    assert said.code == 2
    assert said.err.startswith("error: in.jsonl has no column 'message'\n  its first row has: id, text\n")


def test_a_missing_input(map: Map):
    said = map("word")
    assert (said.code, said.err) == (
        2,
        "error: cannot read in.jsonl: no such file\n  nothing has been run or paid\n"
        "  next: --input FILE.jsonl or FILE.csv, one input a row\n",
    )


# ── the output file ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("in.jsonl", "error: in.jsonl is the input: a map never writes into it"),
        ("./sub/../in.jsonl", "error: sub/../in.jsonl is the input"),
        ("none/out.jsonl", "error: cannot write none/out.jsonl: there is no folder none\n  next: mkdir -p none"),
        ("sub", "error: cannot write sub: it is a folder"),
    ],
)
def test_an_output_that_cannot_be(target: str, error: str, map: Map, rows: Path, folder: Path):
    (folder / "sub").mkdir()
    before = rows.read_bytes()
    said = map("word", target=target)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(error)
    assert rows.read_bytes() == before
    assert not (folder / ".outlay").exists()


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write everywhere")
def test_an_output_that_is_read_only(map: Map, rows: Path, out: Path):
    out.touch(0o444)
    assert map("word").err.startswith("error: cannot write out.jsonl: permission denied")


def test_somebody_elses_file_is_left_alone(map: Map, rows: Path, out: Path):
    for text in ("dear diary", "dear diary\n", '{"id": 1}\n'):
        out.write_text(text)
        said = map("word")
        assert said.code == 2
        assert said.err.startswith("error: out.jsonl line 1 is not an answer of a map\n")
        assert out.read_text() == text


@pytest.mark.parametrize("cut", [1, 2, 5, 40])
def test_a_torn_last_line_is_repaired(cut: int, map: Map, rows: Path, out: Path):
    """A line without its end is completed if all of it is there, else cut off and run again."""
    map("word")
    out.write_bytes(out.read_bytes()[:-cut])
    said = map("word", "--json")
    assert said.code == 0
    assert said.json["done"] == 20
    assert said.json["ran"] == (0 if cut == 1 else 1)
    assert sorted(line["id"] for line in lines_of(out)) == sorted(f"r{i}" for i in range(1, 21))


def test_answers_that_belong_to_no_row_are_mentioned(map: Map, rows: Path):
    map("word")
    write_rows(rows, 19)
    assert "note: 1 answer in out.jsonl belongs to no row of in.jsonl\n" in map("word").err


def test_two_maps_do_not_write_into_one_file(map: Map, rows: Path, out: Path):
    fcntl = pytest.importorskip("fcntl")
    with out.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        said = map("word")
    assert said.code == 2
    assert said.err.startswith("error: another outlay map is writing to out.jsonl\n")


def test_the_shipped_messages(call: Call, folder: Path):
    """The main job, as the README has it."""
    example = Path(__file__).resolve().parents[2] / "examples" / "triage"
    said = call(
        "map", f"{example / 'flow.py'}:triage", "--input", str(example / "messages.jsonl"), "--output", "a.jsonl"
    )
    assert said.code == 0
    assert "\nanswer 23 · to human 19 (low confidence 13, urgent 6)\n" in said.out
    assert len(lines_of(folder / "a.jsonl")) == 42
    assert json.loads((folder / "a.jsonl").read_text().splitlines()[0])["output"]["to"] in ("customer", "human")


def test_the_receipt_says_what_rows_do_without_and_why(map: Map, rows: Path):
    """An unreachable provider, say, that a flow takes as a reason to go on with less: the exit code stays 0."""
    said = map("pair")
    assert said.code == 0
    assert "  without pair/picky: the worker failed: ValueError: no three (2 rows)" in said.out


def test_the_receipt_says_of_what_rows_failed(map: Map, rows: Path):
    assert "  ValueError: no three (2 rows)" in map("picky").out
