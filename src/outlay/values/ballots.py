"""The count of a vote: who leads, by how much, and whether what is still to come can matter."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AnySet
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key that was voted for: how often, and the number of the first sample that did."""

    key: Hashable
    votes: int
    first: int


@dataclass(frozen=True)
class Ballots(Generic[A]):
    """Up to `n` ballots, by the number of the sample (0 to n - 1) that each came from; `spoiled` ones will not come.

    The winner is what most samples say; of equals, what the lowest sample number says, so that it does not depend
    on who answers first. The count is `decided` once no rest of the votes could change the winner or tie with it.
    """

    n: int
    cast: Mapping[int, tuple[Hashable, A]] = field(default_factory=dict[int, "tuple[Hashable, A]"])
    spoiled: int = 0

    def add(self, sample: int, key: Hashable, output: A) -> Ballots[A]:
        return replace(self, cast={**self.cast, sample: (key, output)})

    def spoil(self) -> Ballots[A]:
        """One ballot fewer will be cast."""
        return replace(self, spoiled=self.spoiled + 1)

    @property
    def to_come(self) -> int:
        return self.n - len(self.cast) - self.spoiled

    @property
    def ranking(self) -> Sequence[Candidate]:
        """Most votes first; of equals, the lowest sample number first."""
        votes: dict[Hashable, int] = {}
        first: dict[Hashable, int] = {}
        for sample, (key, _) in sorted(self.cast.items(), key=lambda item: item[0]):
            votes[key] = votes.get(key, 0) + 1
            first.setdefault(key, sample)
        found = [Candidate(key, votes[key], first[key]) for key in votes]
        return sorted(found, key=lambda one: (-one.votes, one.first))

    @property
    def margin(self) -> int:
        """The votes between the leader and the next; all of the leader's where there is no other."""
        return sum(one.votes * sign for one, sign in zip(self.ranking, (1, -1), strict=False))

    @property
    def still_needed(self) -> int:
        """How many ballots must still be cast, at the least, until the count can be decided; 0 once it is."""
        to_come = self.to_come
        return min(to_come, max(0, (to_come - self.margin) // 2 + 1))

    @property
    def decided(self) -> bool:
        return self.still_needed == 0

    @property
    def agreement(self) -> float:
        """The leader's share of the ballots that were cast, 0 to 1."""
        return self.ranking[0].votes / len(self.cast) if self.cast else 0.0

    @property
    def winner(self) -> A | None:
        """The leader's output of the lowest sample number; None without a ballot."""
        return self.cast[self.ranking[0].first][1] if self.cast else None


def as_key(value: Any) -> Hashable:
    """What a ballot is counted under: the value itself, or its canonical JSON where Python cannot hash it."""
    if isinstance(value, AnySet):
        value = frozenset(cast("AnySet[Any]", value))
    try:
        hash(value)
        if value == value:  # nan is no candidate: it would equal nothing
            return value
    except TypeError:
        pass
    from pydantic_core import to_jsonable_python

    return json.dumps(to_jsonable_python(value, fallback=str, inf_nan_mode="constants"), sort_keys=True)
