"""`outlay runs`: what is in the store."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from outlay.analysis.runs import KINDS, RunSummary
from outlay.analysis.runs import runs as summaries
from outlay.analysis.text import one_line
from outlay.cli.archive import export, import_
from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.prune import command as prune
from outlay.cli.stored import reading
from outlay.cli.words import money, short
from outlay.events import decode
from outlay.protocols.store import Store
from outlay.runtime.inbox import Inbox
from outlay.runtime.ownership import ownership_in
from outlay.runtime.pending import Pending
from outlay.values.counted import counted

_SIGNS = {"completed": "✓", "error": "✗", "broken off": "✗", "waiting": "?", "answered": "?", "running": "…"}


@dataclass(frozen=True, slots=True)
class _Run:
    """A run, and what has become of it: its stop reason, or running, broken off, waiting, answered."""

    summary: RunSummary
    state: str

    @property
    def next(self) -> str:
        """What to do about it; empty where there is nothing to do."""
        resume = f"outlay resume {short(self.summary.id)}{'' if self.summary.source else ' FLOW'}"
        if self.state in ("broken off", "answered"):
            return resume
        if self.state == "waiting":
            return "outlay approvals"
        return f"{resume} --budget USD" if self.state == "budget" else ""


@click.group("runs", invoke_without_command=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most this many, the newest.")
@store_option
@json_option
@debug_option
@click.pass_context
def command(context: click.Context, limit: int, store: str | None, as_json: bool) -> None:
    """List the runs in the store, newest last; or clear them away, or carry one elsewhere.

    \b
        outlay runs --limit 50
        outlay runs prune --older-than 30d --dry-run
        outlay runs export last --output run.outlay
        outlay runs import run.outlay
    """
    if context.invoked_subcommand is not None:
        return

    async def read(opened: Store) -> tuple[int, list[_Run]]:
        found = summaries([decode(row.body) for row in await opened.events(None, KINDS)])
        items = await Inbox(opened).list()
        waiting = {item.run_id for item in items if _to_decide(item)}
        answered = {item.run_id for item in items} - waiting
        return len(found), [_Run(run, await _state(opened, run, waiting, answered)) for run in found[-limit:]]

    number, shown = reading(store, read)
    if as_json:
        click.echo(json.dumps([_document(run) for run in shown], ensure_ascii=False, indent=2))
        return
    if not shown:
        click.echo("no runs yet: outlay demo, or outlay run FLOW --input TEXT")
        return
    rows = [("run", "started", "flow", "outcome", "calls", "seconds", "cost"), *map(_row, shown)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:4], widths[:4], strict=True)]
        figures = [cell.rjust(width) for cell, width in zip(row[4:], widths[4:], strict=True)]
        click.echo("  ".join(names + figures).rstrip())
    rest = f", the newest {len(shown):,} shown" if len(shown) < number else ""
    click.echo(f"\n{counted(number, 'run')}{rest}")
    for state, run in {run.state: run for run in shown if run.next}.items():  # the newest of each kind
        click.echo(f"  next: {run.next}        {one_line(run.summary.flow, 30)} ({state})")


async def _state(store: Store, run: RunSummary, waiting: set[str], answered: set[str]) -> str:
    if run.outcome in ("approval", "budget") and run.id in waiting | answered:
        return "waiting" if run.id in waiting else "answered"
    if run.outcome:
        return run.outcome
    return "running" if await ownership_in(store).lease_of(run.owner, time.time) > 0 else "broken off"


def _to_decide(item: Pending) -> bool:
    return item.decision is None and not item.is_expired(time.time())


def _row(found: _Run) -> tuple[str, ...]:
    run, outcome = found.summary, found.state.replace("_", " ")
    lane = "" if run.lane == "live" else f" · {run.lane}"
    degraded = " · degraded" if run.degraded and run.outcome == "completed" else ""
    started = datetime.fromtimestamp(run.started, UTC).astimezone()
    return (
        one_line(run.id, 12),
        f"{started:%Y-%m-%d %H:%M:%S}",
        one_line(run.flow, 30),
        f"{_SIGNS.get(found.state, '■')} {one_line(outcome, 20)}{degraded}{lane}",
        f"{run.calls:,}",
        "" if run.seconds is None else f"{run.seconds:,.1f}",
        _cost(run),
    )


def _cost(run: RunSummary) -> str:
    if run.cost is not None:
        return f"${run.cost:,.6f}"
    return f"≥ ${run.at_least:,.6f}" if run.at_least else "unknown"


def _document(found: _Run) -> dict[str, Any]:
    run = found.summary
    return {
        "run_id": run.id,
        "flow": run.flow,
        "started": datetime.fromtimestamp(run.started, UTC).isoformat(),
        "stop_reason": run.outcome or None,
        "state": found.state,
        "next": found.next or None,
        "degraded": run.degraded,
        "lane": run.lane,
        "calls": run.calls,
        "seconds": run.seconds,
        "cost": money(run.cost),
        "at_least": money(run.at_least),
    }


for _command in (prune, export, import_):
    command.add_command(_command)
