"""Labels: where a value comes from and who may see it (SEMANTICS 7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Integrity(IntEnum):
    """How far a value may be trusted; the smaller wins when values join.

    `DATA` is a closed field (an enum, a number, a date) out of untrusted text: fit for prompts, never an authority.
    """

    UNTRUSTED = 0
    DATA = 1
    TRUSTED = 2


@dataclass(frozen=True, slots=True)
class Label:
    """Integrity with its sources, and confidentiality tags."""

    integrity: Integrity = Integrity.TRUSTED
    sources: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    def join(self, other: Label) -> Label:
        """The label of a value made from both."""
        if self is other or other is TRUSTED:
            return self
        if self is TRUSTED:
            return other
        return Label(min(self.integrity, other.integrity), self.sources | other.sources, self.tags | other.tags)


TRUSTED = Label()


def untrusted(source: str, *tags: str) -> Label:
    """The label of text that somebody else wrote."""
    return Label(Integrity.UNTRUSTED, frozenset((source,)), frozenset(tags))


@dataclass(frozen=True, slots=True)
class Labelled(Generic[T]):
    """A value with its label, for callers that know more than the default."""

    value: T
    label: Label
