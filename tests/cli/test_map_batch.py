"""`outlay map --lane batch`: half the price, and a command that may be stopped and typed again at any time."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from cli_support import PROGRAM, Call, Said, environment, lines_of, write_rows

from outlay.testing import Emulator

FLOW = """
from outlay import Agent, Budget
def shout(request):
    return request.text.upper()
clerk = Agent("clerk", "anthropic:claude-haiku-4-5", max_output_tokens=100, offline=shout)
hasty = clerk.replace(name="hasty", budget=Budget(seconds=60))
"""
MAP = ["map", "batch.py:clerk", "--input", "in.jsonl", "--output", "out.jsonl", "--lane", "batch"]


class Clock:
    def __init__(self) -> None:
        self.later = 0.0

    def __call__(self) -> float:
        return time.time() + self.later


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rows(folder: Path) -> Path:
    (folder / "batch.py").write_text(FLOW)
    return write_rows(folder / "in.jsonl", 12)


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with Emulator(behaviour=lambda request: request.text.upper(), batch_seconds=3_600, clock=clock) as emulator:
        yield emulator


def submissions(emulator: Emulator) -> int:
    return sum(record.method == "POST" for record in emulator.requests)


def until(happened: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_offline_it_is_one_batch_and_the_receipt_says_what_it_saved(call: Call, rows: Path, folder: Path) -> None:
    """The same flow, without a key; the answers of the stand-ins, at half of the list price."""
    said = call(*MAP, "--models", "offline")
    assert said.code == 0
    assert {line["id"]: line["output"] for line in lines_of(folder / "out.jsonl")}["r7"] == "ROW 7"
    assert re.search(r"^saved \$0\.0\d+ by batch \(12 calls\)$", said.out, re.MULTILINE)
    assert "sent: 12 calls, answered within a day" in said.err
    assert "all 12 answered after" in said.err
    live = call(*MAP[:5], "live.jsonl", "--models", "offline", "--json")
    batch = call(*MAP[:5], "again.jsonl", "--lane", "batch", "--models", "offline", "--json")
    assert Decimal(batch.json["cost"]) * 2 == Decimal(live.json["cost"])


def start(folder: Path, emulator: Emulator, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *MAP, *more],
        cwd=folder,
        env=environment(**emulator.env()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> Said:
    out, err = process.communicate(timeout=60)
    return Said(process.returncode, out, err)


def is_sent(process: subprocess.Popen[str]) -> None:
    """It says so on stderr, once the id of the batch is kept."""
    assert process.stderr is not None
    while "sent: 12 calls" not in (line := process.stderr.readline()):
        assert line, "it ended without a batch"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_leaves_the_batch_at_work_and_the_same_command_waits_for_it(
    folder: Path, rows: Path, emulator: Emulator, clock: Clock
) -> None:
    process = start(folder, emulator, "--budget", "1")
    is_sent(process)
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert said.code == 130
    assert "  12 calls in batches: they go on at the provider, and nothing is sent twice\n" in said.err
    assert f"  next: outlay {' '.join(MAP)} --budget 1.00 " in said.err
    assert "in doubt $0." in said.out

    clock.later = 3_600
    again = ended(start(folder, emulator, "--budget", "1"))
    assert again.code == 0, again.err
    assert "of 12 calls was sent by an earlier map: waiting for it" in again.err
    assert "saved $" in again.out
    assert "in doubt" not in again.out
    answers = {line["id"]: line["output"] for line in lines_of(folder / "out.jsonl")}
    assert answers == {f"r{i}": f"ROW {i}" for i in range(1, 13)}
    assert submissions(emulator) == 1


def test_a_killed_map_waits_for_its_batch(folder: Path, rows: Path, emulator: Emulator, clock: Clock) -> None:
    """kill -9: no handler runs, and nothing was answered yet."""
    process = start(folder, emulator)
    is_sent(process)
    process.kill()
    ended(process)
    clock.later = 3_600
    again = ended(start(folder, emulator, "--json"))
    assert (again.code, json.loads(again.out)["done"]) == (0, 12), again.err
    assert submissions(emulator) == 1


def test_a_map_whose_answers_were_deleted_is_another(call: Call, rows: Path, folder: Path) -> None:
    """What was answered is not given again behind the user's back."""
    call(*MAP, "--models", "offline")
    (folder / "out.jsonl").unlink()
    (folder / "batch.py").write_text(FLOW.replace("upper()", "lower()"))
    del sys.modules["batch"]
    said = call(*MAP, "--models", "offline")
    assert said.code == 0
    assert lines_of(folder / "out.jsonl")[0]["output"].startswith("row ")


def test_what_goes_wrong_in_a_batch_is_listed(folder: Path, rows: Path) -> None:
    """And the rows are answered all the same."""

    def damaged(lines: list[bytes]) -> list[bytes]:
        return lines if len(lines) < 12 else [*lines[2:], b"<html>", lines[4]]

    with Emulator(batch_results=damaged, behaviour="Fine.") as emulator:
        said = ended(start(folder, emulator))
    assert said.code == 0
    trouble = "2 of 12 not answered (2 missing) · 1 answer came twice · 1 line is no JSON"
    assert trouble in said.err
    assert trouble in said.out
    assert len(lines_of(folder / "out.jsonl")) == 12


def test_a_deadline_that_no_batch_can_meet_is_refused_before_anything_is_sent(call: Call, rows: Path) -> None:
    said = call(*[word.replace("clerk", "hasty") for word in MAP], "--models", "offline")
    assert said.code == 2
    assert said.err.endswith(
        "error: agent 'hasty' goes by batch, which may take 86,400 s, and has 60 s\n"
        "  next: leave out seconds= or give 86,400 or more, or use lane='live'\n"
    )


@pytest.mark.parametrize("wrong", [["--lane", "fax"], ["--on-batch-failure", "shrug"], ["--concurrency", "0"]])
def test_wrong_options_are_refused_with_the_way_on(call: Call, rows: Path, wrong: list[str]) -> None:
    said = call(*MAP, *wrong)
    assert said.code == 2
    assert said.err.startswith(f"error: Invalid value for '{wrong[0]}'")
    assert "Traceback" not in said.err


def test_the_bill_of_a_row_says_the_lane(call: Call, rows: Path) -> None:
    call(*MAP, "--models", "offline")
    document = call("bill", "last", "--json").json
    (line,) = document["lines"]
    assert (line["batched"], line["saved_by_batch"]) == (1, line["cost"])
    assert document["saved_by_batch"] == line["cost"]
    assert " · by batch" in call("trace", "last").out


def test_the_bill_of_the_rows_together_says_what_became_of_their_batch(call: Call, rows: Path, folder: Path) -> None:
    call(*MAP, "--models", "offline")
    runs = [line["run_id"] for line in lines_of(folder / "out.jsonl")]
    (batch,) = call("bill", *runs, "--json").json["batches"]
    assert (batch["requests"], batch["answered"], batch["missing"], batch["listed"]) == (12, 12, 0, [])
    assert batch["seconds"] >= 0
    assert not batch.keys() & {"run", "seq", "time", "path"}  # whichever row wrote it down
