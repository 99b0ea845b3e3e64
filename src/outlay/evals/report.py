"""A comparison as text for a terminal, and as a document for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from outlay.analysis.text import one_line
from outlay.evals.cautions import cautions
from outlay.evals.comparison import Comparison
from outlay.evals.handled import handled
from outlay.evals.intervals import Interval
from outlay.evals.side import Side
from outlay.evals.tables import FigureRow, failures, figures
from outlay.evals.verdict import flips, verdict_on

_WIDTH = 110
_NAME = 24


def report(found: Comparison) -> str:
    """Aligned plain text without colour: figures, failures, verdict, what would flip it, what to beware of."""
    head = FigureRow("", one_line(found.a.name, _NAME), one_line(found.b.name, _NAME), "difference (95 % interval)")
    rows = failures(found)
    below = [FigureRow("", "", ""), FigureRow("failures", "", "")] if rows else []
    lines = _aligned([head, *figures(found), *below, *(FigureRow(f"  {row.what}", row.a, row.b) for row in rows)])
    lines += ["", *_wrapped(verdict_on(found).text)]
    for text in flips(found):
        lines += _wrapped(text, "  ")
    if warnings := cautions(found):
        lines += ["", *(line for text in warnings for line in _wrapped(text, "! ", "  "))]
    return "\n".join(lines)


def document(found: Comparison) -> dict[str, Any]:
    """What JSON has of it: money as decimal text, unknown as null."""
    setup, verdict = found.setup, verdict_on(found)
    return {
        "dataset": setup.dataset,
        "cases": len(found.a.cases),
        "pairs": len(found.pairs),
        "checkers": list(setup.checkers),
        "judge": setup.judge or None,
        "budget": _money(setup.limit),
        "value": _money(setup.value),
        "models": setup.lane,
        "seed": setup.seed,
        "a": _side(found.a),
        "b": _side(found.b),
        "success": _interval(found.success),
        "dollars": _interval(found.dollars),
        "seconds": _interval(found.seconds),
        "multiplier": _interval(found.multiplier),
        "worth": _interval(found.worth),
        "price_of_a_success": found.price_of_a_success,
        "mcnemar": {"only_a": found.only_a, "only_b": found.only_b, "p": found.p},
        "interval_useless": found.too_few,
        "verdict": asdict(verdict),
        "flips": flips(found),
        "cautions": cautions(found),
        "failure_modes": [asdict(one) for one in handled(found)],
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "flow": side.name,
        "agents": side.agents,
        "successes": side.successes,
        "unmeasured": side.unmeasured,
        "success": _interval(side.share),
        "cost": _money(side.cost),
        "at_least": _money(side.at_least),
        "in_doubt": _money(side.in_doubt),
        "dollars": {"mean": side.dollars_a_case, "p50": side.dollars(50), "p95": side.dollars(95)},
        "seconds": {"mean": side.seconds_a_case, "p50": side.seconds(50), "p95": side.seconds(95)},
        "budget_used": None if side.used is None else {"mean": side.used[0], "most": side.used[1]},
        "budget_stops": side.stopped("budget"),
        "calls_a_case": side.calls_a_case,
        "tokens_per_useful_unit": side.tokens_per_useful_unit,
        "quality_per_dollar": side.quality_per_dollar,
        "failures": side.failures,
        "judge": {"liked": side.opinions[0], "asked": side.opinions[1], "cost": _money(side.judge_cost)},
        "results": [
            {
                "case": case.case,
                "run_id": case.run_id,
                "success": case.success,
                "failure": case.failure or None,
                "problems": {one.name: one.problem for one in case.checks if one.problem is not None},
                "opinion": None
                if case.opinion is None
                else {**asdict(case.opinion), "cost": _money(case.opinion.cost)},
                "stop_reason": case.stop_reason,
                "cost": _money(case.cost),
                "seconds": round(case.seconds, 6),
            }
            for case in side.cases
        ],
    }


def _interval(found: Interval | None) -> dict[str, float] | None:
    return None if found is None else asdict(found)


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _aligned(rows: Sequence[FigureRow]) -> list[str]:
    table = [tuple(one_line(cell, 60) if i else _what(cell) for i, cell in enumerate(_cells(row))) for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(3)]
    return [
        "  ".join([line[0].ljust(widths[0]), line[1].rjust(widths[1]), line[2].rjust(widths[2]), line[3]]).rstrip()
        for line in table
    ]


def _cells(row: FigureRow) -> tuple[str, str, str, str]:
    return row.what, row.a, row.b, row.between


def _what(text: str) -> str:
    """The first column keeps the space that sets it in."""
    return ("  " if text.startswith("  ") else "") + one_line(text, 60)


def _wrapped(text: str, first: str = "", rest: str | None = None) -> list[str]:
    return textwrap.wrap(
        one_line(text, 2_000), _WIDTH, initial_indent=first, subsequent_indent=first if rest is None else rest
    )
