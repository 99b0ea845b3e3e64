"""A student: what it learns, what it declines, and what its file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from distil_support import examples

from outlay.errors import ConfigError
from outlay.routing.distil import Example, Student, distil, measure, read_examples, task_of
from outlay.routing.distil.examples import settle
from outlay.routing.distil.export import fine_tuning_lines
from outlay.routing.distil.softmax import fit

BANKING = Path(__file__).parents[4] / "shared/data/banking77"


def test_it_learns_what_a_word_says() -> None:
    student = distil(examples(), "intent")
    assert student.answer("please help with the invoice number 7001") == {"label": "billing"}


def test_it_declines_what_it_has_never_seen() -> None:
    assert distil(examples(), "intent").answer("xyzzy plugh") is None


def test_the_same_examples_in_another_order_give_the_same_split_and_calibration() -> None:
    one, other = distil(examples(), "intent"), distil(list(reversed(examples())), "intent")
    assert one.calibration.labels == other.calibration.labels
    assert one.trained_on == other.trained_on


def test_wrong_and_accepted_stays_under_the_target_on_average() -> None:
    """A tenth of the labels are wrong, so a student that accepted all would be wrong on a tenth."""
    wrong: list[float] = []
    for seed in range(8):
        rows = examples(1200, noise=120)
        held = [row for i, row in enumerate(rows) if i % 4 == seed % 4]
        kept = [row for i, row in enumerate(rows) if i % 4 != seed % 4]
        wrong.append(measure(distil(kept, "intent", target=0.05, seed=seed), held).wrong)
    assert sum(wrong) / len(wrong) <= 0.06


def test_a_text_stands_on_one_side_only() -> None:
    rows = [*examples(300), *examples(300)]
    assert settle(rows).repeated == 300
    student = distil(rows, "intent", target=0.05)
    with pytest.raises(ConfigError, match="300 of 300 texts are among those that the student was trained on"):
        measure(student, examples(300))
    with pytest.raises(ConfigError, match="no text that the student has not seen"):
        measure(student, examples(300), unseen=True)


def test_of_contradicting_answers_the_commonest_is_kept() -> None:
    said = [Example("Where is my CARD?", {"": label}) for label in ("a", "b", "b")]
    settled = settle(said)
    assert [dict(one.output) for one in settled.examples] == [{"": "b"}]
    assert (settled.repeated, settled.contradicted) == (2, 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no examples"),
        ([Example(f"t{i}", {"": f"free text {i}"}) for i in range(50)], "50 different values in 50 examples"),
        ([Example(f"t{i}", {"": "yes"}) for i in range(50)], "every answer is the same"),
        ([Example("a", {"x": 1}), Example("b", {"y": 1})], "2 different sets of fields"),
        (examples(60), "60 different texts cannot carry a bound of 0.02: it takes 196"),
    ],
)
def test_what_cannot_be_learned_is_refused(rows: list[Example], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        distil(rows, "intent")


def test_how_sure_the_model_was_is_no_answer_to_learn() -> None:
    rows = [Example(one.text, {**one.output, "confidence": 0.5 + i % 50 / 100}) for i, one in enumerate(examples(400))]
    task = task_of(rows)
    assert list(task.fields) == ["label"]
    assert task.says_confidence
    answer = distil(rows, "intent").answer("please help with the invoice number 7001")
    assert answer is not None
    assert answer["label"] == "billing"
    assert 0.5 < float(answer["confidence"] or 0) <= 1


def test_several_fields_are_one_answer() -> None:
    rows = [
        Example(f"{one.text}{' now' * (i % 2)}", {**one.output, "urgent": i % 2 == 1})
        for i, one in enumerate(examples())
    ]
    assert distil(rows, "intent").answer("please help with the invoice number 7001 now") == {
        "label": "billing",
        "urgent": True,
    }


def test_the_file_gives_the_same_student_and_no_text(tmp_path: Path) -> None:
    student = distil(examples(), "intent", teacher="anthropic:claude-haiku-4-5")
    student.save(tmp_path / "s.json")
    loaded = Student.load(tmp_path / "s.json")
    assert "invoice" not in (tmp_path / "s.json").read_text()
    for text in ("please help with the invoice number 1", "please help with the login", "nothing of the kind"):
        assert loaded.guess(text) == student.guess(text)
    assert loaded.version
    assert loaded.teacher == "anthropic:claude-haiku-4-5"


def _broken(change: Any) -> Any:
    def broken(document: dict[str, Any]) -> dict[str, Any]:
        change(document)
        return document

    return broken


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(schema="outlay.student/2"), "no student of this version"),
        (lambda d: d["fields"]["label"]["bias"].append(0.0), "is damaged"),
        (lambda d: d["fields"]["label"].update(classes=['"a"', '"b"', '"c"']), "is damaged"),
        (lambda d: d["fields"].update(other=d["fields"]["label"]), "is damaged"),
        (lambda d: d.pop("calibration"), "is damaged"),
        (lambda d: d["idf"].update(x=float("nan")), "is damaged"),
    ],
)
def test_a_file_that_is_no_student_is_refused(tmp_path: Path, change: Any, says: str) -> None:
    path = tmp_path / "s.json"
    distil(examples(300), "intent", target=0.05).save(path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=says):
        Student.load(path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read") as caught:
        Student.load(tmp_path / "none.json")
    assert caught.value.hint == "make one: outlay distill AGENT --out FILE"


def test_tables_name_the_row_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\na,x\n,y\n")
    with pytest.raises(ConfigError, match="row 2: no text, input, query or message"):
        read_examples(path)
    path = tmp_path / "t.jsonl"
    path.write_text('{"input": "a", "output": {"label": ["nested"]}}\n')
    with pytest.raises(ConfigError, match="row 1: the output has something nested in it"):
        read_examples(path)


def test_fine_tuning_files_have_each_providers_form() -> None:
    one = [Example("Where is my card?", {"label": "billing"})]
    (line,) = fine_tuning_lines(one, "Sort it.", "openai")
    assert [turn["role"] for turn in json.loads(line)["messages"]] == ["system", "user", "assistant"]
    (line,) = fine_tuning_lines(one, "Sort it.", "anthropic")
    assert json.loads(line) == {
        "system": "Sort it.",
        "messages": [
            {"role": "user", "content": "Where is my card?"},
            {"role": "assistant", "content": '{"label": "billing"}'},
        ],
    }


def test_probabilities_sum_to_one_and_the_fit_is_repeatable() -> None:
    rows = [{"a": 1.0}, {"b": 1.0}, {"a": 0.5, "c": 1.0}] * 10
    classes = ["x", "y", "z"] * 10
    one, other = fit(rows, classes), fit(rows, classes)
    assert one == other
    assert sum(one({"a": 1.0})) == pytest.approx(1)
    assert max(range(3), key=one({"b": 1.0}).__getitem__) == 1


def test_banking77_three_in_four_for_nothing() -> None:
    """Trained on a third of train.csv, measured on a part of it that it has not seen; nothing was tuned to either."""
    if not BANKING.is_dir():
        pytest.skip("the Banking77 data is not on this machine")
    rows = sorted(read_examples(BANKING / "train.csv"), key=lambda one: one.mark)
    student = distil(rows[:3300], "intent", target=0.05)
    found = measure(student, rows[3300:4800])
    assert found.right > 0.75
    assert found.accepted > 0.5
    assert found.wrong < 0.065
