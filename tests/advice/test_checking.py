"""What counts as a check by a program, and which outputs need none."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hypothesis import given, settings
from pydantic import BaseModel

from outlay import Agent
from outlay.advice import Survey, checklist, warnings_of
from outlay.advice.checking import is_closed, says_how_sure, unchecked
from outlay.patterns import Detached, Gate, Pipeline, Router
from outlay.routing import calls_tool
from pattern_trees import trees

HAIKU = "anthropic:claude-haiku-4-5"


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Reading:
    at: datetime.date
    value: float | None
    colours: list[Colour]


class Row(TypedDict):
    sure: bool


class Tree(BaseModel):
    left: Tree | None = None
    depth: int = 0


class Note(BaseModel):
    label: Literal["a"]
    text: str


@pytest.mark.parametrize(
    "kind",
    [
        bool,
        int,
        Decimal,
        Literal["a", "b"],
        Colour,
        list[Literal["a"]],
        Annotated[int, "x"],
        int | None,
        Reading,
        Row,
        Tree,
    ],
)
def test_closed_outputs_carry_no_prose(kind: Any):
    """Numbers, dates, enumerations, and what is made of them only."""
    assert is_closed(kind)


@pytest.mark.parametrize("kind", [str, list[str], Note, dict, dict[str, int], Any, object, int | str, list])
def test_open_outputs_may(kind: Any):
    """One field of text is enough, and so is doubt."""
    assert not is_closed(kind)


@pytest.mark.parametrize(
    ("gate", "sure"),
    [
        (lambda o: None if o.confidence > 0.9 else "no", True),
        (lambda o: None if o["confidence"] > 0.9 else "no", True),
        (lambda o: None if len(o.text) < 9 else "no", False),
        (calls_tool("search"), False),
        (print, False),
    ],
)
def test_a_gate_that_reads_the_models_confidence_is_seen_in_its_code(gate: Any, sure: bool):
    """By the name of the field that it reads."""
    assert says_how_sure(gate) is sure


def test_a_pipelines_last_words_count_and_its_gates_before_them_do_not():
    """What a gate has let pass may be changed by the stage after it."""
    writer, editor = Agent("writer", HAIKU), Agent("editor", HAIKU)
    checked = Gate(lambda text: None)
    assert unchecked(Pipeline(writer, checked)) == []
    assert unchecked(Pipeline(writer, checked, Detached(editor))) == []
    assert unchecked(Pipeline(writer, checked, editor)) == [editor]


def test_a_flow_whose_parts_stand_in_many_places_is_looked_at_once():
    """Each level stands in the next one three times: 3^40 ways down, and no time for them."""
    flow: Any = Agent("a", HAIKU)
    for level in range(40):
        routes = dict.fromkeys(("x", "y", "z"), flow)
        flow = Router(flow if level % 2 else str.upper, routes, default=flow, name=f"r{level}")
    survey = Survey(flow)
    assert [agent.name for agent in unchecked(flow)] == ["a"]
    assert warnings_of(survey) == []
    assert len(checklist(survey)) == 10


@given(trees(failures=("error",)))
@settings(max_examples=25)
def test_every_flow_can_be_looked_at(tree: Any):
    """Whatever patterns are nested in it, each point has an answer and each warning a change."""
    survey = Survey(tree.flow)
    assert all(one.what and one.change for one in warnings_of(survey))
    assert len(checklist(survey)) == 10
