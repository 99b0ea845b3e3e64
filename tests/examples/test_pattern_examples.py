"""examples/patterns: each runs offline, as a program and with `outlay run`, and shows what it says it shows."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outlay import Result, run_sync
from outlay.cli.group import cli
from outlay.patterns import FanOut
from outlay.testing import virtual_time

FOLDER = Path(__file__).parents[2] / "examples/patterns"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")

#: What each is run on by `outlay run`, and how its output begins as JSON. The vote needs a table: it is a program only.
ON_THE_COMMAND_LINE = {
    "blackboard": ("oh bccb hvoh qoh goh wb o vofpcif", {"attempt": {"text": "at noon that cat sat in a harbour"}}),
    "cascade": ("pen 2, ink 5, paper 4, glue 3: 14", {"items": {"glue": 3}, "total": 14}),
    "code_review": (str(FOLDER), ""),
    "debate": ("How many?", "275 sweets"),
    "detached": ("When do you open?", "We open at nine."),
    "document_build": ("Slugs.", "def slug(title):"),
    "fact_check": ('["b.txt"]', [{"subject": "Repairs cost", "value": 41000, "source": "b.txt"}]),
    "ideation": ("Ideas?", [{"speaker": "dreamer", "output": "a library on a boat"}]),
    "market_report": ("Sales?", "WHAT SELLS\n[home]\nlamps: 180 sold"),
    "research_crew": ("A ferry?", "- crossings a day: 1450 [census.txt]"),
    "router": ("What is 6 * 7?", "42"),
    "support_desk": ("login gives an error", "Sign out and in again"),
    "writer_critic": ("A plaque.", "The lighthouse was lit in 1871 and is tall [archive]."),
}


@pytest.fixture(autouse=True)
def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def load(name: str) -> Any:
    """An example's names, as its importers would have them."""
    return runpy.run_path(str(FOLDER / f"{name}.py"))


