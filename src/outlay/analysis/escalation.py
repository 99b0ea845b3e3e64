"""What cascades did: how often each tier was asked and passed, what a turn cost and took, and whether it still pays.

A turn is one question put to a cascade. It is counted once, however often the run was resumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from outlay.analysis.percentiles import mean, percentile
from outlay.events.records import CallFailed, CallFinished, CallStarted, Decision, Event
from outlay.values.percent import percent

#: From here on an escalation is worth a warning, as shares of the turns and of the turns at the top.
MOST_TO_TOP, MOST_TOP_FAILURES = 0.30, 0.20
#: Below so many turns a share says little.
ENOUGH = 20
_ITEM = re.compile(r"\[[^\]]*\]|#\d+")


@dataclass(frozen=True, slots=True)
class TierCount:
    """One tier: the turns that came to it, those that it answered well, those refused by a gate, those that failed.

    `usd` is what its calls cost altogether, None if any is unpriced.
    """

    asked: int
    passed: int
    refused: int
    failed: int
    usd: Decimal | None

    @property
    def escalated(self) -> float | None:
        """The share of its turns that it did not settle."""
        return None if not self.asked else 1 - self.passed / self.asked


@dataclass(frozen=True)
class Escalation:
    """One cascade over all its turns.

    `usd` is what a turn cost with every tier and gate that it paid for, None where a price is unknown; `seconds` from
    its first call to the decision; `first_tokens` from its first call to the first token of the answer that was
    taken, where answers were streamed.
    """

    path: str
    turns: int
    tiers: Sequence[TierCount]
    usd: Sequence[Decimal | None] = field(repr=False, default=())
    seconds: Sequence[float] = field(repr=False, default=())
    first_tokens: Sequence[float] = field(repr=False, default=())

    @property
    def to_top(self) -> float | None:
        """The share of turns that came to the last tier; None without turns, or with one tier."""
        return None if not self.turns or len(self.tiers) < 2 else self.tiers[-1].asked / self.turns

    @property
    def top_failures(self) -> float | None:
        """Of the turns at the last tier, the share that it did not settle either."""
        return self.tiers[-1].escalated

    def cost(self, percent: float) -> float | None:
        """A percentile of what a turn cost, None where a price is unknown."""
        known = [float(usd) for usd in self.usd if usd is not None]
        return percentile(known, percent) if len(known) == len(self.usd) else None

    def latency(self, percent: float) -> float | None:
        """A percentile of a turn's seconds, every tier included."""
        return percentile(self.seconds, percent)

    def first_token(self, percent: float) -> float | None:
        return percentile(self.first_tokens, percent)

    @property
    def stops_paying_at(self) -> float | None:
        """The share of turns at the top from which on always asking the last tier would be cheaper, at these prices.

        A cascade costs what it spends below the top in each turn, and the top's price in the share that comes there: it
        pays while that share is under 1 - (spent below in a turn) / (price at the top). None without a turn at the
        top, or an unknown price.
        """
        top = self.tiers[-1]
        spent = mean([float(usd) for usd in self.usd if usd is not None])
        if not top.asked or not top.usd or None in self.usd or spent is None:
            return None
        at_top = float(top.usd) / top.asked
        return 1 - (spent - float(top.usd) / self.turns) / at_top

    @property
    def alerts(self) -> tuple[str, ...]:
        """What is out of bounds, from 20 turns on."""
        found: list[str] = []
        share, failures = self.to_top, self.top_failures
        if self.turns < ENOUGH:
            return ()
        if share is not None and share > MOST_TO_TOP:
            found.append(
                f"{self.path}: {percent(share)} of the turns came to the top tier, more than {percent(MOST_TO_TOP)}"
            )
        if failures is not None and failures > MOST_TOP_FAILURES and self.tiers[-1].asked:
            found.append(
                f"{self.path}: the top tier did not settle {percent(failures)}, more than {percent(MOST_TOP_FAILURES)}"
            )
        pays = self.stops_paying_at
        if share is not None and pays is not None and share > pays:
            found.append(
                f"{self.path}: at {percent(share)} to the top it no longer pays; it does up to {percent(max(pays, 0))}"
            )
        return tuple(found)


