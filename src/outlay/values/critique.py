"""What passes between a generator and its critic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Critique:
    """A critic's opinion: good enough or not, what to change, and a score to compare versions (higher is better)."""

    ok: bool
    feedback: str = ""
    score: float | None = None


@dataclass(frozen=True)
class Revision:
    """What a generator that is not an agent gets to do better: the input, its draft, and what was wrong."""

    input: Any
    draft: Any
    feedback: str


@dataclass(frozen=True)
class Draft:
    """What a critic that is an agent gets to judge."""

    task: Any
    draft: Any


class Feedback(str):
    """What was wrong, for an agent that goes on in its own conversation: it stands there as it is, unprompted."""

    __slots__ = ()
