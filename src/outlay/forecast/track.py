"""How past forecasts did: each is kept in the store of the runs, and held against those that came after it.

A run counts for the last forecast before it, if it is of the lane that was forecast (live where nothing was fitted) and
completed. Of runs on stand-ins only the dollars do: their seconds are nobody's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from outlay.analysis.percentiles import percentile
from outlay.analysis.runs import RunSummary
from outlay.forecast.figures import Range, Rate
from outlay.forecast.foresight import Forecast
from outlay.protocols.documents import Change, Documents
from outlay.runtime.identity import segment
from outlay.values.percent import percent

_COLLECTION = "forecasts"
#: So many forecasts of a flow are kept.
MOST_KEPT = 50


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast as it is kept: when it was made, in seconds since the epoch; P5, P50 and P95."""

    flow: str
    time: float
    lane: str
    runs: int
    dollars: tuple[float, float, float] | None
    seconds: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Hits:
    """How forecasts of dollars, or of seconds, did. `under_p95` should be 95 %, `within` (P5 to P95) 90 %.

    `p50_bias`: by how much of the runs' median the forecast's lies above it.
    """

    runs: int
    under_p95: Rate
    within: Rate
    p50_bias: float


@dataclass(frozen=True, slots=True)
class Past:
    """Of the forecasts that runs have followed; None where none of those had a figure for it."""

    forecasts: int
    dollars: Hits | None
    seconds: Hits | None


def kept(found: Forecast, lane: str, time: float) -> Kept:
    def three(of: Range) -> tuple[float, float, float]:
        return of.p5, of.p50, of.p95

    dollars = None if found.dollars is None or found.unpriced else three(found.dollars)
    return Kept(flow=found.flow, time=time, lane=lane, runs=found.runs, dollars=dollars, seconds=three(found.seconds))


async def keep(store: Documents, one: Kept) -> None:
    """Write it down, and forget the oldest ones."""
    before = await store.list(_COLLECTION, _prefix(one.flow))
    changes = [Change(_COLLECTION, f"{_prefix(one.flow)}{int(one.time * 1e6):020d}", msgspec.json.encode(one), None)]
    changes += [Change(_COLLECTION, old.key, None, None) for old in before[: max(0, len(before) + 1 - MOST_KEPT)]]
    await store.commit(changes)


async def earlier(store: Documents, flow: str) -> list[Kept]:
    """The forecasts of this flow, oldest first."""
    return [msgspec.json.decode(one.body, type=Kept) for one in await store.list(_COLLECTION, _prefix(flow))]


def held(forecasts: Sequence[Kept], runs: Iterable[RunSummary]) -> Past | None:
    """All of them together; None where no run has followed one."""
    times = [one.time for one in forecasts]
    dollars: list[tuple[tuple[float, float, float], float]] = []
    seconds: list[tuple[tuple[float, float, float], float]] = []
    used: set[float] = set()
    for run in runs:
        at = bisect_left(times, run.started) - 1
        if at < 0 or run.outcome != "completed" or run.lane != forecasts[at].lane or run.flow != forecasts[at].flow:
            continue
        used.add(times[at])
        said = forecasts[at]
        if said.dollars is not None and run.cost is not None:
            dollars.append((said.dollars, float(run.cost)))
        if run.seconds is not None and run.lane != "offline":
            seconds.append((said.seconds, run.seconds))
    return Past(len(used), _hits(dollars), _hits(seconds)) if used else None


def _hits(pairs: Sequence[tuple[tuple[float, float, float], float]]) -> Hits | None:
    n = len(pairs)
    ratios = [half / actual for (_, half, _), actual in pairs if actual > 0]
    if not n or not ratios:
        return None
    return Hits(
        n,
        Rate.of(sum(actual <= high for (_, _, high), actual in pairs), n),
        Rate.of(sum(low <= actual <= high for (low, _, high), actual in pairs), n),
        (percentile(ratios, 50) or 0.0) - 1,
    )


def said_of(past: Past) -> list[str]:
    """Lines for a terminal."""
    lines: list[str] = []
    for name, hits in (("dollars", past.dollars), ("seconds", past.seconds)):
        if hits is not None:
            low, high = percent(hits.under_p95.low, 1), percent(hits.under_p95.high, 1)
            p95 = f"{percent(hits.under_p95.share, 1)} ({low} to {high})"
            lines.append(
                f"past forecasts of {name}: of {hits.runs:,} runs since, {p95} stayed under the P95, "
                f"{percent(hits.within.share, 1)} between P5 and P95; "
                f"P50 off by {percent(hits.p50_bias, 1, signed=True)}"
            )
    return lines


def _prefix(flow: str) -> str:
    return f"{segment(flow)}/"
