"""How right a forecast is that was fitted to stored runs: the triage example over real sockets, against the emulator.

Some runs are made and fitted, the forecast is made, then more runs, which it is held against. One first token in ten is
slow, and paces vary from call to call. `OUTLAY_BENCH_TEXTS=FILE.csv` takes messages from the column `text` of a file,
else they are the example's own and its phrases, drawn with replacement.
"""

from __future__ import annotations

import asyncio
import csv
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from bench.contest import Figure

EXAMPLE = Path(__file__).parent.parent / "examples" / "triage"
#: Calls take about as long as real ones, so that what else the machine does is a small part of it.
AT_ONCE = 96
#: Runs that are fitted, and later ones: P95 of n runs is itself off by 8 % where n is 1,000 and its tail is thin.
RUNS, QUICK = (800, 1_600), (200, 300)


def measure(quick: bool) -> Sequence[Figure]:
    from outlay.analysis.percentiles import percentile
    from outlay.emulator import Emulator
    from outlay.emulator.latency import Latency
    from outlay.emulator.standins import stand_ins
    from outlay.forecast import Assumptions, forecast, held_against

    flow = _triage()
    texts = _texts()
    fitted, later = QUICK if quick else RUNS
    random = Random(1)
    past, future = ([random.choice(texts) for _ in range(n)] for n in (fitted, later))
    latency = Latency(_first_token, lambda draw: draw.gammavariate(4, 0.003))
    with Emulator(behaviour=stand_ins(flow), latency=latency, seed=7) as emulator, tempfile.TemporaryDirectory() as tmp:
        before = dict(os.environ)
        os.environ.update(emulator.env())
        try:
            events, spent, took = asyncio.run(_played(flow, past, Path(tmp) / "past.db"))
            _, dollars, seconds = asyncio.run(_played(flow, future, Path(tmp) / "later.db"))
        finally:
            os.environ.clear()
            os.environ.update(before)
    from outlay.forecast import fit_runs

    assumptions = fit_runs(events, flow.name).under(Assumptions())
    found = forecast(flow, past, n=5_000, assumptions=assumptions)
    assert found.dollars is not None
    figures: list[Figure] = []
    kinds = (("dollars", found.dollars, spent, dollars), ("seconds", found.seconds, took, seconds))
    for name, said, known, actual in kinds:
        for percent, value, most in ((50, said.p50, 5.0), (95, said.p95, 10.0)):
            real = percentile(actual, percent) or 0.0
            off = 100 * (value / real - 1)
            # a perfect forecast from these runs would be off by as much as they are
            sample = 100 * ((percentile(known, percent) or 0.0) / real - 1)
            about = (
                f"{off:+.1f} %, the {fitted:,} fitted runs themselves {sample:+.1f} %: of {len(actual):,} later ones"
            )
            figures.append(
                Figure(
                    "calibration", f"P{percent} of {name}, off by", abs(off), "%", target=most, of="value", note=about
                )
            )
        track = held_against(said.p5, said.p95, actual)
        within = 100 * track.within.share
        figures.append(
            Figure(
                "calibration",
                f"{name} within P5 to P95, off 90 % by",
                abs(within - 90),
                "points",
                target=5,
                of="value",
                note=f"{within:.1f} % within; {100 * track.under_p95.share:.1f} % under P95",
            )
        )
    return figures


async def _played(flow: Any, texts: Sequence[str], store: Path) -> tuple[list[Any], list[float], list[float]]:
    from outlay import open_store, run_many
    from outlay.analysis.runs import runs
    from outlay.events import decode

    async for _ in run_many(flow, [(str(i), text) for i, text in enumerate(texts)], concurrency=AT_ONCE, store=store):
        pass
    async with open_store(store) as opened:
        events = [decode(row.body) for row in await opened.events()]
    done = [run for run in runs(events) if run.outcome == "completed"]
    return events, [float(run.at_least) for run in done], [run.seconds for run in done if run.seconds is not None]


def _first_token(random: Random) -> float:
    return random.lognormvariate(-0.7, 0.4) * (3 if random.random() < 0.1 else 1)


def _triage() -> Any:
    sys.path.insert(0, str(EXAMPLE))
    try:
        from flow import triage  # pyright: ignore[reportMissingImports, reportUnknownVariableType] - the example's
    finally:
        sys.path.remove(str(EXAMPLE))
    return triage  # pyright: ignore[reportUnknownVariableType]


def _texts() -> list[str]:
    if given := os.environ.get("OUTLAY_BENCH_TEXTS"):
        return _column(Path(given), "text")
    import json

    lines = (EXAMPLE / "messages.jsonl").read_text("utf-8").splitlines()
    own = [json.loads(line)["text"] for line in lines if line]
    return own + _column(EXAMPLE / "known.csv", "question") + _column(EXAMPLE / "phrases.csv", "phrase")


def _column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]
