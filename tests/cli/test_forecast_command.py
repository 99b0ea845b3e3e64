"""`outlay forecast`: what is shown, in which form, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import Call, write_rows


def test_it_needs_no_key_and_no_stand_in(call: Call):
    said = call("forecast", "desk.py:mute", "--n", "20", "--input", "hello")
    assert said.code == 0
    assert said.out.startswith("forecast · 20 runs of the real flow in virtual time")
    assert "mute output_tokens  lognormal, median 256, spread 0.5 (default)" in said.out


def test_json_is_one_document_and_the_same_for_a_seed(call: Call):
    first, second = (call("forecast", "desk.py:mute", "--n", "20", "--json").json for _ in range(2))
    assert first["dollars"]["p5"] <= first["dollars"]["p50"] <= first["dollars"]["p95"]
    assert first["closed"]["calls"] > 1
    assert {**first, "took": 0} == {**second, "took": 0}


def test_a_budget_and_a_time_limit_are_tried_out(call: Call):
    found = call("forecast", "desk.py:mute", "--n", "20", "--budget", "1", "--seconds", "0.01", "--json").json
    assert [(limit["text"], limit["stops"]["share"]) for limit in found["limits"]] == [
        ("a $1 budget", 0.0),
        ("a limit of 0.01 s", 1.0),
    ]


def test_the_histograms_are_written_as_svg(call: Call, folder: Path):
    assert call("forecast", "desk.py:mute", "--n", "20", "--svg", "out.svg").code == 0
    assert (folder / "out.svg").read_text("utf-8").startswith("<svg ")


def test_stored_runs_are_fitted(call: Call, folder: Path):
    """40 runs in the store, on a stand-in: what it says is what it said, and its seconds are not believed."""
    write_rows(folder / "in.jsonl", 40)
    call("map", "desk.py:echo", "--input", "in.jsonl", "--output", "out.jsonl")
    found = call("forecast", "desk.py:echo", "--rows", "in.jsonl", "--n", "40", "--json").json
    sources = {one["about"]: one["source"] for one in found["assumed"]}
    assert sources["echo turns"] == "fitted from 40 calls of its stand-in"
    assert sources["echo seconds"] == "default"
    spent = sum(float(json.loads(line)["cost"]) for line in (folder / "out.jsonl").read_text("utf-8").splitlines())
    assert abs(found["dollars"]["mean"] * 40 - spent) < 0.05 * spent
    assert "fitted" not in call("forecast", "desk.py:echo", "--n", "5", "--no-fit").out


def test_a_forecast_is_kept_and_the_next_one_says_how_it_did(call: Call, folder: Path):
    """20 runs, a forecast, 20 more runs: those are what it is held against."""
    for name in ("one", "two"):
        write_rows(folder / f"{name}.jsonl", 20)
        call("map", "desk.py:echo", "--input", f"{name}.jsonl", "--output", f"{name}.out.jsonl")
        found = call("forecast", "desk.py:echo", "--rows", "one.jsonl", "--n", "40", "--json").json
        assert (found["past"] is None) is (name == "one")
    past = found["past"]
    assert (past["forecasts"], past["dollars"]["runs"]) == (1, 20)
    assert past["dollars"]["under_p95"]["share"] >= 0.9
    assert "past forecasts of dollars: of 20 runs since" in call("forecast", "desk.py:echo", "--n", "5").out


def test_what_is_known_better_is_declared(call: Call, folder: Path):
    """In a file, or a share on the command line, which goes before it."""
    (folder / "known.toml").write_text("[agents.mute]\noutput_tokens = 100\nright = 0.5\n")
    said = call("forecast", "desk.py:mute", "--n", "20", "--assume", "known.toml", "--right", "mute=0.9")
    assert said.code == 0
    assert "mute output_tokens  100 (declared)" in said.out
    assert "mute right          0.9 (declared)" in said.out
    found = call("forecast", "desk.py:mute", "--n", "20", "--assume", "known.toml", "--json").json
    assert found["right"]["share"] == found["success"]["share"] / 2
    assert [one["right"] for one in found["agents"]] == [0.5]


def test_a_name_that_is_nobodys_is_said(call: Call):
    said = call("forecast", "desk.py:mute", "--n", "20", "--right", "muet=0.9")
    assert (said.code, said.err.strip()) == (0, "note: nothing in mute is named muet")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--right", "mute"), "--right mute is not understood"),
        (("--right", "mute=1.1"), "--right mute=1.1 is not understood"),
        (("--seconds", "nan"), "'nan' is not a number of seconds above 0"),
        (("--seconds", "0"), "'0' is not a number of seconds above 0"),
        (("--assume", "none.toml"), "cannot read none.toml"),
        (("--assume", "desk.py"), "cannot read desk.py"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(call: Call, options: tuple[str, ...], problem: str):
    said = call("forecast", "desk.py:mute", "--n", "20", *options)
    assert said.code == 2
    assert problem in said.err


def test_what_cannot_be_foreseen_is_refused(call: Call):
    """A loop without an end, a row that is none, an input that no text can stand in for."""
    (Path("loop.py")).write_text(
        "from desk import mute, node, RunContext\n"
        "@node(children=(mute,))\n"
        "async def loop(ctx: RunContext, text: str) -> str:\n"
        "    while True:\n"
        "        await ctx.run(mute, text)\n"
    )
    said = call("forecast", "loop.py:loop", "--n", "5")
    assert said.code == 2
    assert "a loop around loop/mute" in said.err
    assert call("forecast", "desk.py:order", "--n", "5").code == 2
    assert "no store at nowhere.db" in call("forecast", "desk.py:mute", "--store", "nowhere.db").err


def test_claims_are_listed_with_their_verdicts(call: Call):
    said = call("claims")
    assert said.code == 0
    assert "  ✗ 30 calls at 0.985 fail one time in seven: wrong" in said.out
    found = {one["claim"]: one for one in call("claims", "--json").json["claims"]}
    assert found["twelve in a row"]["verdict"] == "holds"
    assert found["twelve in a row"]["ours"] == "$0.360, 24.0 s, 83.41 %, per dollar 2.3"


def test_a_made_up_input_that_does_not_get_far_is_said(call: Call):
    """The text that stands in for an input is nobody's question: a router may send it past every agent."""
    (Path.cwd() / "past.py").write_text(
        "from outlay import Agent\nfrom outlay.patterns import Router\n"
        "reply = Agent('reply', 'anthropic:claude-haiku-4-5')\n"
        "def sort(text): return 'yes' if text == 'mine' else 'no'\n"
        "flow = Router(sort, {'yes': reply}, default=lambda text: text)\n"
    )
    made_up = call("forecast", "past.py:flow", "--n", "5").out
    assert "! reply: not asked in any of these runs: give inputs that get there (--rows FILE)\n" in made_up
    assert "not asked" not in call("forecast", "past.py:flow", "--n", "5", "--input", "mine").out


def test_a_picture_in_a_folder_that_is_not_there(call: Call):
    said = call("forecast", "desk.py:echo", "--n", "5", "--svg", "pictures/f.svg")
    assert (said.code, said.err) == (
        2,
        "error: cannot write pictures/f.svg: No such file or directory\n  next: mkdir -p pictures\n",
    )
