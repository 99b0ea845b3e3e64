"""`approvals`, `approve`, `deny`, `resume`: decide what runs wait for, and go on with them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_support import FLOWS, PROGRAM, Call, environment

from outlay import RunContext, node, run_sync

MAILROOM = FLOWS.parent / "mailroom.py"


@pytest.fixture
def desk(folder: Path) -> Path:
    """The folder with the flows of the mailroom."""
    (folder / "mailroom.py").write_text(MAILROOM.read_text("utf-8"), "utf-8")
    return folder


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def items(call: Call, *more: str) -> list[Any]:
    return call("approvals", "--json", *more).json


# ── approvals ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_waits_says_what_for_and_what_to_type(desk: Path, call: Call):
    said = call("run", "mailroom.py:clerk", "--input", "x", "--models", "offline")
    (item,) = items(call)
    assert said.code == 4
    id, run = item["id"][:8], item["run_id"][:6]
    assert f"  {id} allow send {{" in said.err
    assert said.err.splitlines()[-3:] == [
        f"  next: outlay approve {id}",
        f"  next: outlay deny {id} --reason TEXT",
        f"  next: outlay resume {run}",
    ]
    assert "\x1b" not in said.err
    assert "\u202e" not in said.err
    assert not (desk / "sent.txt").exists()


def test_an_item_in_json_is_complete(desk: Path, call: Call):
    """The exact arguments, whole: what a table cuts off is here."""
    run = call("run", "mailroom.py:clerk", "--input", "x", "--json", "--models", "offline").json
    (item,) = items(call)
    assert item["arguments"] == {"to": "bob", "text": "\x1b[31mred\u202e" + "x" * 300}
    assert (item["kind"], item["action"], item["options"]) == ("approval", "send", ["approve", "deny"])
    assert (item["run_id"], item["state"], item["decision"]) == (run["run_id"], "waiting", None)
    assert float(item["spent"]) > 0
    assert run["pending"] == [{"id": item["id"], "kind": "approval", "question": item["question"]}]


def test_the_table_is_cut_and_clean(desk: Path, call: Call):
    call("run", "mailroom.py:clerk", "--input", "x", "--models", "offline")
    call("run", "mailroom.py:choose", "--input", "x")
    said = call("approvals")
    head, first, second, _, total, hint, *_ = said.out.splitlines()
    assert head.split() == ["id", "run", "what", "arguments", "spent", "waiting", "deadline"]
    assert "allow send" in first
    assert "…" in first
    assert "Which one?" in second
    assert "the red | blue" in second
    assert second.endswith(" min: blue")
    assert total == "2 items to decide"
    assert hint == f"  next: outlay approve {first.split()[0]}"
    assert all(len(line) <= 130 for line in said.out.splitlines())
    assert "\x1b" not in said.out


def test_approved_it_goes_on_days_later_from_the_store_alone(desk: Path, call: Call, program: Call):
    """Another process, nothing but the run's id: flow, input and lane are known."""
    run = call("run", "mailroom.py:clerk", "--input", "x", "--json", "--models", "offline").json
    (item,) = items(call)
    said = call("approve", item["id"][:5], "--reason", "a friend", "--by", "ada")
    assert said.code == 0
    assert said.out.splitlines()[-1] == f"  next: outlay resume {run['run_id'][:6]}"
    assert "nothing to decide" in call("approvals").out
    again = program("resume", run["run_id"][:6], "--json")
    assert again.err.startswith(f"run {run['run_id'][:6]} · mailroom.py:clerk\n")
    assert again.json["output"] == "I was told: sent to bob"
    assert again.json["run_id"] == run["run_id"]
    assert lines(desk / "sent.txt") == ["bob"]
    decision = items(call, "--all")[0]["decision"]
    assert (decision["answer"], decision["by"], decision["reason"]) == ("approve", "ada", "a friend")
    assert call("resume", "last", "--json").json["cost"] == again.json["cost"]
    assert lines(desk / "sent.txt") == ["bob"]


