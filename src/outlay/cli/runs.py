"""`outlay runs`: what is in the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from outlay.analysis.runs import KINDS, RunSummary
from outlay.analysis.runs import runs as summaries
from outlay.analysis.text import one_line
from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.prune import command as prune
from outlay.cli.stored import reading
from outlay.cli.words import count, money
from outlay.events import decode
from outlay.protocols.store import Store

_SIGNS = {"completed": "✓", "error": "✗", "cancelled": "■", "budget": "■", "deadline": "■", "turn_limit": "■"}


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

    async def read(opened: Store) -> list[RunSummary]:
        return summaries([decode(row.body) for row in await opened.events(None, KINDS)])

    found = reading(store, read)
    shown = found[-limit:]
    if as_json:
        click.echo(json.dumps([_document(run) for run in shown], ensure_ascii=False, indent=2))
        return
    rows = [("run", "started", "flow", "outcome", "calls", "seconds", "cost"), *map(_row, shown)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:4], widths[:4], strict=True)]
        figures = [cell.rjust(width) for cell, width in zip(row[4:], widths[4:], strict=True)]
        click.echo("  ".join(names + figures).rstrip())
    rest = f", the newest {len(shown):,} shown" if len(shown) < len(found) else ""
    click.echo(f"\n{count(len(found), 'run')}{rest}")


def _row(run: RunSummary) -> tuple[str, ...]:
    outcome = run.outcome.replace("_", " ") or "not finished"
    lane = "" if run.lane == "live" else f" · {run.lane}"
    degraded = " · degraded" if run.degraded and run.outcome == "completed" else ""
    started = datetime.fromtimestamp(run.started, UTC).astimezone()
    return (
        one_line(run.id, 12),
        f"{started:%Y-%m-%d %H:%M:%S}",
        one_line(run.flow, 30),
        f"{_SIGNS.get(run.outcome, '…')} {one_line(outcome, 20)}{degraded}{lane}",
        f"{run.calls:,}",
        "" if run.seconds is None else f"{run.seconds:,.1f}",
        _cost(run),
    )


def _cost(run: RunSummary) -> str:
    if run.cost is not None:
        return f"${run.cost:,.6f}"
    return f"≥ ${run.at_least:,.6f}" if run.at_least else "unpriced"


def _document(run: RunSummary) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "flow": run.flow,
        "started": datetime.fromtimestamp(run.started, UTC).isoformat(),
        "stop_reason": run.outcome or None,
        "degraded": run.degraded,
        "lane": run.lane,
        "calls": run.calls,
        "seconds": run.seconds,
        "cost": money(run.cost),
        "at_least": money(run.at_least),
    }


command.add_command(prune)
