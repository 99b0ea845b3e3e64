"""Data sets: what is read, and what is refused before anything is spent."""

import io
import json

import pytest

from outlay.errors import ConfigError
from outlay.evals import Case, Dataset


def written(path, text):
    path.write_text(text, "utf-8")
    return path


def test_jsonl_keeps_its_types_and_csv_is_text(tmp_path):
    rows = [{"id": 1, "input": {"q": "a"}, "expected": 2}, {"id": "b", "input": "x", "expected": None}]
    lines = written(tmp_path / "d.jsonl", "\n".join(map(json.dumps, rows)))
    assert Dataset.read(lines).cases == (Case("1", {"q": "a"}, 2), Case("b", "x", None))
    table = written(tmp_path / "d.csv", 'id,input,expected,note\n7,"a, b",3,left out\n')
    assert Dataset.read(table).cases == (Case("7", "a, b", "3"),)


def test_parquet_is_read_like_the_others(tmp_path):
    arro3 = pytest.importorskip("arro3.core")
    from arro3.io import write_parquet

    table = arro3.Table.from_pydict(
        {
            "id": arro3.Array(["a", "b"], type=arro3.DataType.string()),
            "input": arro3.Array(["one", "two"], type=arro3.DataType.string()),
            "expected": arro3.Array([1, 2], type=arro3.DataType.int64()),
            "wide": arro3.Array(["x" * 1000, "y"], type=arro3.DataType.string()),
        }
    )
    content = io.BytesIO()
    write_parquet(table, content)
    (tmp_path / "d.parquet").write_bytes(content.getvalue())
    assert Dataset.read(tmp_path / "d.parquet").cases == (Case("a", "one", 1), Case("b", "two", 2))


def test_without_a_column_of_ids_rows_are_known_by_their_number(tmp_path):
    read = Dataset.read(written(tmp_path / "d.csv", "text\nfirst\nsecond\n"))
    assert [(case.id, case.input) for case in read] == [("1", "first"), ("2", "second")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,input\na,x\na,y\n", "cases 1 and 2 have the same id 'a'"),
        ("id,input\na,x\n,y\n", "row 2 has no id"),
        ("id,input\na,\n", "row 1 has no input"),
        ("id,question\na,x\n", "has no column 'input' .it has: id, question"),
        ("id,input\n", "has no cases"),
        ("", "has no cases"),
        ("id,input\na,x,1\n", "row 1 has not as many cells as the header"),
        ("id,input,expected\na,x\n", "row 1 has not as many cells as the header"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_by_row(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        Dataset.read(written(tmp_path / "d.csv", text))


def test_one_and_the_text_one_are_the_same_id(tmp_path):
    with pytest.raises(ConfigError, match="the same id '1'"):
        Dataset.read(written(tmp_path / "d.jsonl", '{"id": 1, "input": "a"}\n{"id": "1", "input": "b"}'))


@pytest.mark.parametrize(("name", "text"), [("d.jsonl", "[1]"), ("d.jsonl", "{"), ("d.txt", "x"), ("d.parquet", "x")])
def test_what_is_no_data_set_is_refused(tmp_path, name, text):
    with pytest.raises(ConfigError):
        Dataset.read(written(tmp_path / name, text))
    with pytest.raises(ConfigError, match="no such file"):
        Dataset.read(tmp_path / "missing.csv")


def test_a_case_is_another_where_its_input_is():
    assert Case("a", "x").mark == Case("a", "x", "expected does not count").mark
    assert len({Case("a", "x").mark, Case("a", "y").mark, Case("b", "x").mark}) == 3