def said(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the example prints as a program, on virtual time: its figures are the same on any machine."""
    with virtual_time():
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def offline(flow: Any, given: Any, **options: Any) -> Result[Any]:
    with virtual_time():
        return run_sync(flow, given, models="offline", **options)


def agrees(output: Any, expected: Any) -> bool:
    """The expected part of an output: the beginning of a text or a list, some keys of an object."""
    if isinstance(expected, str):
        return str(output).startswith(expected)
    if isinstance(expected, dict):
        return all(agrees(output[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return all(agrees(one, value) for one, value in zip(output, expected, strict=False)) and len(output) > 0
    return output == expected


# ── all of them ───────────────────────────────────────────────────────────────────────────────────────────


def test_every_example_is_run_by_the_command_line_but_the_one_that_needs_a_table() -> None:
    assert {*ON_THE_COMMAND_LINE, "vote"} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_short_enough_to_be_read_at_once(name: str) -> None:
    assert len((FOLDER / f"{name}.py").read_text().splitlines()) < 60


@pytest.mark.parametrize("name", ON_THE_COMMAND_LINE)
def test_outlay_runs_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given, expected = ON_THE_COMMAND_LINE[name]
    flow = f"{FOLDER / name}.py:{'build' if name == 'document_build' else 'flow'}"
    done = CliRunner().invoke(cli, ["run", flow, "--input", given, "--models", "offline", "--json"])
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["stop_reason"] == "completed"
    assert agrees(document["output"], expected), document["output"]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "vote"])
def test_as_a_program_it_ends_with_a_receipt_or_a_reason(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(name, capsys)
    assert re.search(r"^total .*\$0\.\d+$|^ended by |^kept: ", out, re.MULTILINE)


# ── what each of them shows ───────────────────────────────────────────────────────────────────────────────


def test_the_cascade_pays_for_the_large_model_only_where_it_must(capsys: pytest.CaptureFixture[str]) -> None:
    out = said("cascade", capsys)
    assert re.findall(r"(small|large)$", out.split("agent")[0], re.MULTILINE) == ["small", "small", "large", "small"]
    total, alone = re.findall(r"\$(0\.\d+)$", out, re.MULTILINE)[-2:]
    assert float(total) < float(alone)


def test_the_research_crew_shows_what_gathering_and_small_scouts_save(capsys: pytest.CaptureFixture[str]) -> None:
    out = said("research_crew", capsys)
    assert len(re.findall(r"crew/scout\[\w+\] +starts at 0\.00 s", out)) == 4
    assert "one after the other 1.20 s, gathered 0.30 s" in out
    small, large = map(float, re.findall(r"(?:small|large) scouts \$([\d.]+)", out))
    assert small < large
    assert "! crossings a day: 1450 (census.txt, 80% sure) or 900 (yard.txt, 50% sure)" in out


def test_the_writer_is_told_of_words_then_of_citations_then_of_taste(capsys: pytest.CaptureFixture[str]) -> None:
    """Checkers come before the model's opinion, and the editor is asked about no draft that they refuse."""
    out = said("writer_critic", capsys)
    words, cites, taste = (out.index(said) for said in ("38 words, at most 28", "cites no source", "without `very`"))
    assert words < cites < taste
    assert re.search(r"editor +claude-haiku-4-5 +2 ", out)


def test_the_market_report_is_a_tree_and_its_depth_is_limited(capsys: pytest.CaptureFixture[str]) -> None:
    out = said("market_report", capsys)
    assert "kites: 90 sold, +200% in three years" in out
    assert re.search(r"home-reporter +claude-haiku-4-5 +2 ", out)
    assert "with depth=1: budget: report/home[home]/home-planner would be 2 nodes below report" in out


def test_the_debate_says_what_its_round_changed(capsys: pytest.CaptureFixture[str]) -> None:
    out = said("debate", capsys)
    assert "round 1: baker 140 → 275, mason 200 → 290, pilot 620 → 260" in out
    assert "275 sweets (from 260 to 290); ended by judge after 1 rounds" in out


def test_the_ideation_ends_when_the_well_is_dry(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody says what somebody has said before."""
    out = said("ideation", capsys)
    ideas = [line.partition(": ")[2] for line in out.splitlines() if re.match(r" *(dreamer|maker|sceptic):", line)]
    assert ideas[-3:] == ["nothing to add"] * 3
    assert len(set(ideas[:-3])) == len(ideas[:-3]) == 7
    assert "ended by stop (the well is dry) after 10 turns" in out


def test_a_case_goes_to_who_can_help_and_no_further(capsys: pytest.CaptureFixture[str]) -> None:
    out = said("support_desk", capsys)
    assert "desk → billing, billing asked tech" in out
    assert "(yes, from 9:10 to 9:25)" in out
    assert "  desk → tech\n" in out


def test_the_specialists_find_the_order_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    """The first guesses are wrong, and the board's history says who then wrote what."""
    out = said("blackboard", capsys)
    assert "at noon that cat sat in a harbour" in out
    assert "guesser  wrote guess (version 5)" in out
    assert "ended by until: 62% of the words are known, after 16 runs of specialists" in out


def test_easy_questions_do_not_pay_for_the_large_model(capsys: pytest.CaptureFixture[str]) -> None:
    out = said("router", capsys)
    assert re.findall(r"\?\s+(small|large|to_person)", out) == ["small", "small", "large", "to_person", "small"]
    routed = float(re.findall(r"^total .*\$([\d.]+)$", out, re.MULTILINE)[0])
    assert routed < float(re.findall(r"all to the large model: \$([\d.]+)", out)[0])


def test_a_misquotation_is_stopped_at_the_gate_with_its_author(capsys: pytest.CaptureFixture[str]) -> None:
    """Claims carry the agent that made them and their source; what was paid for is kept."""
    out = said("fact_check", capsys)
    assert "The bridge was opened in 1932  [a.txt, check/fanout/reader[0]]" in out
    assert "check/fanout/reader[1]: c.txt does not say 85" in out
    assert "kept: ['check/fanout']" in out


def test_the_answer_does_not_wait_for_its_review() -> None:
    result = offline(load("detached")["flow"], "When do you open?")
    ends = {event.path: event.time - result.events[0].time for event in result.events}
    assert ends["shop/send"] == pytest.approx(0.1)
    assert ends["shop/detached/log/reviewer"] == pytest.approx(0.6)
    assert result.bill.by("agent")["reviewer"].calls == 1


# ── code review ───────────────────────────────────────────────────────────────────────────────────────────

SMELLY = """\
import os


def total(rows, unused):
    found = []
    for row in rows:
        for cell in row:
            found.append(eval(cell))
    return sum(found)
"""


def review(folder: Path) -> Result[Any]:
    return offline(load("code_review")["flow"], str(folder))


def test_programs_and_agents_review_the_same_folder(tmp_path: Path) -> None:
    """Each sees what is its own to see, and the report names all of them."""
    pytest.importorskip("bandit", reason="needs bandit: pip install bandit")
    (tmp_path / "sums.py").write_text(SMELLY)
    report = review(tmp_path).unwrap()
    assert "1 from performance, the first: sums.py:6: nested loops" in report
    assert "1 from security, the first: sums.py:8: runs text" in report
    assert re.search(r"1 from ruff, the first: \S*sums\.py:1:8: F401", report)
    assert re.search(r"1 from bandit, the first: \S*sums\.py:8: B307", report)
    assert "style" not in report


def test_a_linter_that_is_not_there_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(SMELLY)
    example = load("code_review")
    reviewers = [*example["reviewers"], example["linter"]("no_such_linter", [])]
    result = offline(FanOut(reviewers, merge=example["synthesiser"], name="review"), str(tmp_path))
    assert (result.stop_reason, result.degraded) == ("completed", True)
    (skipped,) = result.skipped
    assert skipped.path == "review/no_such_linter"
    assert "No module named no_such_linter" in str(skipped.error)
    assert "ruff" in result.unwrap()


# ── the vote ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_vote_on_recorded_solutions_beats_its_best_member(
    shared_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where members are of a kind; with one that is far better than the rest the vote is worse than that one alone."""
    pytest.importorskip("arro3.io", reason="needs arro3-io: pip install arro3-io")
    table = shared_data / "routing/gsm8k_six_models.parquet"
    if not table.exists():
        pytest.skip(f"needs {table.name} in ../shared/data/routing")
    monkeypatch.setattr(sys, "argv", ["vote.py", str(table), "100"])
    out = said("vote", capsys)
    alone = {name: float(share) for share, name in re.findall(r"([\d.]+)%  (\S+) alone", out)}
    votes = {int(n): float(share) for share, n in re.findall(r"([\d.]+)%  vote of (\d)", out)}
    assert len(alone) == 6
    best = max(alone, key=lambda name: alone[name])
    assert best == "gpt-4-1106-preview"
    assert votes[6] < alone.pop(best)
    assert votes[5] >= max(alone.values())
    assert all(float(saved) > 0 for saved in re.findall(r"([\d.]+) calls saved", out))


def test_the_vote_without_a_table_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["vote.py"])
    monkeypatch.delenv("GSM8K_TABLE", raising=False)
    with pytest.raises(SystemExit, match=re.escape("which table? vote.py TABLE [QUESTIONS]")):
        runpy.run_path(str(FOLDER / "vote.py"), run_name="__main__")


@pytest.mark.parametrize(
    ("solution", "number"), [("so $1,050.00 in all.", 1050), ("#### 440", 440), ("it is -3", -3), ("A: 479.75", 479.75)]
)
def test_the_ballot_is_the_last_number(solution: str, number: float) -> None:
    assert load("vote")["final_number"](solution) == number
