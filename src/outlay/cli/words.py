"""How figures read, the same everywhere: counts, money, shares, percentiles, answers."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from unicodedata import east_asian_width

from outlay.analysis.percentiles import percentile
from outlay.analysis.receipt import WIDTH
from outlay.analysis.text import one_line, plain
from outlay.cli.tally import RouteTally, Tally

_MADE = re.compile("[0-9a-f]{12}")


def short(run: str) -> str:
    """A run's id as it is to be typed: one that we made is known by its beginning."""
    return run[:6] if _MADE.fullmatch(run) else one_line(run, 128)


def room() -> int:
    """Characters in a line of standard output: those of the terminal, where there is one."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def dollars(amount: Decimal, unknown: int = 0, *, places: int | None = None) -> str:
    """`$0.0050`; with unknown parts a lower bound, or `unpriced` where nothing is known."""
    if unknown and not amount:
        return "unpriced"
    if places is None:
        places = 4 if amount >= Decimal("0.01") or not amount else 6
    return f"{'≥ ' if unknown else ''}${amount:,.{places}f}"


def spread(costs: Sequence[Decimal], unit: str) -> str:
    """`per row P50 $0.0031 · P95 $0.0068`; empty where nothing is known."""
    values = [float(cost) for cost in costs]
    half, most = percentile(values, 50), percentile(values, 95)
    if half is None or most is None:
        return ""
    places = 4 if most >= 0.01 or not most else 6
    return f"per {unit} P50 ${half:,.{places}f} · P95 ${most:,.{places}f}"


def routes(tally: Tally) -> list[str]:
    """Where routers sent their inputs: `answer 976 · to human 484 (low confidence 391, urgent 81, failed 12)`."""
    return [_routes(name, tally.routes[name], len(tally.routes) > 1) for name in tally.routes]


def _routes(name: str, found: RouteTally, named: bool) -> str:
    parts: list[str] = []
    for route, number in sorted(found.by_route.items(), key=lambda item: (item[0] == found.default, -item[1], item[0])):
        why = f" ({reasons(found)})" if route == found.default and found.why else ""
        parts.append(f"{route.replace('_', ' ')} {number:,}{why}")
    return (f"{name}: " if named else "") + " · ".join(parts)


def reasons(found: RouteTally, separator: str = ", ") -> str:
    """Why the default route was taken, most frequent first."""
    return separator.join(f"{why} {number:,}" for why, number in found.why.most_common())


def shown(value: Any) -> str:
    """An output for people: text as it is, anything else as indented JSON; without terminal controls."""
    return plain(value if isinstance(value, str) else json.dumps(jsonable(value), ensure_ascii=False, indent=2))


def jsonable(value: Any) -> Any:
    """A value as what JSON has; what it lacks as text."""
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=str, inf_nan_mode="null", bytes_mode="base64")


def money(amount: Decimal | None) -> str | None:
    """An amount in JSON: a decimal string, so that no digit is lost; null if unknown."""
    return None if amount is None else f"{amount:f}"


def cell(text: str, width: int) -> str:
    """The beginning of a text on one line, filled up to `width` columns; most emoji and East Asian signs take two."""
    shown = one_line(text, width)
    while (columns := _columns(shown)) > width:
        shown = shown[:-2] + "…"
    return shown + " " * (width - columns)


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)
