"""The cost ladder, rung by rung: `python -m bench ladder`.

Three workloads, each with nothing, with each rung by itself, and with all that fit it. The flows, prompts, checkers,
prices and the way of a call are the real ones; the models are emulated (what they say and how long they take is in
`sessions.py`, `tickets.py` and `models.py`). Time is virtual and the emulator is asked without sockets, because an
hour of model time would else take an hour. Dollars, seconds and calls come from the runs' events, success from a
deterministic check.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bench.ladder.door import Door
from bench.ladder.measured import Measured, Meter
from bench.ladder.models import LATENCY
from bench.ladder.prefix import TIMES, TOKENS, Prefix, prefixes_paid
from bench.ladder.rungs import TICKETS, Setting, settings_for
from bench.ladder.sessions import SESSIONS
from bench.ladder.tickets import Missing, tickets
from outlay.protocols.clock import loop_factory, wall_clock
from outlay.runtime.directory import reach_through
from outlay.runtime.prefixes import forget
from outlay.testing import virtual_time

TICKET_COUNT, QUICK_COUNT = 5_000, 300


def played(workload: Any, setting: Setting) -> Meter:
    """A workload under one setting, from nothing known and nothing cached."""
    meter = Meter(of_runs=workload.name == TICKETS)

    async def play() -> None:
        loop = asyncio.get_running_loop()
        reach_through(Door(workload.behaviour, LATENCY, wall_clock(loop)))
        await workload.play(setting, meter)

    forget()
    with virtual_time(), asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        runner.run(play())
    forget()
    return meter


def lines(quick: bool) -> Iterator[Measured | str]:
    """The table, line by line; a text says why a workload is left out."""
    sorted_ones = tickets(QUICK_COUNT if quick else TICKET_COUNT)
    for workload in (*SESSIONS, sorted_ones):
        if isinstance(workload, Missing):
            yield f"{TICKETS}: left out, {workload.why}"
            continue
        for rung, setting in settings_for(workload.name).items():
            yield played(workload, setting).measured(workload.name, rung)


def main(quick: bool, as_json: bool) -> int:
    """Print the table, or the same as JSON."""
    found: list[Measured] = []
    for line in lines(quick):
        if isinstance(line, str):
            print(line, file=sys.stderr)
            continue
        found.append(line)
        print(f"{line.workload} · {line.rung}", file=sys.stderr, flush=True)
    if as_json:
        rows = [dataclasses.asdict(line) | {"success": line.success} for line in found]
        print(json.dumps(rows, indent=1, default=str))
    else:
        print(table(found))
        off, on = (prefixes_paid(played(Prefix(), Setting(prompt_cache=cache))) for cache in (False, True))
        print(f"\na prefix of {TOKENS:,} tokens, used {TIMES} times, is paid {off} times; with the prompt cache {on}")
    return 0


def table(found: Sequence[Measured]) -> str:
    """Aligned columns; a unit is a ticket, and a turn of a session."""
    off = {line.workload: line.dollars for line in found if line.rung == "off"}
    rows = [("", "rung", "dollars", "of off", "P50 s", "P95 s", "right", "")]
    before = ""
    for line in found:
        base = off.get(line.workload)
        known = line.dollars is not None and base
        rows.append(
            (
                line.workload if line.workload != before else "",
                line.rung,
                "unpriced" if line.dollars is None else f"${line.dollars:,.4f}",
                f"{line.dollars / base:.1%}".replace("%", " %") if known and line.dollars is not None and base else "",
                f"{line.p50:.2f}",
                f"{line.p95:.2f}",
                f"{line.right:,}/{line.checked:,}"
                + (f" {line.success:.1%}".replace("%", " %") if line.checked > 1 else ""),
                line.notes,
            )
        )
        before = line.workload
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    pad = [str.rjust if i in (2, 3, 4, 5, 6) else str.ljust for i in range(len(widths))]
    return "\n".join(
        "  ".join(f(cell, w) for f, cell, w in zip(pad, row, widths, strict=True)).rstrip() for row in rows
    )
