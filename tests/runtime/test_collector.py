"""The garbage collector is told to look less often while many calls are in flight, and only then."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from outlay import Agent, run_sync
from outlay.patterns import FanOut
from outlay.runtime.collector import MANY, OBJECTS, Collector
from outlay.testing import Reply, ScriptedModel, virtual_time


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def seen_by_calls(width: int) -> set[int]:
    """The thresholds that so many calls at once found."""
    seen: set[int] = set()

    def answer(_: object) -> Reply:
        seen.add(gc.get_threshold()[0])
        return Reply("fine")

    with virtual_time():
        run_sync(FanOut(Agent("a", ScriptedModel(answer, latency=1.0))), [str(i) for i in range(width)]).unwrap()
    return seen


def test_it_looks_less_often_while_many_are_in_flight() -> None:
    """And as before when they have landed."""
    before = gc.get_threshold()
    assert OBJECTS in seen_by_calls(MANY + 50)
    assert gc.get_threshold() == before


def test_a_few_calls_change_nothing() -> None:
    assert seen_by_calls(MANY - 1) == {gc.get_threshold()[0]}


@pytest.mark.parametrize("own", [(0, 10, 10), (OBJECTS + 1, 5, 5)], ids=["switched off", "rarer"])
def test_what_the_program_has_set_is_left_alone(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    assert seen_by_calls(MANY + 50) == {own[0]}
    assert gc.get_threshold() == own


def test_what_is_set_meanwhile_stays() -> None:
    one = Collector()
    for _ in range(MANY):
        one.begin()
    gc.set_threshold(1234, 5, 5)
    for _ in range(MANY):
        one.end()
    assert gc.get_threshold() == (1234, 5, 5)


def test_going_up_and_down_around_the_mark_changes_it_once() -> None:
    """What was before is what comes back, however often the number of calls passes the mark."""
    before, one = gc.get_threshold(), Collector()
    for _ in range(MANY):
        one.begin()
    for _ in range(3):
        one.end()
        one.begin()
    assert gc.get_threshold()[0] == OBJECTS
    for _ in range(MANY):
        one.end()
    assert gc.get_threshold() == before