@dataclass(slots=True)
class _Open:
    """What a path has spent since its last decision."""

    began: float
    usd: Decimal | None = Decimal(0)
    first_token: float | None = None


@dataclass(slots=True)
class _Turn:
    """One turn so far: by (tier, attempt) how it ended and what it cost."""

    tiers: int
    began: float
    ended: float = 0.0
    first_token: float | None = None
    ends: dict[tuple[int, int], tuple[str, Decimal | None]] = field(
        default_factory=dict[tuple[int, int], "tuple[str, Decimal | None]"]
    )


class EscalationFold:
    """Escalations from events, one event at a time; the events of one run in their order."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Open] = {}
        self._turns: dict[tuple[str, str, int], _Turn] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, CallStarted):
            for path in _above(event.path):
                self._open.setdefault((event.run, path), _Open(event.time))
        elif isinstance(event, CallFinished):
            self._spent(event, event.cost)
        elif isinstance(event, CallFailed):
            self._spent(event, None if event.maybe_billed or event.in_doubt is not None else Decimal(0))
        elif isinstance(event, Decision) and event.about == "cascade":
            self._decided(event, event.data)

    def _spent(self, event: CallFinished | CallFailed, cost: Decimal | None) -> None:
        for path in _above(event.path):
            spent = self._open.setdefault((event.run, path), _Open(event.time - event.seconds))
            spent.usd = None if spent.usd is None or cost is None else spent.usd + cost
            if isinstance(event, CallFinished) and event.first_token is not None:
                spent.first_token = event.time - event.seconds + event.first_token

    def _decided(self, event: Decision, data: dict[str, Any]) -> None:
        spent = self._open.pop((event.run, event.path), None) or _Open(event.time)
        turn = self._turns.setdefault(
            (event.run, event.path, int(data["turn"])), _Turn(int(data["tiers"]), spent.began)
        )
        place = int(data["tier"]), int(data["attempt"])
        if place in turn.ends:
            return  # a resumed run says again what it has decided
        turn.ends[place] = ("failed" if data["failed"] else "passed" if data["passed"] else "refused", spent.usd)
        turn.ended = event.time
        turn.first_token = None if spent.first_token is None else spent.first_token - turn.began

    def escalations(self) -> list[Escalation]:
        """By cascade, in order of first use; items and repeats of a path are one."""
        grouped: dict[str, list[_Turn]] = {}
        for (_, path, _), turn in self._turns.items():
            grouped.setdefault(place(path), []).append(turn)
        return [_escalation(path, turns) for path, turns in grouped.items()]


def escalations(events: Iterable[Event]) -> list[Escalation]:
    """What the cascades in these events did (see `EscalationFold`)."""
    fold = EscalationFold()
    for event in events:
        fold.add(event)
    return fold.escalations()


def _escalation(path: str, turns: Sequence[_Turn]) -> Escalation:
    tiers = [_count(turns, tier) for tier in range(max(turn.tiers for turn in turns))]
    return Escalation(
        path,
        len(turns),
        tiers,
        [_sum(usd for _, usd in turn.ends.values()) for turn in turns],
        [turn.ended - turn.began for turn in turns],
        [turn.first_token for turn in turns if turn.first_token is not None],
    )


def _count(turns: Sequence[_Turn], tier: int) -> TierCount:
    """Of the attempts of a tier in one turn the last says how it ended."""
    ends = [[end for (at, _), end in turn.ends.items() if at == tier] for turn in turns]
    last = [of_turn[-1][0] for of_turn in ends if of_turn]
    return TierCount(
        len(last),
        last.count("passed"),
        last.count("refused"),
        last.count("failed"),
        _sum(usd for of_turn in ends for _, usd in of_turn),
    )


def _sum(costs: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total


def place(path: str) -> str:
    """The path without what tells items and repeats apart."""
    return _ITEM.sub("", path)


def _above(path: str) -> Iterable[str]:
    """The path and those around it."""
    while path:
        yield path
        path = path.rpartition("/")[0]
