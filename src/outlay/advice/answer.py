"""Answer: what a table says to a situation, why, and what would make it say something else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """`id` is the outcome as a word that programs can compare, `says` the same for people. `because` are the reasons,
    `unless` what would change the answer, `next` the lines to write or run."""

    topic: str
    id: str
    says: str
    because: tuple[str, ...]
    unless: tuple[str, ...]
    next: tuple[str, ...] = ()
