"""`outlay compare`: figures, a verdict and a memo; killed, it goes on; what is wrong is said first."""

import json
import signal
import subprocess
import sys
import time

import pytest
from cli_support import PROGRAM, environment

FLOWS = """
import asyncio, os
from outlay import Agent, Budget
from outlay.patterns import Critique, Pipeline

HAIKU, SONNET = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"


def number(request):
    return int(request.text.split()[-1])


def guess(request):
    return str(2 * number(request) if number(request) % 2 else 0)


async def slowly(request):
    with open("asked.txt", "a") as file:
        file.write(f"{request.agent} {request.text}\\n")
    await asyncio.sleep(0.15)
    return str(2 * number(request))


single = Agent("single", HAIKU, instructions="Double it.", offline=guess)
thinker = Agent("thinker", SONNET, instructions="Think.", offline=lambda r: r.text)
writer = Agent("writer", SONNET, instructions="Double it.", offline=lambda r: str(2 * number(r)))
crew = Pipeline(thinker, writer, name="crew")
slow = Agent("slow", HAIKU, instructions="Slowly.", offline=slowly)
slower = Agent("slower", HAIKU, instructions="Slowly, too.", offline=slowly)
judge = Agent("judge", HAIKU, output_type=Critique, offline=lambda r: Critique(True, "fine"))
typed = Pipeline(lambda x: x, name="typed")


def even(output):
    return None if int(output) % 2 == 0 else "odd"


def broken(output):
    raise RuntimeError("out of order")
"""
COMPARE = ("compare", "flows.py:single", "flows.py:crew", "--dataset", "cases.jsonl", "--checker", "exact")


@pytest.fixture
def cases(folder):
    (folder / "flows.py").write_text(FLOWS)

    def write(n, name="cases.jsonl"):
        rows = [{"id": f"c{i}", "input": f"double {i}", "expected": str(2 * i)} for i in range(1, n + 1)]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(20)
    return write


def test_it_shows_figures_a_verdict_and_what_would_flip_it(call, cases):
    said = call(*COMPARE, "--models", "offline", "--budget", "0.05")
    assert said.code == 0, said.err
    assert said.err.splitlines()[0] == (
        "compare · single and crew · 20 cases · at most $0.05 a case each, $2.00 in all · offline stand-ins "
        "(no money is spent; list prices shown)"
    )
    first, second = said.out.splitlines()[:2]
    assert first.split() == ["single", "crew", "difference", "(95", "%", "interval)"]
    assert second.split()[:9] == ["success", "10", "of", "20", "(50", "%)", "20", "of", "20"]
    assert "Ship crew where a success is worth more than $" in said.out
    assert "  Value: above $" in said.out
    assert "! Offline stand-ins answered" in said.out


def test_a_value_decides(call, cases):
    for value, ship in (("1.00", "crew"), ("0.000001", "single")):
        said = call(*COMPARE, "--models", "offline", "--value", value, "--json")
        assert said.json["verdict"]["ship"] == ship


def test_json_is_one_document_with_every_case(call, cases):
    found = call(*COMPARE, "--models", "offline", "--json").json
    assert (found["cases"], found["pairs"], found["mcnemar"]["only_b"]) == (20, 20, 10)
    assert found["a"]["failures"] == {"wrong: exact": 10}
    assert [one["case"] for one in found["b"]["results"]] == [f"c{i}" for i in range(1, 21)]
    assert found["a"]["results"][1]["problems"] == {"exact": "got '0', expected exactly '4'"}


@pytest.mark.parametrize(("name", "begins"), [("memo.md", "# single or crew?"), ("memo.html", "<!doctype html>")])
def test_the_memo_is_a_page(call, cases, folder, name, begins):
    said = call(*COMPARE, "--models", "offline", "--memo", name)
    assert said.err.splitlines()[-1] == f"memo in {name}"
    text = (folder / name).read_text("utf-8")
    assert text.startswith(begins)
    assert ("<svg" if name.endswith("html") else "    success, with its 95 % interval") in text
    assert "docs/failure-modes.md" in text


