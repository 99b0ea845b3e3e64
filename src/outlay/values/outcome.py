"""How one branch of several came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

A = TypeVar("A", covariant=True)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[A]):
    """The branch at `index`, counted from 0 in the order given, with its `value`, or with the `error` it raised."""

    index: int
    value: A | None = None
    error: Exception | None = None
