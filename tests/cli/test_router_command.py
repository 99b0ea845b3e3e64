"""`outlay router train` and `eval`: from a table to a file, from a file to figures."""

import csv
import json
import random

import pytest

from outlay import Agent, run_sync
from outlay.patterns import Cascade
from outlay.testing import ScriptedModel

KEYS = {"apgr", "cpt50", "cpt80", "calls_for_95", "random_apgr", "oracle_apgr", "cheap", "strong"}


def table(path, n, seed):
    rng = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query_id", "dataset", "category", "query", "model", "response", "correct", "cost"])
        for i in range(n):
            hard = rng.random() < 0.5
            query = f"{'prove the hard theorem' if hard else 'spell an easy word'} {seed} {i}"
            for model, right in (("small", 0.1 if hard else 0.9), ("large", 0.95)):
                # the benchmark's own columns give the answer away: they must not be read
                correct = int(rng.random() < right)
                writer.writerow([f"{seed}-{i}", f"d{correct}", f"c{correct}", query, model, "", correct, 0.01])
    return path


@pytest.fixture
def trained(tmp_path, call):
    train = table(tmp_path / "train.csv", 200, 1)
    said = call(
        "router", "train", str(train), "--cheap", "small", "--strong", "large", "--labels", "150",
        "--out", str(tmp_path / "router.json"),
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "a router, before the call, from 150 labelled questions (seed 0)" in said.err
    return tmp_path / "router.json"


def test_eval_prints_the_figures_as_one_json_document(trained, tmp_path, call):
    said = call("router", "eval", str(trained), str(table(tmp_path / "held.csv", 200, 2)), "--json")
    found = json.loads(said.out)
    assert said.code == 0
    assert found.keys() >= KEYS
    assert found["random_apgr"] == 0.5 < found["apgr"] < found["oracle_apgr"]
    assert 0 < found["cpt50"] < found["cpt80"] <= 100


def test_eval_shows_it_beside_what_it_must_beat(trained, tmp_path, call):
    said = call("router", "eval", str(trained), str(table(tmp_path / "held.csv", 200, 2)))
    assert [line.split("  ")[0] for line in said.out.splitlines()[3:8]] == [
        "always cheap",
        "random",
        "this",
        "oracle",
        "always strong",
    ]


def test_eval_refuses_what_it_was_trained_on(trained, tmp_path, call):
    said = call("router", "eval", str(trained), str(tmp_path / "train.csv"))
    assert said.code != 0
    assert "150 of 200 questions were trained on" in said.err
    assert "--unseen" in said.err
    assert (
        call("router", "eval", str(trained), str(tmp_path / "train.csv"), "--unseen", "--json").json["left_out"] == 150
    )


def test_a_model_that_is_not_there_is_named_and_nothing_is_written(tmp_path, call):
    train = table(tmp_path / "t.csv", 50, 1)
    said = call(
        "router", "train", str(train), "--cheap", "tiny", "--strong", "large", "--out", str(tmp_path / "r.json")
    )
    assert said.code == 2
    assert "no row is of the model 'tiny'" in said.err
    assert "large, small" in said.err
    assert not (tmp_path / "r.json").exists()


def test_it_learns_from_recorded_runs_and_is_measured_on_others(tmp_path, call):
    """From the gate's verdicts; the strong one is asked on half of the questions, and taken to be right on the rest."""
    store, out = str(tmp_path / "s.db"), str(tmp_path / "gate.json")
    small = ScriptedModel(lambda r: "right" if "easy" in r.text else "wrong, maybe", name="small", price=(1, 1))
    large = ScriptedModel(lambda r: "wrong" if r.text.endswith("8") else "right", name="large", price=(10, 10))
    gate = lambda output: None if output == "right" else "wrong"  # noqa: E731
    agent = Agent("sorter", Cascade([small, large], gate))
    for i in range(80):
        run_sync(agent, f"{'easy word' if i % 2 else 'hard theorem'} {i}", store=store)
    models = ("--cheap", "small", "--strong", "large", "--runs-of", "sorter", "--store", store)
    said = call("router", "train", *models, "--labels", "60", "--out", out)
    assert said.code == 0, said.err
    assert "sorter: 80 questions · right or wrong as said by gate <lambda> 120" in said.err
    assert "large is taken to be right on 40 that only small was asked and got right" in said.err
    found = json.loads(call("router", "eval", out, "--runs-of", "sorter", "--store", store, "--unseen", "--json").out)
    assert found["questions"] == 20
    assert found["apgr"] > 0.7


@pytest.mark.parametrize("given", [(), ("t.csv", "--runs-of", "a")])
def test_questions_come_from_a_table_or_from_runs(given, call):
    said = call("router", "train", *given, "--cheap", "a", "--strong", "b", "--out", "x.json")
    assert (said.code, "give a TABLE, or --runs-of AGENT" in said.err) == (2, True)


def test_an_agent_that_nobody_judged_is_said_to_be_one(tmp_path, call):
    store = str(tmp_path / "s.db")
    run_sync(Agent("a", ScriptedModel(["x"], name="m")), "q", store=store)
    models = ("--cheap", "m", "--strong", "n")
    said = call("router", "train", "--runs-of", "a", "--store", store, *models, "--out", "x.json")
    assert said.code == 2
    assert "left out 1: neither a gate nor a check said whether it was right" in said.err
    assert "no judged answer of an agent 'a'" in said.err
