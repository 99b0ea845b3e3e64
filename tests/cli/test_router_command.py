"""`outlay router train` and `eval`: from a table to a file, from a file to figures."""

import csv
import json
import random

import pytest

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
