"""`runs export` and `runs import`: a run travels as one file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cli_support import Call


@pytest.fixture
def run_id(call: Call) -> str:
    return call("run", "desk.py:desk", "--input", "calm", "--json").json["run_id"]


def test_a_run_is_billed_and_traced_elsewhere(run_id: str, call: Call, folder: Path):
    said = call("runs", "export", "last", "--output", "run.outlay")
    assert said.out.startswith(f"wrote run.outlay · run {run_id} · ")
    assert stat.S_IMODE(os.stat(folder / "run.outlay").st_mode) == 0o600
    taken = call("runs", "import", "run.outlay", "--store", "other.db")
    assert taken.out.endswith(f"new\noutlay bill {run_id} shows what it cost\n")
    for command in (["bill", run_id], ["trace", run_id, "--content"]):
        assert call(*command, "--store", "other.db").out == call(*command).out
    assert "nothing new: it was here already" in call("runs", "import", "run.outlay", "--store", "other.db").out


def test_a_file_that_is_there_is_not_written_over(run_id: str, call: Call, folder: Path):
    (folder / "run.outlay").write_text("mine")
    said = call("runs", "export", run_id, "--output", "run.outlay")
    assert (said.code, (folder / "run.outlay").read_text()) == (2, "mine")
    assert call("runs", "export", run_id, "--output", "run.outlay", "--force").code == 0


def test_what_cannot_be_exported_leaves_no_file(run_id: str, call: Call, folder: Path):
    assert call("runs", "export", "zzz", "--output", "run.outlay").code == 2
    assert not [path for path in folder.iterdir() if "run.outlay" in path.name]
    assert call("runs", "export", run_id, "--output", "no/such/run.outlay").code == 2


def test_another_run_of_that_id_is_an_error(run_id: str, call: Call):
    call("runs", "export", run_id, "--output", "run.outlay")
    found = call("runs", "export", run_id, "--output", "bare.outlay", "--without-contents", "--json").json
    assert (found["runs"], found["contents"]) == ([run_id], 0)
    call("runs", "import", "bare.outlay", "--store", "bare.db")
    said = call("runs", "import", "run.outlay", "--store", "bare.db")
    assert said.code == 0
    assert "nothing new" in said.out
    (Path("text.outlay")).write_text("hello")
    refused = call("runs", "import", "text.outlay")
    assert refused.code == 2
    assert "error: not the file of a run: " in refused.err


def test_a_file_that_is_not_there_is_said_to_be_so(call: Call):
    said = call("runs", "import", "none.outlay")
    assert (said.code, said.err) == (
        2,
        "error: cannot read none.outlay: it is not there\n  next: name a file that `outlay runs export` wrote\n",
    )
