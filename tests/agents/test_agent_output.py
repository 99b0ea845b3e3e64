"""Typed output: every kind of type that can be asked of a model, and what happens to answers that are not of it."""

import enum
import json
import time
from dataclasses import dataclass
from typing import Annotated, Literal, Optional, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from outlay import Agent, RunContext, run_sync
from outlay.errors import ConfigError, OutputInvalid
from outlay.testing import Reply, ScriptedModel


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Finding(BaseModel):
    claim: str
    score: float = 0.0


@dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    id: int
    name: str


class Loose(TypedDict, total=False):
    rows: list[Row]
    note: str


@dataclass
class Report:
    title: str
    points: list[Point]
    findings: dict[str, Finding]
    colour: Colour | None = None


class Boxed(BaseModel):
    value: int


def agent(output_type, *replies, **options):
    return Agent("typed", ScriptedModel(list(replies)), output_type=output_type, **options)


def output(output_type, *replies, **options):
    return run_sync(agent(output_type, *replies, **options), "go").unwrap()


KINDS = [
    (str, "as it is\n", "as it is\n"),
    (str, '{"not": "parsed"}', '{"not": "parsed"}'),
    (Literal["a", "b"], '{"value": "a"}', "a"),
    (Literal["a", "b"], "a", "a"),
    (Literal["a", "b"], '"a"', "a"),
    (Literal["a", "b"], " b\n", "b"),
    (Literal["true", "null", "1"], "true", "true"),
    (Literal["true", "null", "1"], "1", "1"),
    (Literal[1, 2], "2", 2),
    (Colour, '{"value": "blue"}', Colour.BLUE),
    (Colour, "blue", Colour.BLUE),
    (Level, '{"value": 2}', Level.HIGH),
    (Finding, '{"claim": "x", "score": 0.5}', Finding(claim="x", score=0.5)),
    (Finding, '{"claim": "x"}', Finding(claim="x")),
    (Finding, '```json\n{"claim": "x"}\n```', Finding(claim="x")),
    (Finding, ' ```\n{"claim": "x"}```\n', Finding(claim="x")),
    (Point, '{"x": 1}', Point(1)),
    (Row, '{"id": 1, "name": "n"}', {"id": 1, "name": "n"}),
    (list[Row], '[{"id": 1, "name": "n"}]', [{"id": 1, "name": "n"}]),
    (Loose, '{"rows": [{"id": 1, "name": "n"}]}', {"rows": [{"id": 1, "name": "n"}]}),
    (list[int], '{"value": [1, 2]}', [1, 2]),
    (list[int], "[1, 2]", [1, 2]),
    (list[int], "[]", []),
    (list[Finding], '{"value": [{"claim": "x"}]}', [Finding(claim="x")]),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (int, '{"value": 3}', 3),
    (bool, "true", True),
    (Point | Row, '{"value": {"x": 1, "y": 2}}', Point(1, 2)),
    (Point | Finding, '{"value": {"claim": "x"}}', Finding(claim="x")),
    (Boxed | Point, '{"value": {"value": 1}}', Boxed(value=1)),
    (Boxed | Point, '{"value": 1}', Boxed(value=1)),
    (Optional[Point], '{"value": null}', None),  # noqa: UP045 - both spellings are allowed
    (str | list[str], '{"value": ["a"]}', ["a"]),
    (Annotated[int, Field(ge=0)], '{"value": 4}', 4),
    (
        Report,
        '{"title": "t", "points": [{"x": 1}], "findings": {"a": {"claim": "c"}}, "colour": "red"}',
        Report("t", [Point(1)], {"a": Finding(claim="c")}, Colour.RED),
    ),
]


@pytest.mark.parametrize(("output_type", "said", "value"), KINDS, ids=lambda p: str(p)[:40])
def test_an_answer_decodes_to_a_value_of_the_output_type(output_type, said, value):
    """What is not an object stands under `value` or bare; a fence around JSON is forgiven."""
    found = output(output_type, Reply(said))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("output_type", [kind for kind, _, _ in KINDS if kind is not str], ids=str)
