"""`outlay advise`: flags, an interview, or what is stored; reasons, what would change them, and no model."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import pytest
from cli_support import PROGRAM, Call, environment

STREAMS = ("--failing", "yes", "--failing-at", "streams", "--parallelisable", "yes", "--independent", "yes")

FLOW = """
from outlay import Agent
from outlay.patterns import Pipeline


def right(request):
    return str(int(request.text) ** 2)


def wrong(request):
    return "no idea"


cheap = "anthropic:claude-haiku-4-5"
single = Agent("single", cheap, instructions="Square it.", offline=wrong)
first = Agent("first", cheap, instructions="Think.", offline=lambda request: request.text)
crew = Pipeline(first, Agent("second", cheap, instructions="Square it.", offline=right), name="crew")
"""


def test_without_an_answer_it_says_to_measure(call: Call):
    """Nothing is known, so nothing is pretended."""
    said = call("advise")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[:3] == [
        "advice · 0 answers of yours",
        "",
        "measure a single agent first: nothing says yet that it fails",
    ]
    assert "several agents: not known yet" in lines
    assert lines[-1].startswith("not answered, and could change it: --failing --boundary")


def test_flags_say_what_the_interview_would(call: Call):
    """Each answer with its reasons, what would change it, and the line to write."""
    said = call("advise", *STREAMS, "--trait", "parts-unknown", "--shares", "facts,large", "--workload", "batch")
    assert said.code == 0
    assert "several agents: a single one fails at what they are good at" in said.out
    assert "  because  2 of four hold (parallelisable, independent), 2 are enough" in said.out
    assert "  next: Supervisor(planner, [worker], synthesizer), or FanOut(worker, split=…, merge=…)" in said.out
    assert "pattern: Supervisor (2 + subtasks calls" in said.out
    assert "shared state: entries with versions: a stale write is a Conflict" in said.out
    assert "knobs: batch work: run_many(lane)" in said.out


def test_as_json(call: Call):
    """One document, with outcomes as words to compare, and nothing is asked."""
    said = call("advise", *STREAMS, "--own-third-party", "yes", "--json").json
    assert said["verdict"] == "several"
    assert {one["topic"]: one["id"] for one in said["advice"]} == {
        "single agent": "streams",
        "several agents": "go",
        "sub-agents or peers": "service",
    }
    assert set(said["advice"][0]) == {"topic", "id", "says", "because", "unless", "next"}
    assert said["answers"]["failing-at"] == ["streams"]
    assert "inversion" in said["open"]


@pytest.mark.parametrize(
    ("options", "said", "next"),
    [
        (["--failing", "perhaps"], "failing: 'perhaps' is no answer", "one of yes, no"),
        (["--workload", "narow"], "workload: 'narow' is no answer", "did you mean narrow?"),
        (["--shares", "none", "--shares", "large"], "shares: none, large cannot all be", "give one of them"),
        (["--store", "nowhere.db"], "there is no store at nowhere.db", "outlay demo makes one"),
        (["nowhere.py:flow"], "nowhere.py", ""),
        (["nobody"], "no run of a flow 'nobody' is stored", "outlay runs lists them"),
    ],
)
def test_what_is_not_understood_is_said(call: Call, options: list[str], said: str, next: str):
    """With the word that was meant, and exit code 2."""
    found = call("advise", *options)
    assert found.code == 2
    assert said in found.err
    assert f"next: {next}" in found.err


def test_an_interview_asks_what_matters_and_takes_no_for_not_known(call: Call):
    """Beginnings of words are enough; a word that is none is asked again; q is enough."""
    said = call("advise", "--ask", stdin="y\nmaybe\ncont\n\nno\nq\n")
    assert said.code == 0
    assert "one agent" in said.out.splitlines()
    assert "advice · 3 answers of yours" in said.out
    assert "failing-at: 'maybe' is no answer" in said.err
    assert "Does a single agent, measured on your own cases, fail too often?" in said.err
    assert "Can parts run at the same time" not in said.err  # it would change nothing


def test_an_interview_of_many_choices(call: Call):
    """Several words, by commas or spaces, or none."""
    said = call("advise", "--ask", "--json", *STREAMS, stdin="\n" * 9 + "known-steps many-items\nnone\nq\n")
    found = said.json["answers"]
    assert found["trait"] == ["known-steps", "many-items"]
    assert found["shares"] == ["none"]


def test_an_interview_that_breaks_off_is_an_interruption(call: Call):
    """Nothing is half said."""
    said = call("advise", "--ask", stdin="yes\n")
    assert said.code == 130
    assert said.out == ""


def test_a_comparison_that_is_stored_answers_by_itself(folder: Path, call: Call):
    """What the store knows counts, with its source, until you say otherwise."""
    (folder / "square.py").write_text(FLOW)
    (folder / "cases.csv").write_text("id,input,expected\n" + "".join(f"c{n},{n},{n * n}\n" for n in range(2, 14)))
    flows = ("square.py:single", "square.py:crew")
    compared = call("compare", *flows, "--dataset", "cases.csv", "--checker", "exact", "--models", "offline")
    assert compared.code == 0
    said = call("advise", "square.py:crew", "--json").json
    assert said["answers"] == {"failing": ["yes"]}
    assert said["sources"] == {"failing": "single: 0 of 12 cases, 90 % wanted"}
    assert said["verdict"] == "find out"
    assert said["notes"][0].startswith("compared with single: Ship crew where a success is worth more than")
    shown = call("advise", "crew").out
    assert "advice · 0 answers of yours · 1 from the store" in shown
    assert "because  it fails (single: 0 of 12 cases, 90 % wanted)" in shown
    assert call("advise", "square.py:crew", "--failing", "no", "--json").json["verdict"] == "one"
    assert call("advise", "square.py:crew", "--no-stored", "--json").json["answers"] == {}


def test_a_flow_brings_the_warnings_of_its_check(folder: Path, call: Call):
    """They are not repeated, only counted."""
    (folder / "square.py").write_text(FLOW + "flow = Pipeline(single, single.replace(name='other'))\n")
    (note,) = call("advise", "square.py:flow", "--json").json["notes"]
    assert note == "outlay check square.py:flow has 1 warning: equal-agents"


def test_what_is_stored_cannot_steer_the_terminal(folder: Path, call: Call):
    """Names of flows and failures are other people's words."""
    text = FLOW.replace('"single", cheap', '"sin\\x1b[2Jgle\\u202e", cheap')
    (folder / "square.py").write_text(text)
    (folder / "cases.csv").write_text("id,input,expected\n" + "".join(f"c{n},{n},{n * n}\n" for n in range(2, 14)))
    flows = ("square.py:single", "square.py:crew")
    call("compare", *flows, "--dataset", "cases.csv", "--checker", "exact", "--models", "offline")
    shown = call("advise", "crew").out
    assert "it fails (single: 0 of 12 cases" in shown
    assert not {sign for sign in shown if sign in "\x1b\x07\u202e"}


def test_on_a_terminal_it_asks_by_itself(folder: Path):
    """And elsewhere it does not."""
    import pty

    pid, terminal = pty.fork()
    if not pid:
        os.execvpe(PROGRAM[0], [*PROGRAM, "advise"], environment(TERM="dumb"))
    seen = b""
    until = time.monotonic() + 30
    while b"yes/no>" not in seen and time.monotonic() < until:
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096)
    os.write(terminal, b"no\nq\n")
    while time.monotonic() < until:
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # it has ended
            break
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"keep the single agent" in seen
