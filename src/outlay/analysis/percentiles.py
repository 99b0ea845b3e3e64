"""Averages and percentiles of what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile: the smallest value that `percent` per cent of all do not exceed; None of nothing.

    Nearest rank and not interpolation, because it is a value that was measured: a P95 of 6.1 s names a call that
    took 6.1 s, also where there are only three.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"a percentile is from 0 to 100, not {percent}")
    if not values:
        return None
    # Rounded first: 0.07 * 100 is a little more than 7 in floating point, and would be rank 8.
    rank = math.ceil(round(percent * len(values) / 100, 9))
    return sorted(values)[max(rank, 1) - 1]