def test_the_schema_asked_for_is_always_an_object(output_type):
    """Providers take objects only: anything else is wrapped."""
    spec = agent(output_type, "").codec.spec
    schema = json.loads(spec.schema)
    assert schema["type"] == "object"
    assert not spec.wrapped or list(schema["properties"]) == ["value"]


@given(st.lists(st.builds(Point, st.integers(), st.integers())))
def test_a_script_and_a_codec_are_each_others_inverse(points):
    """A value of the output type that a stand-in gives is the value that comes out."""
    assert output(list[Point], points) == points


@pytest.mark.parametrize("output_type", [42, {"a": 1}, [int], lambda x: x, object(), type(lambda: 0)], ids=str)
def test_a_type_that_no_schema_expresses_is_refused_when_the_agent_is_made(output_type):
    """Not after the first paid call."""
    with pytest.raises(ConfigError, match="agent 'typed': output_type"):
        agent(output_type, "")


# ── hostile answers ───────────────────────────────────────────────────────────────────────────────────────

HOSTILE = {
    "NaN": ('{"claim": "x", "score": NaN}', "NaN"),
    "infinity": ('{"claim": "x", "score": -Infinity}', "Infinity"),
    "1e400": ('{"claim": "x", "score": 1e400}', "too large"),
    "duplicate keys": ('{"claim": "a", "claim": "b"}', "twice"),
    "lone surrogate": ('{"claim": "\\ud800"}', "surrogate"),
    "raw lone surrogate": ('{"claim": "\ud800"}', "surrogate"),
    "100,000 brackets": ("[" * 100_000, "nested"),
    "100,000 objects": ('{"claim":' * 100_000, "nested"),
    "990 brackets": ("[" * 990 + "]" * 990, ""),
    "5,000 digits": ('{"claim": "x", "score": ' + "9" * 5_000 + "}", ""),
    "empty": ("", "not JSON"),
    "white space": (" \n", "not JSON"),
    "null": ("null", ""),
    "prose": ("Sure! Here it is.", "not JSON"),
    "two values": ('{"claim": "x"} {"claim": "y"}', "Extra data"),
    "NUL": ("\0", "not JSON"),
    "wrong field": ('{"claim": 5}', "claim"),
    "open fence": ("```json\n" + " " * 100_000, "not JSON"),
    "fences": ("```\n" * 20_000, "not JSON"),
}


