"""`outlay cache calibrate` and `eval`: from labelled questions to a file, from a file to a false-hit rate."""

import csv
import json
import random

import pytest

pytest.importorskip("wordllama", reason="needs pip install 'outlay[similar]'")

SAYS = {
    "card": ["where is my {} card", "has my {} card been sent", "when will my {} card arrive"],
    "close": ["how do I close the {} account", "please close my {} account", "I want my {} account closed"],
    "fee": ["what does a {} transfer cost", "is there a fee for a {} transfer", "how much is a {} transfer"],
}
KINDS = ["new", "old", "blue", "joint", "first", "other", "business", "spare", "foreign", "small", "lost", "virtual"]


def table(path, n, seed):
    rng = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "category"])
        for i in range(n):
            label = rng.choice(list(SAYS))
            writer.writerow([f"{rng.choice(SAYS[label]).format(rng.choice(KINDS))} {chr(97 + i % 26) * seed}", label])
    return str(path)


@pytest.fixture
def similar(tmp_path, call):
    out = tmp_path / "similar.json"
    said = call("cache", "calibrate", table(tmp_path / "seen.csv", 400, 1), "--out", str(out), "--target", "0.1")
    assert said.code == 0, said.err
    assert "labelled questions (seed 0)" in said.err
    assert f"next: outlay cache eval {out} TABLE" in said.err
    return str(out)


def test_eval_counts_hits_and_false_ones(similar, tmp_path, call):
    new, old = table(tmp_path / "new.csv", 120, 2), table(tmp_path / "seen.csv", 400, 1)
    said = call("cache", "eval", similar, new, "--stored", old, "--unseen", "--json")
    found = json.loads(said.out)
    assert (said.code, found["target"]) == (0, 0.1)
    assert found["hits"] == round(found["hit_rate"] * found["questions"]) > 0
    assert found["false_of_questions"] <= 0.1
    text = call("cache", "eval", similar, new, "--stored", old, "--unseen").out
    assert f"false hits    {found['false_hits']:>7,}" in text
    assert "target 10.0 % of the questions: held" in text


def test_eval_refuses_what_it_was_calibrated_on(similar, tmp_path, call):
    said = call("cache", "eval", similar, str(tmp_path / "seen.csv"))
    assert said.code != 0
    assert "the threshold was calibrated on them" in said.err
    assert "next: measure on others, or leave them out with --unseen" in said.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["calibrate", "gone.csv", "--out", "x.json"], "cannot read gone.csv"),
        (["calibrate", "few.csv", "--out", "x.json"], "cannot carry a bound of 0.01"),
        (["calibrate", "few.csv", "--out", "no/such/x.json"], "there is no folder no/such"),
        (["calibrate", "few.csv", "--out", "x.json", "--margin", "2"], "--margin"),
        (["eval", "gone.json", "few.csv"], "cannot read gone.json"),
        (["eval", "few.csv", "few.csv"], "few.csv is not JSON"),
    ],
    ids=lambda given: given if isinstance(given, str) else None,
)
def test_what_cannot_be_done_is_said_in_a_line(folder, call, arguments, problem):
    table(folder / "few.csv", 50, 1)
    said = call("cache", *arguments)
    assert said.code in (1, 2)
    assert problem in said.err
    assert "Traceback" not in said.err
