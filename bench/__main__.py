"""Run the benches and print their figures beside those of their rivals.

    python -m bench                 all of them
    python -m bench call history    some of them
    python -m bench --quick         fewer repeats
    python -m bench --json          for programs
    python -m bench --strict        exits with 1 where a target is missed
    python -m bench ladder          the cost ladder: dollars, seconds and success, each rung off and on
    python -m bench routing         learned routing on recorded outcomes: APGR, CPT, joint errors (ten minutes)
    python -m bench load --real-minutes 10     thousands of runs at once, also for so long in real time

Contestants take turns in processes of their own, in one session; figures are medians over the turns, ratios medians
of the ratios turn by turn. CPU is that of all threads of the client. Nothing but loopback is used. Absolute figures
depend on the machine and on what else it does; the ratios should not, much.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import math
import sys
from collections.abc import Sequence

from bench.contest import Figure

BENCHES = (
    "call",
    "transport",
    "fanout",
    "history",
    "store",
    "imports",
    "bus",
    "sharing",
    "journal",
    "forecast",
    "compaction",
    "calibration",
    "faults",
    "load",
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("bench", description="Measure what Outlay promises of its speed.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(BENCHES)} (default: all)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="fewer repeats: a look, not a measurement")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--real-minutes", type=float, default=0.0, metavar="N", help="load: for so long over sockets")
    chosen = parser.parse_args(arguments)
    if chosen.names == ["ladder"]:  # a table of its own: dollars, not speed
        return int(importlib.import_module("bench.ladder").main(chosen.quick, chosen.json))
    if chosen.names == ["routing"]:  # what is learned, on data that may not be there
        return int(importlib.import_module("bench.routing").run())
    if unknown := [name for name in chosen.names if name not in BENCHES]:
        parser.error(f"there is no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    figures: list[Figure] = []
    for name in chosen.names or BENCHES:
        if not chosen.json:
            print(f"{name} …", file=sys.stderr, flush=True)
        options = {"real_minutes": chosen.real_minutes} if name == "load" else {}
        figures += importlib.import_module(f"bench.{name}").measure(chosen.quick, **options)
    print(_as_json(figures) if chosen.json else table(figures))
    return int(chosen.strict and any(figure.ok is False for figure in figures))


def _as_json(figures: Sequence[Figure]) -> str:
    def plain(value: object) -> object:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(
        [{k: plain(v) for k, v in dataclasses.asdict(figure).items()} | {"ok": figure.ok} for figure in figures],
        indent=1,
    )


def table(figures: Sequence[Figure]) -> str:
    """Aligned columns; the last says `ok` or `OVER` where a figure has a target."""
    rows = [("bench", "what", "figure", "", "rival", "rival's", "ratio", "target", "", "")]
    for figure in figures:
        target = "" if figure.target is None else f"≤ {_short(figure.target)}" + ("×" if figure.of == "ratio" else "")
        rows.append(
            (
                figure.bench,
                figure.what,
                _short(figure.value),
                figure.unit,
                figure.rival,
                "" if figure.rival_value is None else _short(figure.rival_value),
                "" if figure.ratio is None else f"{figure.ratio:.2f}×",
                target,
                {True: "ok", False: "OVER", None: ""}[figure.ok],
                figure.note,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    pad = [str.rjust if i in (2, 5, 6, 7) else str.ljust for i in range(len(widths))]
    lines = ["  ".join(f(cell, w) for f, cell, w in zip(pad, row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _short(value: float) -> str:
    if math.isinf(value):
        return "fails"
    whole = value == 0 or value >= 100 or (value >= 10 and value == int(value))
    return f"{value:,.0f}" if whole else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
