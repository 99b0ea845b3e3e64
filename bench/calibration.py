"""How right a forecast is that was fitted to stored runs: three example flows over real sockets, against the emulator.

Triage (a router, a tool, a cascade of checks), the research crew (tools and a loop with a critic) and the planner with
its executors (a supervisor, in parallel). Each input is sent several times; a third of the runs, drawn by lot, are
fitted, and the forecast is held against the others: that tomorrow's inputs are others is not what a forecast can know.
All are made in one go, because a busy machine takes longer at one time than at another. One first token in ten is slow,
and paces vary from call to call. `OUTLAY_BENCH_TEXTS=FILE.csv` takes the messages of triage from a file's column
`text`, else they are the example's and its phrases.
"""

from __future__ import annotations

import asyncio
import csv
import importlib
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from bench.contest import Figure

EXAMPLES = Path(__file__).parent.parent / "examples"
#: Calls take about as long as real ones, so that what else the machine does is a small part of it.
AT_ONCE = 96
#: Runs of a flow, and of which so many of each six are fitted.
RUNS, QUICK = 2_400, 600
OF_SIX = 2


@dataclass(frozen=True)
class Flow:
    """A flow of the examples, and its inputs."""

    name: str
    folder: str
    where: str
    inputs: Callable[[], list[str]]

    def load(self) -> Any:
        module, _, attribute = self.where.partition(":")
        sys.path.insert(0, str(EXAMPLES / self.folder))
        try:
            return getattr(importlib.import_module(module), attribute)
        finally:
            sys.path.remove(str(EXAMPLES / self.folder))


def measure(quick: bool) -> Sequence[Figure]:
    flows = (
        Flow("triage", "triage", "flow:triage", _messages),
        Flow("research", "compare", "research:crew", _questions),
        Flow("sums", "compare", "sums:planned", lambda: _column(EXAMPLES / "compare" / "sums.csv", "input")),
    )
    return [figure for flow in flows for figure in _held(flow, QUICK if quick else RUNS)]


def _held(case: Flow, runs_of_it: int) -> list[Figure]:
    from outlay.analysis.percentiles import percentile
    from outlay.analysis.runs import runs
    from outlay.emulator import Emulator
    from outlay.emulator.latency import Latency
    from outlay.emulator.standins import stand_ins
    from outlay.forecast import Assumptions, fit_runs, forecast, held_against

    flow = case.load()
    random = Random(1)
    inputs = case.inputs()
    inputs = random.sample(inputs, min(len(inputs), runs_of_it // 6))
    rows = (inputs * -(-runs_of_it // len(inputs)))[:runs_of_it]
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
    met = Counter[str]()
    for run in random.sample(done, len(done)):
        if met[said[run.id]] % 6 < OF_SIX:
            lot.add(run.id)
        met[said[run.id]] += 1
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
            what = f"{case.name}: P{percent} of {name}, off by"
            figures.append(Figure("calibration", what, abs(off), "%", target=most, of="value", note=about))
        track = held_against(spread.p5, spread.p95, actual)
        within = 100 * track.within.share
        # 90 % of smooth ones; where few inputs make few different runs, up to what their own P5 to P95 hold
        own_p5, own_p95 = percentile(actual, 5) or 0.0, percentile(actual, 95) or 0.0
        own = 100 * held_against(own_p5, own_p95, actual).within.share
        off = max(90 - within, within - max(90, own), 0)
        about = f"{within:.1f} % within, {own:.1f} % of their own; {100 * track.under_p95.share:.1f} % under P95"
        what = f"{case.name}: {name} within P5 to P95, off by"
        figures.append(Figure("calibration", what, off, "points", target=5, of="value", note=about))
    return [*figures, _outside(case.name, done, events)]


def _outside(name: str, done: Sequence[Any], events: Sequence[Any]) -> Figure:
    """What no forecast of calls can know: a busy machine, and the waits for a turn. Where a run does one thing at a
    time (sums does several) the rest of its time is in calls and tools."""
    from outlay.events.records import CallFailed, CallFinished, ToolFinished

    known = {run.id for run in done}
    inside = sum(
        event.seconds
        for event in events
        if isinstance(event, CallFinished | CallFailed | ToolFinished) and event.run in known
    )
    share = 100 * (1 - inside / sum(run.seconds for run in done))
    return Figure("calibration", f"{name}: of the runs' seconds outside calls and tools", share, "%")


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


def _messages() -> list[str]:
    if given := os.environ.get("OUTLAY_BENCH_TEXTS"):
        return _column(Path(given), "text")
    folder = EXAMPLES / "triage"
    own = _lines(folder / "messages.jsonl", "text")
    return own + _column(folder / "known.csv", "question") + _column(folder / "phrases.csv", "phrase")


def _questions() -> list[str]:
    return _lines(EXAMPLES / "compare" / "questions.jsonl", "input")


def _lines(path: Path, name: str) -> list[str]:
    return [json.loads(line)[name] for line in path.read_text("utf-8").splitlines() if line]


def _column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]
