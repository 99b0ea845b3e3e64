"""Tables of outcomes: read the same from every format, and refused by name of what is wrong."""

import csv
import json

import pytest

from outlay.errors import ConfigError
from outlay.routing import read_outcomes
from outlay.routing.outcomes import both

ROWS = [
    {"query_id": "q1", "dataset": "d", "category": "c", "query": "What is 1+1?", "model": "s", "correct": 1},
    {"query_id": "q1", "dataset": "d", "category": "c", "query": "What is 1+1?", "model": "l", "correct": 1},
    {"query_id": "q2", "dataset": "d", "category": "c", "query": 'Say "a,\nb"', "model": "s", "correct": 0.5},
]
ROWS = [{**row, "response": "2" if i == 0 else None, "cost": 0.25 if i == 0 else None} for i, row in enumerate(ROWS)]


def write(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        core, io = pytest.importorskip("arro3.core"), pytest.importorskip("arro3.io")
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        columns |= {"correct": [float(row["correct"]) for row in rows]}
        kinds = {"correct": core.DataType.float64(), "cost": core.DataType.float64()}
        arrays = {n: core.Array(v, type=kinds.get(n, core.DataType.string())) for n, v in columns.items()}
        io.write_parquet(core.Table(arrays), path)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_every_format_says_the_same(tmp_path, name):
    first, second = read_outcomes(write(tmp_path / name, ROWS))
    assert (first.id, first.query, set(first.outcomes)) == ("q1", "What is 1+1?", {"s", "l"})
    assert (first.outcomes["s"].response, first.outcomes["s"].cost) == ("2", 0.25)
    assert (first.outcomes["l"].response, first.outcomes["l"].cost) == ("", None)
    assert (second.query, second.outcomes["s"].correct) == ('Say "a,\nb"', 0.5)


def test_without_ids_the_question_is_the_id(tmp_path):
    rows = [{"query": "x", "model": m, "correct": 1} for m in ("s", "l")]
    assert [question.id for question in read_outcomes(write(tmp_path / "t.jsonl", rows))] == ["x"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"correct": 1.5}, "correct is 1.5, not between 0 and 1"),
        ({"correct": "good"}, "correct is 'good'"),
        ({"correct": None}, "row 4: no correct"),
        ({"query": ""}, "row 4: no query"),
        ({"query_id": "q1", "query": "other"}, "'q1' is two different questions"),
        ({"model": "s"}, "s answers 'q2' a second time"),
    ],
)
def test_a_row_that_cannot_be_is_refused(tmp_path, change, says):
    wrong = {**ROWS[2], "model": "l", **change}
    with pytest.raises(ConfigError, match=says):
        read_outcomes(write(tmp_path / "t.jsonl", [*ROWS, wrong]))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.xlsx", b"", "cannot tell what t.xlsx is"),
        ("t.csv", b"", "has no rows"),
        ("t.csv", b"query,model\nx,s\n", "no correct"),
        ("t.jsonl", b"{broken\n", "line 1 is not JSON"),
        ("t.jsonl", b"[1]\n", "not a JSON object"),
        ("t.jsonl", b"\xff\xfe", "not UTF-8"),
        ("t.parquet", b"PK", "is not parquet"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, content, says):
    if name.endswith("parquet"):
        pytest.importorskip("arro3.io")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_outcomes(tmp_path / name)


def test_a_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read none\.csv"):
        read_outcomes(tmp_path / "none.csv")


def test_a_model_that_is_not_in_the_table_is_named_with_those_that_are(tmp_path):
    questions = read_outcomes(write(tmp_path / "t.jsonl", ROWS))
    with pytest.raises(ConfigError, match="no row is of the model 'gpt'") as caught:
        both(questions, "s", "gpt")
    assert caught.value.hint == "the table has l, s"
    assert [question.id for question in both(questions, "s", "l")] == ["q1"]
    with pytest.raises(ConfigError, match="both 's'"):
        both(questions, "s", "s")


def test_spacing_and_capitals_make_no_other_question(tmp_path):
    a, b, c = (
        read_outcomes(write(tmp_path / "t.jsonl", [{"query": query, "model": "s", "correct": 1}]))[0].mark
        for query in ("What  is\nit?", "what is it?", "what was it?")
    )
    assert a == b != c
