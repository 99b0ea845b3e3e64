"""`outlay frontier`: what is shown, in which form, and what is refused."""

from __future__ import annotations

from pathlib import Path

from cli_support import Call

SPACE = "models=mute:anthropic:claude-haiku-4-5|openai:gpt-5.4-mini"


def test_it_shows_what_nothing_beats_and_the_change(call: Call):
    said = call("frontier", "desk.py:mute", "--n", "20", "--space", SPACE)
    assert said.code == 0, said.err
    assert said.out.startswith("frontier of mute · ")
    assert 'agent mute: model="' in said.out
    assert "one call is what the flow is" in said.out


def test_json_is_one_document_and_the_same_for_a_seed(call: Call):
    first, second = (call("frontier", "desk.py:mute", "--n", "20", "--space", SPACE, "--json").json for _ in range(2))
    assert {**first, "took": 0} == {**second, "took": 0}
    assert first["size"] == len(first["designs"])
    assert first["frontier"][0]["changes"][0]["argument"] == "model"
    assert all(one["per_dollar"] > 0 for one in first["frontier"])


def test_limits_choose_the_cheapest_design(call: Call):
    right = ("--right", "mute=0.99", "--right", "mute@openai:gpt-5.4-mini=0.8")
    asked = ("frontier", "desk.py:mute", "--n", "20", "--space", SPACE, *right, "--json")
    free = call(*asked, "--min-success", "0.5").json
    strict = call(*asked, "--min-success", "0.9").json
    assert free["success_counts_right"]
    assert strict["cheapest"]["success"] >= 0.9 > free["cheapest"]["success"]
    none = call(*asked, "--min-success", "0.9", "--max-usd", "0.0000001").json
    assert none["cheapest"] is None
    assert none["nearest"] is not None


def test_the_plot_is_written_as_svg(call: Call, folder: Path):
    assert call("frontier", "desk.py:mute", "--n", "20", "--space", SPACE, "--svg", "out.svg").code == 0
    assert (folder / "out.svg").read_text("utf-8").startswith("<svg ")


def test_a_space_may_stand_in_a_file(call: Call, folder: Path):
    (folder / "space.toml").write_text('[models]\nmute = ["anthropic:claude-haiku-4-5", "openai:gpt-5.4-mini"]\n')
    (folder / "space.py").write_text(f"SPACE = {SPACE!r}\nNONE = 3\n")
    asked = ("frontier", "desk.py:mute", "--n", "20", "--json", "--space")
    by_word, by_toml, by_python = (call(*asked, one).json for one in (SPACE, "space.toml", "space.py:SPACE"))
    assert {**by_word, "took": 0} == {**by_toml, "took": 0} == {**by_python, "took": 0}
    assert "is no space" in call(*asked, "space.py:NONE").err


def test_a_sweep_has_no_overruns(call: Call):
    found = call("frontier", "desk.py:mute", "--n", "30", "--sweep", "--json").json
    assert [step["overruns"] for step in found["steps"]] == [0] * 10
    assert found["steps"][4]["blind_overruns"] == 30
    assert "budget sweep of mute" in call("frontier", "desk.py:mute", "--n", "10", "--sweep").out


def test_what_is_no_space_is_a_usage_error(call: Call):
    for text, problem in (("sizes=3", "no lever"), ("models=nobody:anthropic:x", "nobody"), ("retries=1", "retries")):
        said = call("frontier", "desk.py:mute", "--space", text)
        assert said.code == 2
        assert problem in said.err
    many = call("frontier", "desk.py:mute", "--space", SPACE, "--most", "1")
    assert "the limit is 1" in many.err
    assert call("frontier", "desk.py:mute", "--right", "x").code == 2
    assert call("frontier", "desk.py:mute", "--sweep", "--space", SPACE).code == 2
