"""What passes between debaters and their judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from typing_extensions import TypeVar

A = TypeVar("A", default=str, covariant=True)


@dataclass(frozen=True)
class Rebuttal:
    """What a debater that is not an agent gets in each further round: the question, its own last answer, and those
    of the others by name.
    """

    question: Any
    own: Any
    others: Mapping[str, Any]


@dataclass(frozen=True)
class Hearing:
    """What a judge gets: the answers by debater of each round, the first ones first. `final` says that no further
    round follows, whatever the judge says.
    """

    question: Any
    rounds: Sequence[Mapping[str, Any]]
    final: bool = False


@dataclass(frozen=True)
class Judgement(Generic[A]):
    """`done` if another round of debate would not make the answer better; `answer` is the best answer so far."""

    done: bool
    answer: A
