"""Limits that hold: what a run, a node or an agent may use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from outlay.values.money import usd as as_usd

#: A century and more; beyond what a float of seconds can count, an event loop cannot wait either.
_LONGEST = 2**32
OnExhausted: TypeAlias = Literal["finish", "pause", "raise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Upper limits; None is no limit. All that are given hold at once.

    `usd` in US dollars; `tokens` of all buckets together; `calls` to models, retries included; `seconds` of active
    time, which ends as a deadline; `depth` is how many nodes may stand under one another below the holder;
    `fan_out` is how many children one node may have running at the same time.

    `on_exhausted`: `finish` returns the best answer so far, `pause` waits to be raised, `raise` raises
    BudgetExceeded. `allow_unpriced` lets a money budget run a model whose price is unknown; its cost then stays
    unknown. `scope` with `per` counts `usd`, `tokens` and `calls` of all runs under that scope in the store, whatever
    the process, from one midnight UTC (or first of the month) to the next.

    Raises ValueError for a negative, NaN or infinite limit.
    """

    usd: Decimal | str | int | float | None = None
    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None
    depth: int | None = None
    fan_out: int | None = None
    on_exhausted: OnExhausted = "finish"
    allow_unpriced: bool = False
    scope: str | None = None
    per: Literal["day", "month"] | None = None

    def __post_init__(self) -> None:
        if self.usd is not None:
            object.__setattr__(self, "usd", as_usd(self.usd))
        for name in ("tokens", "calls", "depth", "fan_out"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, float) and value.is_integer():
                object.__setattr__(self, name, value := int(value))
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{name} must be a whole number, not {value!r}")
            if value < 0:
                raise ValueError(f"{name} must not be negative: {value!r}")
        if self.seconds is not None and not _is_duration(self.seconds):
            raise ValueError(f"seconds must be a number, finite and not negative: {self.seconds!r:.80}")
        if self.on_exhausted not in ("finish", "pause", "raise"):
            raise ValueError(f"on_exhausted is 'finish', 'pause' or 'raise', not {self.on_exhausted!r}")
        if (self.scope is None) != (self.per is None):
            raise ValueError("scope= and per= go together: Budget(usd=5, scope='tenant:acme', per='day')")
        if self.per not in (None, "day", "month"):
            raise ValueError(f"per is 'day' or 'month', not {self.per!r}")

    @property
    def money(self) -> Decimal | None:
        """`usd` as the exact amount it was read as."""
        assert self.usd is None or isinstance(self.usd, Decimal)
        return self.usd


def _is_duration(seconds: object) -> bool:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return False
    return 0 <= seconds <= _LONGEST and math.isfinite(seconds)
