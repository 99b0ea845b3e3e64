"""What may be given again instead of asking a model: for how long, to whom, and to which other questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Near:
    """A question that was answered before, the `name` that its answer is stored under, its cosine to the new one."""

    name: str
    question: str
    similarity: float


class Neighbours(Protocol):
    """The questions that were answered at one place of a flow, for one tenant. A seam that stands with the values,
    because a request carries it."""

    def add(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Remember questions, each with the name of its answer and a digest of that, equal where the answers are. What
        had the name before is forgotten."""
        ...

    def near(self, question: str) -> Near | None:
        """The nearest one whose answer may be given to this question too; None where none is near enough or fits."""
        ...

    def forget(self, name: str) -> None:
        """Its answer is no longer there."""
        ...


class Similarity(Protocol):
    """What decides that two questions have one answer."""

    def neighbours(self) -> Neighbours:
        """An empty set of questions."""
        ...


@dataclass(frozen=True, slots=True)
class Reuse:
    """A stored answer may be given again for so many seconds, to requests of the same scope; where the model fails, for
    `stale` seconds.

    `similar`: to questions that are nearly the same, too, where the answer's text passes `fits` (None, or why not).
    """

    seconds: float
    scope: str = ""
    stale: float = 0.0
    similar: Similarity | None = None
    fits: Callable[[str], Awaitable[str | None]] | None = None
