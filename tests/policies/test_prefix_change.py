"""Which part of a prompt broke the cached prefix, and what kind of change it was."""

from __future__ import annotations

import pytest

from outlay.policies.prefix_change import PrefixChange, first_change
from outlay.values.request import OutputSpec, Prelude, ToolSpec


def tools(*named: tuple[str, str]) -> tuple[ToolSpec, ...]:
    return tuple(ToolSpec(name, description, '{"type":"object"}') for name, description in named)


A, B, C = ("find", "Finds."), ("send", "Sends."), ("read", "Reads the page.")


def test_equal_preludes_have_no_change() -> None:
    assert first_change(Prelude(("Hello.",), tools(A)), Prelude(("Hello.",), tools(A))) is None


def test_a_tools_description_is_named_by_its_number_and_name() -> None:
    """Tools come before instructions, so theirs is the change that counts."""
    found = first_change(Prelude(("x",), tools(A, B, C)), Prelude(("y",), tools(A, B, ("read", "Reads the book."))))
    assert found == PrefixChange("tool 3's description (read)", "its text", "Reads the page.", "Reads the book.")


@pytest.mark.parametrize(
    ("was", "now", "cause"),
    [
        ("It is 2026-11-21 10:04:59. Be kind.", "It is 2026-11-21 10:05:00. Be kind.", "a time"),
        ("Now: 1764000000", "Now: 1764000007", "a time"),
        ("Request 3f2504e0-4f89-11d3-9a0c-0305e82c3301.", "Request 9b2504e0-4f89-11d3-9a0c-0305e82c3301.", "an id"),
        ("Session req_8fk2mx91aa.", "Session req_8fk2mx91ab.", "an id"),
        ('Use {"a": 1, "b": 2}.', 'Use {"b": 2, "a": 1}.', "the same JSON with its keys in another order"),
        ("Be kind.", "Be brief.", "its text"),
    ],
)
def test_what_changed_in_the_system_prompt_is_recognised(was: str, now: str, cause: str) -> None:
    found = first_change(Prelude(("Fixed.", was)), Prelude(("Fixed.", now)))
    assert found is not None
    assert (found.segment, found.cause) == ("system 2", cause)


def test_the_diff_is_short_and_shows_both_sides_of_the_first_difference() -> None:
    long = "x" * 5000
    found = first_change(Prelude((long + "A" + long,)), Prelude((long + "B" + long,)))
    assert found is not None
    assert (found.was, found.now) == ("x" * 24 + "A" + "x" * 23, "x" * 24 + "B" + "x" * 23)
    assert str(found).startswith("system 1 changed (its text): 'xxx")


@pytest.mark.parametrize(
    ("before", "after", "segment", "cause"),
    [
        (Prelude((), tools(A, B)), Prelude((), tools(B, A)), "tools", "the same tools in another order"),
        (Prelude((), tools(A)), Prelude((), tools(A, B)), "tools", "another set of tools"),
        (Prelude(("a",)), Prelude(("a", "b")), "system 2", "one text more"),
        (Prelude(("a", "b")), Prelude(("a",)), "system 2", "one text less"),
        (Prelude((), (), OutputSpec("o", '{"a":1}')), Prelude(), "output schema", "its text"),
    ],
)
def test_parts_that_come_go_or_move(before: Prelude, after: Prelude, segment: str, cause: str) -> None:
    found = first_change(before, after)
    assert found is not None
    assert (found.segment, found.cause) == (segment, cause)
