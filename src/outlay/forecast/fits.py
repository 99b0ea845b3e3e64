"""What stored runs say of an agent: its calls as they were, to be drawn again."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from outlay.forecast.expect import Expect

Kind: TypeAlias = Literal["tool", "answer"]
#: A call is drawn from at least so many whose input was about as long.
LIKE_CALLS = 30
#: … and at the edges, where there are not as many shorter ones, or longer ones, from so many on either side.
FEWEST_LIKE = 3
_KEYS = re.compile(r"\[[^\]]*\]|#\d+")


@dataclass(frozen=True, slots=True)
class Measured:
    """One call as it was: what a fitted forecast draws. `estimated` is what was said of its input before it was sent,
    in the same way in which a simulated call is; of the `input_tokens` some were read from a cache, some written.
    """

    output_tokens: int
    seconds: float
    input_tokens: int
    estimated: int
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What stored runs say of one agent.

    `calls` by path (without keys and repeats; "" has them all) and kind, the shortest estimated input first; `failed`
    are the seconds of attempts that failed. `input_factor`: tokens read for one that was estimated, or for one of the
    model's upper bound (`of_bound`); `input_tokens` the mean of a call. `cache_read`, `cache_write`: shares of the
    input that the cache gave and took.
    """

    expect: Expect
    calls: Mapping[tuple[str, Kind], tuple[Measured, ...]]
    events: int
    input_factor: float | None = None
    of_bound: bool = False
    input_tokens: float | None = None
    cache_read: float = 0.0
    cache_write: float = 0.0
    failed: tuple[float, ...] = ()
    #: The ids of the models that were measured; empty: any.
    models: frozenset[str] = frozenset()
    #: Nobody but the agent's own program has answered.
    offline: bool = False

    @property
    def source(self) -> str:
        """What it was made from, for the list of assumptions."""
        return f"fitted from {self.events:,} calls{' of its stand-in' if self.offline else ''}"

    def of_a_stand_in(self) -> Fit:
        """What runs on stand-ins can say of live ones: how often it is asked and refused, how much it says, how long
        its tools take. A program answers at once and is never overloaded: its seconds and failures are nobody's.
        """
        known = self.expect
        expect = Expect(
            output_tokens=known.output_tokens, turns=known.turns, refused=known.refused, tool_seconds=known.tool_seconds
        )
        return Fit(expect=expect, calls={}, events=self.events, models=self.models, offline=True)

    def with_another_model(self) -> Fit:
        """What may carry over to a model that was not measured: how much is said, and how often again."""
        known = self.expect
        expect = Expect(output_tokens=known.output_tokens, turns=known.turns, refused=known.refused)
        return Fit(expect=expect, calls={}, events=self.events, offline=self.offline)

    def all(self, kind: Kind) -> tuple[Measured, ...]:
        return self.calls.get(("", kind), ())

    def like(self, path: str, kind: Kind, estimated: float, random: Random) -> Measured | None:
        """A call at this path, drawn from those whose input was about as long; None where none was measured.

        Estimate is held against estimate: how many tokens were read for one that was estimated differs with what the
        input is made of, and one factor for all picks shorter calls, or longer ones, than those that are like this one.
        """
        found = self.calls.get((path, kind)) or self.all(kind)
        if not found:
            return None
        equal = (side(found, estimated, key=_estimated) for side in (bisect_left, bisect_right))
        at = sum(equal) // 2  # the middle of those that are just as long, or half of those drawn would be shorter
        # as many shorter as longer ones, also for the shortest: a window that stops at the edge would lengthen those
        half = max(FEWEST_LIKE, min(max(LIKE_CALLS, len(found) // 10) // 2, at, len(found) - at))
        first, last = max(0, at - half), min(len(found), at + half)
        return found[first + int(random.random() * (last - first))]


def _estimated(call: Measured) -> int:
    return call.estimated


def place_of(path: str) -> str:
    """A path without the keys of items and the numbers of repeats."""
    return _KEYS.sub("", path)