def test_denied_the_model_is_told_who_and_why(desk: Path, call: Call):
    call("run", "mailroom.py:clerk", "--input", "x", "--models", "offline")
    (item,) = items(call)
    assert call("deny", item["id"]).code == 2  # a reason is needed
    assert call("deny", item["id"], "--reason", "not to strangers", "--by", "ada").code == 0
    said = call("resume", "last")
    assert said.code == 0
    assert said.out.startswith("I was told: PermissionError: ada denied the call of send: not to strangers\n")
    assert not (desk / "sent.txt").exists()


def test_a_question_is_answered_with_one_of_its_options(desk: Path, call: Call):
    call("run", "mailroom.py:choose", "--input", "x")
    (item,) = items(call)
    id = item["id"][:8]
    for wrong in ((), ("--answer", "green")):
        said = call("approve", id, *wrong)
        assert said.code == 2
        assert said.err.splitlines()[-2:] == [
            f"  next: outlay approve {id} --answer 'the red'",
            f"  next: outlay approve {id} --answer blue",
        ]
    assert call("approve", id, "--answer", "the red").code == 0
    assert call("resume", "last").out.startswith("the red\n")


def test_decided_twice_is_refused_with_what_was_decided(desk: Path, call: Call):
    call("run", "mailroom.py:choose", "--input", "x")
    (item,) = items(call)
    call("approve", item["id"], "--answer", "blue", "--by", "ada", "--reason", "prettier")
    said = call("deny", item["id"], "--reason", "no")
    assert said.code == 1
    assert "was decided by ada: blue (prettier); the first decision stands" in said.err


