"""What a part of a flow takes in the mean, and how parts go together. Pure values: no flow is looked at here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outlay.forecast.moments import NOTHING, Moments, maximum
from outlay.forecast.reliability import at_least


@dataclass(frozen=True, slots=True)
class Share:
    """One agent's part: calls (attempts), US dollars and seconds of work."""

    calls: float = 0.0
    dollars: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Share) -> Share:
        return Share(self.calls + other.calls, self.dollars + other.dollars, self.seconds + other.seconds)

    def __mul__(self, factor: float) -> Share:
        return Share(self.calls * factor, self.dollars * factor, self.seconds * factor)


@dataclass(frozen=True, slots=True)
class Expected:
    """Means of one node, in one run of it.

    `answers`: it gives an output at all. `clean`: it does, and nothing in it was skipped. `right`: its output is right,
    None where that is not known. `characters` of what it passes on. Dollars and calls are the sums over `agents`.
    """

    agents: Mapping[str, Share] = field(default_factory=dict[str, Share])
    seconds: Moments = NOTHING
    answers: float = 1.0
    clean: float = 1.0
    characters: float = 0.0
    right: float | None = None

    @property
    def dollars(self) -> float:
        return math.fsum(share.dollars for share in self.agents.values())

    @property
    def calls(self) -> float:
        return math.fsum(share.calls for share in self.agents.values())

    def happening(self, share: float) -> Expected:
        """It runs with this probability; its chances are those if it runs."""
        agents = {name: one * share for name, one in self.agents.items()}
        return Expected(agents, self.seconds.happening(share), self.answers, self.clean, self.characters, self.right)

    def then(self, after: Expected, reached: float | None = None) -> Expected:
        """`after` follows where this gives an answer (or with the probability `reached`); its output is the output."""
        met = self.answers if reached is None else reached
        taken = after.happening(met)
        return Expected(
            added(self.agents, taken.agents),
            self.seconds + taken.seconds,
            self.answers * after.answers,
            self.clean * after.clean,
            after.characters,
            after.right,
        )


def added(*parts: Mapping[str, Share]) -> dict[str, Share]:
    total: dict[str, Share] = {}
    for part in parts:
        for name, share in part.items():
            total[name] = total[name] + share if name in total else share
    return total


def at_once(parts: Sequence[Expected], *, needed: int | None = None, lanes: int | None = None) -> Expected:
    """All at the same time: costs add up, the slowest decides. `needed` of them must give an answer (None: all).

    With fewer `lanes` than parts they run in rounds of that many, each as long as its slowest: an upper bound, since
    the runtime starts the next as soon as one is free. The output is right where all are.
    """
    size = lanes or max(1, len(parts))
    seconds = NOTHING
    for start in range(0, len(parts), size):
        seconds = seconds + maximum([part.seconds for part in parts[start : start + size]])
    rights = [part.right for part in parts]
    return Expected(
        added(*(part.agents for part in parts)),
        seconds,
        at_least(len(parts) if needed is None else min(needed, len(parts)), [part.answers for part in parts]),
        math.prod(part.clean for part in parts),
        math.fsum(part.characters for part in parts),
        None if any(right is None for right in rights) else math.prod(right for right in rights if right is not None),
    )


def either(parts: Sequence[tuple[float, Expected]]) -> Expected:
    """One of them, with these probabilities, which sum to 1."""
    mean = math.fsum(p * part.seconds.mean for p, part in parts)
    second = math.fsum(p * (part.seconds.variance + part.seconds.mean**2) for p, part in parts)
    rights = [part.right for p, part in parts if p]
    return Expected(
        added(*(part.happening(p).agents for p, part in parts)),
        Moments(mean, max(second - mean**2, 0.0)),
        math.fsum(p * part.answers for p, part in parts),
        math.fsum(p * part.clean for p, part in parts),
        math.fsum(p * part.characters for p, part in parts),
        None if None in rights else math.fsum(p * (part.right or 0.0) for p, part in parts),
    )