@pytest.mark.parametrize(("said", "says"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("output_type", [Finding, list[Finding], Literal["a", "b"], Finding | Point], ids=str)
def test_hostile_answers_are_fed_back_and_never_pass(said, says, output_type):
    """Each is refused with what is wrong, in a moment, and the model may correct itself."""
    good = "a" if output_type == Literal["a", "b"] else Finding(claim="x")
    good = [good] if output_type == list[Finding] else good
    typed = agent(output_type, Reply(said), good, max_output_tokens=1_000_000)
    before = time.perf_counter()
    assert run_sync(typed, "go").unwrap() == good
    assert time.perf_counter() - before < 2
    feedback = typed.model.calls[1].text
    if output_type is Finding:
        assert says in feedback
    assert len(feedback) < 2_000


def test_text_that_is_not_text_is_refused_for_str_too():
    """Half a surrogate pair cannot be stored or sent on, so it is no answer."""
    assert output(str, "a\ud800", "fine") == "fine"


# ── feedback, retries and their bill ──────────────────────────────────────────────────────────────────────


def test_what_is_wrong_is_fed_back_in_the_same_conversation():
    """The next turn reads the refused answer and the problem."""
    typed = agent(Finding, '{"score": 1}', Finding(claim="x"))
    run_sync(typed, "go").unwrap()
    first, refused, feedback = typed.model.calls[1].messages
    assert (first.text, refused.text) == ("go", '{"score": 1}')
    assert "claim: Field required" in feedback.text


def test_after_the_retries_it_is_output_invalid_with_the_last_answer_and_every_call_billed():
    """`output_retries=2` is three calls, all in the bill; the error holds the output and the problem."""
    typed = agent(Finding, "one", "two", "three")
    result = run_sync(typed, "go")
    assert isinstance(result.error, OutputInvalid)
    assert (result.error.output, result.stop_reason, result.output) == ("three", "error", None)
    assert "not JSON" in result.error.problem
    assert [line.calls for line in result.bill.lines] == [3]
    assert [line.output_tokens for line in result.bill.lines] == [1 + 1 + 2]


def test_without_retries_the_first_wrong_answer_ends_it():
    """`output_retries=0` is one call."""
    typed = agent(Finding, "one", "two", output_retries=0)
    assert isinstance(run_sync(typed, "go").error, OutputInvalid)
    assert len(typed.model.calls) == 1


# ── verify ────────────────────────────────────────────────────────────────────────────────────────────────


def shout(text: str) -> str | None:
    return None if text.isupper() else "write in capitals"


async def shout_async(text: str) -> str | None:
    return shout(text)


def shout_ctx(ctx: RunContext, text: str) -> str | None:
    assert ctx.path == "typed"
    return shout(text)


class Shout:
    def __call__(self, text: str) -> str | None:
        return shout(text)


@pytest.mark.parametrize("checker", [shout, shout_async, shout_ctx, Shout()], ids=lambda c: type(c).__name__)
def test_a_checker_sends_an_answer_back_with_its_words(checker):
    """Sync, async, with the context, or an object: a string says what is wrong."""
    typed = agent(str, "quiet", "LOUD", verify=[checker])
    assert run_sync(typed, "go").unwrap() == "LOUD"
    assert "write in capitals" in typed.model.calls[1].text


def test_checkers_see_the_decoded_value():
    """A checker gets a value of the output type."""
    seen = []
    output(Point, Point(1, 2), verify=[seen.append])
    assert seen == [Point(1, 2)]


def test_checkers_run_in_order_up_to_the_first_that_objects():
    """A later checker may rely on the earlier ones."""
    order = []

    def first(text):
        order.append("first")
        return None if text == "b" else "no"

    def second(text):
        order.append("second")

    assert output(str, "a", "b", verify=[first, second]) == "b"
    assert order == ["first", "first", "second"]


def test_an_answer_that_does_not_validate_reaches_no_checker():
    """Checkers never see what is not of the type."""
    seen = []
    output(Point, "{}", Point(1), verify=[seen.append])
    assert seen == [Point(1)]


def test_a_checker_that_objects_to_the_end_is_output_invalid():
    """The problem is the checker's."""
    result = run_sync(agent(str, "a", "b", "c", verify=[shout]), "go")
    assert isinstance(result.error, OutputInvalid)
    assert result.error.problem == "write in capitals"


def test_a_checker_that_raises_ends_the_run_with_its_exception():
    """A broken checker is a defect of yours: nothing is fed back, nothing more is paid for."""
    typed = agent(str, "a", "b", verify=[lambda text: 1 / 0])
    result = run_sync(typed, "go")
    assert isinstance(result.error, ZeroDivisionError)
    assert len(typed.model.calls) == 1


@pytest.mark.parametrize("verdict", [True, False, 0, ["no"]])
def test_a_checker_that_says_neither_none_nor_text_is_named(verdict):
    """`True` may mean good or bad: the checker is named instead of guessed at, and nothing is fed back."""

    def odd(text):
        return verdict

    typed = agent(str, "a", "b", verify=[odd])
    result = run_sync(typed, "go")
    assert isinstance(result.error, ConfigError)
    assert "odd" in str(result.error)
    assert len(typed.model.calls) == 1


def test_one_checker_needs_no_list():
    """`verify=short` is `verify=[short]`."""
    assert output(str, "LOUD", verify=shout) == "LOUD"
