"""How right a forecast is that was fitted to stored runs: the triage example over real sockets, against the emulator.

Each message is sent six times; two of the runs, drawn by lot, are fitted, and the forecast is held against the other
four: that tomorrow's messages are others is not what a forecast can know. All are made in one go, because a busy
machine takes longer at one time than at another. One first token in ten is slow, and paces vary from call to call.
`OUTLAY_BENCH_TEXTS=FILE.csv` takes messages from a file's column `text`, else they are the example's and its phrases.
"""

from __future__ import annotations

import asyncio
import csv
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from bench.contest import Figure

EXAMPLE = Path(__file__).parent.parent / "examples" / "triage"
#: Calls take about as long as real ones, so that what else the machine does is a small part of it.
AT_ONCE = 96
#: Messages, how often each is sent, and how many of those runs are fitted.
MESSAGES, QUICK = 400, 100
TIMES, FITTED = 6, 2


def measure(quick: bool) -> Sequence[Figure]:
    from outlay.analysis.percentiles import percentile
    from outlay.analysis.runs import runs
    from outlay.emulator import Emulator
    from outlay.emulator.latency import Latency
    from outlay.emulator.standins import stand_ins
    from outlay.forecast import Assumptions, fit_runs, forecast, held_against

    flow = _triage()
    texts = _texts()
    random = Random(1)
    rows = random.sample(texts, min(len(texts), QUICK if quick else MESSAGES)) * TIMES
    random.shuffle(rows)
    latency = Latency(_first_token, lambda draw: draw.gammavariate(4, 0.003))
    with Emulator(behaviour=stand_ins(flow), latency=latency, seed=7) as emulator, tempfile.TemporaryDirectory() as tmp:
        before = dict(os.environ)
        os.environ.update(emulator.env())
        try:
            events, said = asyncio.run(_played(flow, rows, Path(tmp) / "runs.db"))
        finally:
            os.environ.clear()
            os.environ.update(before)
    done = [run for run in runs(events) if run.outcome == "completed" and run.seconds is not None]
    lot: set[str] = set()
    drawn = Counter[str]()
    for run in random.sample(done, len(done)):
        if drawn[said[run.id]] < FITTED:
            drawn[said[run.id]] += 1
            lot.add(run.id)
    past, later = ([run for run in done if (run.id in lot) is fitted] for fitted in (True, False))
    assumptions = fit_runs([event for event in events if event.run in lot], flow.name).under(Assumptions())
    found = forecast(flow, [said[run.id] for run in past], n=5_000, assumptions=assumptions)
    assert found.dollars is not None
    figures: list[Figure] = []
    for name, spread in (("dollars", found.dollars), ("seconds", found.seconds)):
        known, actual = (
            [float(run.at_least if name == "dollars" else run.seconds or 0) for run in some] for some in (past, later)
        )
        for percent, value, most in ((50, spread.p50, 5.0), (95, spread.p95, 10.0)):
            real = percentile(actual, percent) or 0.0
            off = 100 * (value / real - 1)
            # a perfect forecast from these runs would be off by as much as they are
            sample = 100 * ((percentile(known, percent) or 0.0) / real - 1)
            about = f"{off:+.1f} %, the {len(past):,} fitted runs themselves {sample:+.1f} %: of {len(actual):,} others"
            figures.append(
                Figure(
                    "calibration", f"P{percent} of {name}, off by", abs(off), "%", target=most, of="value", note=about
                )
            )
        track = held_against(spread.p5, spread.p95, actual)
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
    return [*figures, _outside(done, events)]


def _outside(done: Sequence[Any], events: Sequence[Any]) -> Figure:
    """What no forecast of calls can know: a busy machine, and the waits for a turn. Runs of the example do one thing at
    a time, so the rest of their time is in calls and tools."""
    from outlay.events.records import CallFailed, CallFinished, ToolFinished

    known = {run.id for run in done}
    inside = sum(
        event.seconds
        for event in events
        if isinstance(event, CallFinished | CallFailed | ToolFinished) and event.run in known
    )
    share = 100 * (1 - inside / sum(run.seconds for run in done))
    return Figure("calibration", "of the runs' seconds outside calls and tools", share, "%")


async def _played(flow: Any, texts: Sequence[str], store: Path) -> tuple[list[Any], dict[str, str]]:
    """The events of all runs, and what each run was given."""
    from outlay import open_store, run_many
    from outlay.events import decode

    given: dict[str, str] = {}
    rows = [(str(i), text) for i, text in enumerate(texts)]
    async for row, result in run_many(flow, rows, concurrency=AT_ONCE, store=store):
        given[result.run_id] = texts[int(row)]
    async with open_store(store) as opened:
        return [decode(row.body) for row in await opened.events()], given


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
