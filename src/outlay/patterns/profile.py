"""What a pattern is good for, what it costs and how it ends: the rows of docs/patterns.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What a result looks like afterwards. `error`: no output, and the member's error. `no output`: none, and the stop as
#: the reason. `best so far`: what was there as the output. `answer`: one more step made an answer of what was there.
#: `goes on`: the answer of the others, degraded.
Kind = Literal["error", "no output", "best so far", "answer", "goes on"]


@dataclass(frozen=True, slots=True)
class Consequence:
    """What becomes of the result, as a kind that tests compare with what happens, and in words."""

    kind: Kind
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A pattern in nine cells. `cost` is in calls of an agent, n members or items; nested patterns multiply."""

    parallelism: str
    cost: str
    best_when: str
    worst_when: str
    ends: str
    failed_member: Consequence
    at_budget: Consequence
    at_deadline: Consequence
