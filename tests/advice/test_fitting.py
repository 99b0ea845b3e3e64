"""Which type may stand for which: no only where that is certain."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Protocol, TypedDict, TypeVar

import pytest

from outlay.advice.fitting import fits


class Colour(enum.Enum):
    RED = "red"


class Row(TypedDict):
    id: str


class Base: ...


class Derived(Base): ...


class Readable(Protocol):
    def read(self) -> str: ...


T = TypeVar("T")
Name = NewType("Name", str)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (str, str),
        (int, float),
        (Derived, Base),
        (Base, Derived),
        (str, str | int),
        (str | int, int),
        (Any, int),
        (str, Any),
        (object, int),
        (Literal["a"], str),
        (str, Literal["a", "b"]),
        (Literal["a", "b"], Literal["b", "c"]),
        (list[str], list[str]),
        (list[int], list[float]),
        (list, list[str]),
        (list[str], Sequence[str]),
        (dict[str, int], Mapping[str, int]),
        (Row, dict[str, Any]),
        (Annotated[str, "x"], str),
        (Name, str),
        (Base, Readable),
        (T, int),
        (Callable[[int], str], Callable[[str], str]),
        (tuple[int, ...], tuple[str, str]),
        (type[int], type[str]),
        ("Draft", int),
        (None, int),
    ],
)
def test_what_may_be_is_let_through(given: Any, wanted: Any):
    """A subclass, a wider union, a base class that may turn out to be one, and whatever nobody can tell."""
    assert fits(given, wanted)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (str, int),
        (float, int),
        (str, Base),
        (str, int | float),
        (Literal["a"], int),
        (Literal["a"], Literal["b"]),
        (list[str], list[int]),
        (dict[str, str], dict[str, int]),
        (Colour, str),
        (Row, str),
        (list[str], str),
        (Annotated[int, "x"], str),
    ],
)
def test_what_surely_does_not_fit_is_refused(given: Any, wanted: Any):
    """No value of the one is one of the other."""
    assert not fits(given, wanted)
