"""Batches, decided: what a call is called in one, when one is closed, and what its results account for."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay import Batching
from outlay.errors import ConfigError
from outlay.policies.batching import Gathering, custom_id, reconcile

TEXT = st.text(max_size=8)


def line(id: object) -> bytes:
    return json.dumps({"custom_id": id, "result": 1}).encode()


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_an_id_is_the_same_for_the_same_effect_and_model_and_for_no_other(one, other) -> None:
    """Whatever the parts hold, and as both providers take it (Anthropic: [a-zA-Z0-9_-]{1,64})."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", custom_id(*one))
    assert (custom_id(*one) == custom_id(*other)) == (one == other)


def test_a_batch_that_is_full_is_closed_at_once() -> None:
    """Full is as many requests, or as many bytes, as it may have."""
    by_number, by_size = Gathering(Batching(max_requests=2), 10.0), Gathering(Batching(max_bytes=100), 10.0)
    for now in (11.0, 12.0):
        assert by_number.fits(50)
        assert by_size.fits(50)
        by_number.add(50, now)
        by_size.add(50, now)
    assert not by_number.fits(1)
    assert not by_size.fits(1)
    assert by_number.due() == by_size.due() == 12.0


def test_a_request_that_is_larger_than_a_batch_goes_alone() -> None:
    """The provider will say what it thinks of it; the others are not held up."""
    gathering = Gathering(Batching(max_bytes=10), 0.0)
    assert gathering.fits(1_000)
    gathering.add(1_000, 1.0)
    assert gathering.due() == 1.0
    assert not gathering.fits(1)


def test_a_batch_is_closed_when_nothing_comes_any_more_or_when_it_is_old() -> None:
    """`quiet` after its last call, and at the latest `max_wait` after its first."""
    gathering = Gathering(Batching(quiet=2.0, max_wait=5.0), 100.0)
    gathering.add(1, 100.0)
    assert gathering.due() == 102.0
    gathering.add(1, 101.5)
    assert gathering.due() == 103.5
    gathering.add(1, 104.0)
    assert gathering.due() == 105.0


def test_looks_at_a_batch_become_rarer_up_to_a_limit() -> None:
    batching = Batching(poll=1.0, max_poll=60.0)
    assert [batching.pause(n) for n in (0, 1, 2, 6, 1_000)] == [1, 2, 4, 60, 60]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_requests": 0},
        {"max_bytes": -1},
        {"max_wait": float("nan")},
        {"quiet": -1.0},
        {"poll": 0.0},
        {"poll": 10.0, "max_poll": 5.0},
        {"settle": float("inf")},
        {"on_failure": "shrug"},
    ],
)
def test_limits_that_nothing_could_meet_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Batching(**wrong)


def test_every_kind_of_bad_line_is_accounted_for() -> None:
    """Missing, duplicate, never sent, and not JSON: each by itself, and the good ones are kept."""
    lines = [line("b"), b"", b"{oops", line("x"), b"[1]", line("b"), line(7), b"\xff\xfe", b"[" * 10_000, line("c")]
    found = reconcile(["a", "b", "c"], lines)
    assert list(found.answers) == ["b", "c"]
    assert (found.missing, found.duplicate, found.unknown, found.unreadable) == (("a",), ("b",), ("x",), 5)
    assert not found.clean
    assert reconcile(["b"], [line("b")]).clean


@given(st.sets(st.text(min_size=1, max_size=3)), st.lists(st.text(min_size=1, max_size=3)))
def test_each_request_is_answered_or_missing_and_each_line_is_counted(asked, given_ids) -> None:
    """Whatever a provider gives back, nothing of it is lost and nobody gets the answer of another."""
    found = reconcile(sorted(asked), [line(id) for id in given_ids])
    assert set(found.answers) | set(found.missing) == asked
    assert not set(found.answers) & set(found.missing)
    assert set(found.unknown) == set(given_ids) - asked
    assert all(id == answer["custom_id"] for id, answer in found.answers.items())
