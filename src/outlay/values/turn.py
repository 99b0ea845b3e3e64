"""What passes between the members of a conversation that speak in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic

from typing_extensions import TypeVar

T = TypeVar("T", default=Any)


@dataclass(frozen=True)
class Turn(Generic[T]):
    """One contribution: who spoke, and what it gave."""

    speaker: str
    output: T


@dataclass(frozen=True)
class Conversation(Generic[T]):
    """What a member gets when it is its turn: the original input, and what was said so far, oldest first."""

    input: Any
    turns: tuple[Turn[T], ...] = ()