def test_several_checkers_must_all_pass_and_a_judge_stands_apart(call, cases):
    options = ("--checker", "flows.py:even", "--checker", "length=1", "--judge", "flows.py:judge")
    found = call(*COMPARE, *options, "--models", "offline", "--json").json
    assert found["checkers"] == ["exact", "even", "length=1"]
    assert found["a"]["judge"]["liked"] == 20
    assert found["a"]["successes"] == 10
    assert any("one family (Claude)" in said for said in found["cautions"])


def test_csv_and_parquet_are_data_sets_too(call, cases, folder):
    (folder / "cases.csv").write_text("id,input,expected\na,double 1,2\nb,double 2,4\n")
    said = call("compare", "flows.py:single", "flows.py:crew", "--dataset", "cases.csv", "--checker", "numeric",
                "--models", "offline", "--json")  # fmt: skip
    assert (said.json["cases"], said.json["interval_useless"], said.json["verdict"]["kind"]) == (2, True, "too few")


def test_a_checker_that_raises_everywhere_ends_with_an_error(call, cases):
    said = call(*COMPARE[:-1], "flows.py:broken", "--models", "offline")
    assert said.code == 1
    assert "No verdict: of no case could both outcomes be judged" in said.out
    assert "RuntimeError: out of order" in " ".join(said.out.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--checker", "exakt"), "there is no checker 'exakt'"),
        (("--checker", "runs=fast"), "runs='fast'"),
        (("--checker", "flows.py:single"), "is a node, not a function"),
        (("--checker", "flows.py:nothing"), "has no 'nothing'"),
        (("--judge", "flows.py:single"), "no agent that gives a Critique"),
        (("--memo", "memo.pdf"), "cannot tell what --memo memo.pdf is to be"),
        (("--memo", "no/memo.md"), "there is no folder no"),
        (("--dataset", "missing.jsonl"), "no such file"),
        (("--dataset", "flows.py"), "cannot tell what flows.py is"),
        (("--budget", "-1"), "-1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_spent(call, cases, folder, more, said):
    found = call(*COMPARE, *more, "--models", "offline")
    assert found.code == 2
    assert said in found.err
    assert not (folder / ".outlay").exists()


def test_without_a_checker_there_is_nothing_to_compare_by(call, cases):
    said = call(*COMPARE[:-2], "--models", "offline")
    assert (said.code, said.err.splitlines()[0]) == (2, "error: there is nothing to judge outputs by")


def test_duplicate_ids_are_refused(call, cases, folder):
    row = json.dumps({"id": "a", "input": "double 1", "expected": "2"})
    (folder / "cases.jsonl").write_text(f"{row}\n{row}\n")
    said = call(*COMPARE, "--models", "offline")
    assert (said.code, "cases 1 and 2 have the same id 'a'" in said.err) == (2, True)


def test_an_agent_without_a_stand_in_is_named(call, cases, folder):
    (folder / "bare.py").write_text('from outlay import Agent\nbare = Agent("bare", "anthropic:claude-haiku-4-5")\n')
    said = call("compare", "flows.py:single", "bare.py:bare", *COMPARE[3:], "--models", "offline")
    assert (said.code, "agent 'bare' has no offline stand-in" in said.err) == (2, True)


SLOW = ("compare", "flows.py:slow", "flows.py:slower", "--dataset", "cases.jsonl", "--checker", "exact", "--models",
        "offline", "--concurrency", "1", "--json")  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_one_that_is_ended_goes_on_where_it_was(program, cases, folder, end):
    cases(6)
    process = subprocess.Popen([*PROGRAM, *SLOW], cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True,
                               stdout=subprocess.PIPE)  # fmt: skip
    asked = folder / "asked.txt"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (not asked.exists() or asked.read_text().count("\n") < 4):
        time.sleep(0.01)
    process.send_signal(end)
    _, err = process.communicate(timeout=30)
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert "error: interrupted" in err
        assert "next: the same command goes on" in err
    said = program(*SLOW)
    assert said.code == 0, said.err
    found = said.json
    assert (found["a"]["successes"], found["b"]["successes"]) == (6, 6)
    lines = asked.read_text().splitlines()
    # Only the call that was under way when it ended may have been asked a second time.
    assert len(set(lines)) == 12
    assert len(lines) <= 13
    again = program(*SLOW)
    assert again.json["a"]["cost"] == found["a"]["cost"]
    assert "\nstored results of 12 of 12 runs: nothing is run or spent for them\n" in again.err
    assert len(asked.read_text().splitlines()) == len(lines)
