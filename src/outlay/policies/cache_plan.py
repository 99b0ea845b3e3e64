"""Where to let a provider cache a prompt: the break-even, computed.

A prefix that is written costs `write` instead of `input` per token once, and `read` instead of `input` with each
later request that begins with it. So a part of D tokens that R requests will read again within its life saves

    D × (R × (input − read) − (write − input))

With Anthropic's 1.25 × and 0.1 × the five-minute write pays from the first read on (R > 0.28), the one-hour write at
2 × from the second (R > 1.11). What stands in the cache already (`warm`) costs no write and saves at once.

Expected reads and token counts are estimates, and so is the saving; the bill is what counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from outlay.values.caching import CacheMode, Life
from outlay.values.price import MILLION, Rates

#: Breakpoints that Anthropic takes in one request.
MOST_MARKS = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the prompt at whose end a breakpoint may stand.

    `tokens` are its own. `reads_5m` and `reads_1h` are how many later requests are expected to begin with everything
    up to its end, within that time of one another. `warm`: the provider holds the prefix up to here. Who reads a longer
    prefix reads the shorter ones too, so reads do not grow along the prompt, and what is warm comes first.
    """

    name: str
    tokens: int
    reads_5m: float
    reads_1h: float = 0.0
    warm: bool = False

    def reads(self, life: Life) -> float:
        """A longer life misses nothing that a shorter one has."""
        return self.reads_5m if life == "5m" else max(self.reads_5m, self.reads_1h)


@dataclass(frozen=True, slots=True)
class Planned:
    """`marks` are (index of the segment, life), in order. `tokens` is the length of the cached prefix, `warm` that of
    the part that is there already; `saves` in US dollars is expected, and never negative. `why` is for people."""

    marks: tuple[tuple[int, Life], ...]
    tokens: int
    warm: int
    saves: float
    why: str

    @property
    def writes(self) -> int:
        """Tokens that are expected to be written."""
        return self.tokens - self.warm


def plan_cache(
    segments: Sequence[Segment], rates: Rates, minimum: int, mode: CacheMode = "auto", most: int = MOST_MARKS
) -> Planned:
    """The breakpoints that save the most in expectation; none where none saves anything.

    `mode`: "5m" and "1h" cache whatever is long enough, without asking whether it pays.
    """
    total = sum(segment.tokens for segment in segments)
    if mode == "off":
        return nothing("switched off for this agent")
    ends = _ends(segments)
    viable = [i for i, end in enumerate(ends) if end >= minimum]
    if not viable:
        return nothing(f"the prefix is about {total:,} tokens, the least that is cached is {minimum:,}")
    money = _Rates(rates)
    if money.reading <= 0:
        return nothing("this model has no lower price for cached input")
    best: tuple[float, tuple[tuple[int, Life], ...]] = (0.0, ())
    for chosen in combinations(viable, min(most, len(viable))):
        for marks in _lives(chosen, mode):
            saves = _saves(segments, marks, money)
            if mode != "auto" or saves > best[0]:
                best = saves, marks
    saves, marks = best
    reads = max(segments[i].reads("1h") for i in viable)
    if not marks:
        least = money.writing("5m") / money.reading
        return nothing(f"{reads:.2g} further reads are expected, and writing pays from {least:.2g} on")
    tokens = ends[marks[-1][0]]
    warm = max((ends[i] for i, _ in marks if segments[i].warm), default=0)
    return Planned(marks, tokens, warm, max(saves, 0.0), f"{reads:.3g} further reads expected")


def break_even(rates: Rates, life: Life) -> float | None:
    """Reads from which on a write of this life pays; None where reading is no cheaper than sending anew."""
    money = _Rates(rates)
    return money.writing(life) / money.reading if money.reading > 0 else None


class _Rates:
    """What a token saves when it is read, and costs more when it is written, in US dollars per million."""

    __slots__ = ("_hour", "_short", "reading")

    def __init__(self, rates: Rates) -> None:
        self.reading = float(rates.input - rates.cache_read)
        self._short = max(float(rates.cache_write - rates.input), 0.0)
        self._hour = max(float(rates.cache_write_1h - rates.input), 0.0)

    def writing(self, life: Life) -> float:
        return self._short if life == "5m" else self._hour


def nothing(why: str) -> Planned:
    """The plan that marks nothing."""
    return Planned((), 0, 0, 0.0, why)


def _ends(segments: Sequence[Segment]) -> list[int]:
    ends: list[int] = []
    for segment in segments:
        ends.append(segment.tokens + (ends[-1] if ends else 0))
    return ends


def _lives(chosen: Sequence[int], mode: CacheMode) -> list[tuple[tuple[int, Life], ...]]:
    """The ways to mark these or the first of these: a longer life never comes after a shorter one (a 400)."""
    if mode == "5m" or mode == "1h":
        return [tuple((i, mode) for i in chosen)]
    return [
        tuple((i, "1h" if place < hours else "5m") for place, i in enumerate(chosen[:length]))
        for length in range(1, len(chosen) + 1)
        for hours in range(length + 1)
    ]


def _saves(segments: Sequence[Segment], marks: Sequence[tuple[int, Life]], money: _Rates) -> float:
    """What these breakpoints save against none, in US dollars."""
    saved, start = 0.0, 0
    for index, life in marks:
        tokens = sum(segment.tokens for segment in segments[start : index + 1])
        mark = segments[index]
        now = money.reading if mark.warm else -money.writing(life)
        saved += tokens * (mark.reads(life) * money.reading + now)
        start = index + 1
    return saved / float(MILLION)