def test_of_two_processes_one_decides(desk: Path, call: Call):
    """Started together; the other is told what was decided."""
    call("run", "mailroom.py:choose", "--input", "x")
    (item,) = items(call)
    deciders = [
        subprocess.Popen(
            [*PROGRAM, "approve", item["id"], "--answer", answer, "--by", by],
            cwd=desk,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for answer, by in (("blue", "ada"), ("the red", "bob"))
    ]
    said = [decider.communicate(timeout=60) for decider in deciders]
    assert sorted(decider.returncode for decider in deciders) == [0, 1]
    winner = [decider.returncode for decider in deciders].index(0)
    answer, by = (("blue", "ada"), ("the red", "bob"))[winner]
    assert f"was decided by {by}: {answer}" in said[1 - winner][1]
    assert call("resume", "last").out.startswith(f"{answer}\n")


def test_a_models_options_are_quoted_for_the_shell(desk: Path, call: Call):
    call("run", "mailroom.py:tricky", "--input", "x")
    said = call("approvals").out
    assert "  next: outlay approve " in said
    assert """ --answer '$(touch owned); `id`'\n""" in said
    assert not re.search(r"--answer [^'\n]*\$", said)


def test_an_unknown_item_is_said_to_be_unknown(desk: Path, call: Call):
    call("run", "mailroom.py:choose", "--input", "x")
    said = call("approve", "zzz")
    assert (said.code, said.err) == (
        2,
        "error: there is no item 'zzz' in the inbox\n  next: outlay approvals lists what is open\n",
    )


def test_after_the_deadline_the_default_is_taken(desk: Path, call: Call):
    call("run", "mailroom.py:hurry", "--input", "x")
    time.sleep(0.25)
    (item,) = items(call)
    assert item["state"] == "expired"
    assert "outlay resume" in call("approvals").out
    said = call("approve", item["id"], "--answer", "yes")
    assert said.code == 1
    assert "decided by deadline: no" in said.err
    assert call("resume", "last").out.startswith("no\n")


# ── resume ────────────────────────────────────────────────────────────────────────────────────────────────


def killed(desk: Path, flow: str, input: str, file: str, number: int) -> None:
    """`outlay run` as a process of its own, killed as soon as `file` has so many lines."""
    process = subprocess.Popen(
        [*PROGRAM, "run", flow, "--input", input, "--models", "offline"],
        cwd=desk,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 30
    while len(lines(desk / file)) < number:
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_goes_on_at_once_and_repeats_only_what_was_under_way(desk: Path, program: Call, call: Call):
    """Two calls are done, the third is on its way; its input was JSON."""
    killed(desk, "mailroom.py:walk", '{"steps": 4}', "calls.txt", 3)
    listed = call("runs")
    assert "✗ broken off" in listed.out
    assert "  next: outlay resume " in listed.out
    said = program("resume", "last")
    assert said.code == 0
    assert said.out.startswith("did step 0 did step 1 did step 2 did step 3\n")
    assert lines(desk / "calls.txt") == [f"step {i}" for i in (0, 1, 2, 2, 3)]
    assert "1 possibly billed twice" in said.out
    assert "1 possibly billed twice" in call("bill", "last").out
    assert "✓ completed" in call("runs").out


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_may_have_happened_is_asked_and_not_repeated(desk: Path, call: Call):
    killed(desk, "mailroom.py:errand", "parcel", "delivered.txt", 1)
    said = call("resume", "last")
    assert said.code == 4
    (item,) = items(call)
    assert (item["kind"], item["arguments"]) == ("in_doubt", {"args": ["parcel"]})
    assert call("approve", item["id"], "--answer", "happened", "--result", '"left with a neighbour"').code == 0
    done = call("resume", "last")
    assert done.out.startswith("left with a neighbour\n")
    assert lines(desk / "delivered.txt") == ["parcel"]
    assert len(lines(desk / "calls.txt")) == 3


def test_a_budget_stop_is_raised_and_goes_on(desk: Path, call: Call):
    """The limits of before hold until another is given; nothing is paid twice."""
    rows = '["a", "b", "c", "d", "e", "f"]'
    stopped = call("run", "mailroom.py:spend", "--input", rows, "--budget", "0.0035", "--models", "offline")
    assert stopped.code == 3
    run = next(line for line in stopped.err.splitlines() if "outlay resume" in line).split()[3]
    assert f"  next: outlay resume {run} --budget USD\n" in stopped.err
    before = len(lines(desk / "calls.txt"))
    assert 0 < before < 6
    still = call("resume", run)
    assert still.code == 3
    assert "of $0.0035" in still.err
    assert f"outlay resume {run} --budget USD" in call("runs").out
    done = call("resume", run, "--budget", "2.00", "--json")
    assert done.json["stop_reason"] == "completed"
    assert sorted(lines(desk / "calls.txt")) == list("abcdef")


def test_a_completed_run_says_that_its_stored_result_is_given_for_nothing(desk: Path, call: Call):
    """In one line beside the answer; `--json` is the same document."""
    first = call("run", "mailroom.py:spend", "--input", '["a", "b"]', "--models", "offline", "--json")
    before = lines(desk / "calls.txt")
    assert "stored result" not in first.err
    run = first.json["run_id"][:6]
    for options in ((), ("--budget", "1.00"), ("--json",)):
        again = call("resume", "last", *options)
        assert again.code == 0
        assert again.err.splitlines() == [
            f"run {run} · mailroom.py:spend",
            f"spend · stored result of run {run}: nothing is run or spent",
        ]
    assert {key: value for key, value in again.json.items() if key != "seconds"} == {
        key: value for key, value in first.json.items() if key != "seconds"
    }
    assert lines(desk / "calls.txt") == before


def test_a_paused_budget_is_raised_and_goes_on(desk: Path, call: Call):
    """It is the budget of a node, which --budget of the run does not reach."""
    said = call("run", "mailroom.py:many", "--input", '["a", "b", "c", "d", "e", "f"]', "--models", "offline")
    assert said.code == 3
    (item,) = items(call)
    id = item["id"][:8]
    assert (item["kind"], item["action"], item["arguments"]["limit"]) == ("budget", "usd", "0.0035")
    assert f"  next: outlay approve {id} --answer USD\n" in said.err
    assert f"  next: outlay approve {id} --answer USD\n" in call("approvals").out
    assert "? waiting" in call("runs").out
    for wrong in ("0.001", "much"):
        refused = call("approve", id, "--answer", wrong)
        assert refused.code == 2
        assert refused.err.endswith(f"  next: outlay approve {id} --answer USD\n")
    assert call("approve", id, "--answer", "0.50").code == 0
    assert "? answered" in call("runs").out
    done = call("resume", "last", "--json")
    assert done.json["stop_reason"] == "completed"
    assert sorted(lines(desk / "calls.txt")) == list("abcdef")


def test_deps_are_remembered_too(desk: Path, call: Call):
    call("run", "mailroom.py:needy", "--input", "x", "--deps", "mailroom.py:make_deps")
    (item,) = items(call)
    call("approve", item["id"], "--answer", "on")
    said = call("resume", "last")
    assert said.out.startswith("on with deps\n")
    assert said.err.splitlines()[0].endswith(" · mailroom.py:needy --deps mailroom.py:make_deps")


def test_a_flow_that_has_moved_is_named(desk: Path, call: Call):
    call("run", "mailroom.py:choose", "--input", "x")
    (desk / "mailroom.py").rename(desk / "post.py")
    said = call("resume", "last")
    assert said.code == 2
    assert "cannot read mailroom.py: it is not there" in said.err
    assert " FLOW\n" in said.err
    (item,) = items(call)
    call("approve", item["id"], "--answer", "blue")
    assert call("resume", "last", "post.py:choose").out.startswith("blue\n")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("", "does not say where its flow is"),
        ("os.path:join extra", "which is no FLOW"),
        ("x.py:y; rm", "which is no FLOW"),
        ("mailroom.py:choose --deps", "which is no FLOW"),
        ("\x1b]0;x.py:y", "which is no FLOW"),
    ],
)
def test_only_a_flow_is_imported_out_of_a_store(source: str, error: str, desk: Path, call: Call):
    """A run of a program, with an address that nobody could have typed: the user is to type it."""
    (desk / ".outlay").mkdir()

    @node
    async def choose(ctx: RunContext, text: str) -> str:
        return await ctx.ask("Which?")

    run_sync(choose, "x", store=".outlay/outlay.db", run_id="mine", source=source)
    said = call("resume", "mine")
    assert said.code == 2
    assert error in said.err
    assert "\x1b" not in said.err
    assert "  next: outlay resume mine FLOW" in said.err
    assert call("resume", "mine", "mailroom.py:choose").code == 4


def test_runs_says_what_to_do(desk: Path, call: Call):
    call("run", "mailroom.py:choose", "--input", "x")
    assert "? waiting" in call("runs").out
    found = call("runs", "--json").json[0]
    assert (found["state"], found["stop_reason"], found["next"]) == ("waiting", "approval", "outlay approvals")
    (item,) = items(call)
    call("approve", item["id"], "--answer", "blue")
    assert f"  next: outlay resume {item['run_id'][:6]}        choose (answered)\n" in call("runs").out
    call("resume", "last")
    assert "next:" not in call("runs").out


def test_no_store_is_a_usage_error(desk: Path, call: Call):
    for command in (("approvals",), ("approve", "x"), ("deny", "x", "--reason", "y"), ("resume", "last")):
        said = call(*command)
        assert said.code == 2
        assert "there is no store at .outlay/outlay.db yet" in said.err


def test_another_store_is_named_in_what_to_type(desk: Path, call: Call):
    said = call("run", "mailroom.py:choose", "--input", "x", "--store", "my store.db")
    assert said.err.endswith(" --store 'my store.db'\n")
    assert json.loads(call("approvals", "--store", "my store.db", "--json").out)
