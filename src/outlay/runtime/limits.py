"""A run's budgets as its events record them, and back: a run that goes on has the limits that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.values.budget import Budget

_WHOLE = ("tokens", "calls", "depth", "fan_out")
_LIMITS = ("usd", "seconds", "scope", "per", *_WHOLE)


def recorded(budget: Budget) -> dict[str, str]:
    """What holds, by name; nothing for what is as usual."""
    found = {name: str(value) for name in _LIMITS if (value := getattr(budget, name)) is not None}
    if budget.on_exhausted != "finish":
        found["on_exhausted"] = budget.on_exhausted
    if budget.allow_unpriced:
        found["allow_unpriced"] = "true"
    return found


def rebuilt(limits: Mapping[str, str]) -> Budget:
    """The budget that `recorded` described; names that it does not know are left out."""
    values: dict[str, Any] = {name: int(limits[name]) for name in _WHOLE if name in limits}
    if "usd" in limits:
        values["usd"] = limits["usd"]
    if "seconds" in limits:
        values["seconds"] = float(limits["seconds"])
    values |= {name: limits[name] for name in ("on_exhausted", "scope", "per") if name in limits}
    return Budget(**values, allow_unpriced=limits.get("allow_unpriced") == "true")
