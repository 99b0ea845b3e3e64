"""Faults in words, as `outlay emulator --fault` takes them."""

from __future__ import annotations

import pytest

from outlay.emulator.fault_words import KINDS, faults_of
from outlay.emulator.faults import Fault, Faults


def test_a_word_is_a_share_or_a_position() -> None:
    words = ["429=0.05", "529@3", "half-stream@1", "RESET=0.01", "429=0.05"]
    assert faults_of(words, 7) == Faults(
        at={3: 529, 1: Fault.half_stream()}, rates={429: 0.1, Fault.reset(): 0.01}, seed=7
    )


def test_a_name_alone_happens_to_every_request() -> None:
    assert faults_of(["not_json"]).draw(1) == Fault.not_json()


@pytest.mark.parametrize("name", KINDS)
def test_every_name_is_the_fault_of_that_name(name: str) -> None:
    assert faults_of([f"{name}@2"]).at[2] == getattr(Fault, name.replace("-", "_"))()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["200@1"], "names no fault"),
        (["²00@1"], "names no fault"),
        ([""], "names no fault"),
        (["429@soon"], "is no number"),
        (["429=nan"], "from 0 to 1"),
        (["429=-0.1", "500=0.3"], "from 0 to 1"),
        (["429=0.6", "500=0.6"], "at most 1 together"),
        (["429@0"], "from 1"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        faults_of(words)
