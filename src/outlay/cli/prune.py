"""`outlay runs prune`: delete what is old, and nothing that somebody still needs."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from outlay.analysis.retention import Life, Plan
from outlay.analysis.text import one_line
from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.problems import Problem
from outlay.cli.stored import named_store, reading
from outlay.protocols.store import Store
from outlay.values.counted import counted

_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SHOWN = 10
_NEXT = {"waits for a human": "outlay approvals shows what they wait for"}


def age(text: str) -> float:
    """`30d`, `12h`, `90m`, `2w` in seconds. Raises BadParameter."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is no age: write 30d, 12h, 90m or 2w")
    return float(found[1]) * _UNITS[found[2]]


@click.command("prune")
@click.option("--older-than", type=age, required=True, metavar="AGE", help="Runs that ended so long ago: 30d, 12h, 2w.")
@click.option("--keep-events", is_flag=True, help="Keep bills and traces; delete inputs, outputs and messages.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
@json_option
@debug_option
@click.pass_context
def command(
    context: click.Context,
    older_than: float,
    keep_events: bool,
    dry_run: bool,
    yes: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Delete runs that ended, or broke off, longer ago than AGE, and the contents that nothing else names.

    Runs that wait for a human, that somebody works on, or that a fork stands on stay, and are counted. Contents that
    were used within the last hour stay until the next time. With --keep-events a run can be billed and traced as
    before, but no longer be resumed or forked.

    \b
        outlay runs prune --older-than 30d --dry-run
        outlay runs prune --older-than 30d --keep-events --yes
    """
    from outlay.runtime.retention import Pruned, plan_for, prune

    if not (dry_run or yes) and (as_json or not sys.stdin.isatty()):
        raise Problem("prune deletes, and there is nobody to ask here", next="add --yes, or look with --dry-run")
    before = time.time() - older_than

    async def decide(opened: Store) -> Plan:
        return await plan_for(opened, before, keep_events=keep_events)

    where = named_store(context, store)
    chosen = reading(where, decide)
    if dry_run:
        _say(chosen.go, chosen, as_json, {"dry_run": True}, f"would {_verb(keep_events)}")
        return
    if not yes:
        _say(chosen.go, chosen, False, {}, f"would {_verb(keep_events)}")
        if not chosen.go or not click.confirm("Go on?", err=True):
            return

    async def work(opened: Store) -> Pruned:
        return await prune(opened, chosen, keep_events=keep_events)

    done = reading(where, work)
    facts = {"dry_run": False, "contents": done.contents, "freed_bytes": done.freed}
    _say(done.runs, chosen, as_json, facts, _verb(keep_events).replace("delete", "deleted"))
    if not as_json:
        click.echo(f"{counted(done.contents, 'content')} deleted{_freed(done.freed)}")


def _verb(keep_events: bool) -> str:
    return "delete the contents of" if keep_events else "delete"


def _freed(freed: int | None) -> str:
    if freed is None:
        return " · the store is in use: later runs use the room again"
    return f" · {freed / 2**20:,.1f} MiB given back" if freed else ""


def _say(runs: Sequence[Life], chosen: Plan, as_json: bool, facts: dict[str, Any], verb: str) -> None:
    if as_json:
        document = {"runs": [_document(run) for run in runs], "kept": dict(chosen.kept), **facts}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    for run in runs[:_SHOWN]:
        ended = datetime.fromtimestamp(run.ended, UTC).astimezone()
        outcome = run.outcome.replace("_", " ") or "broke off"
        click.echo(f"{one_line(run.run, 40)}  {ended:%Y-%m-%d %H:%M}  {one_line(run.flow, 30)}  {outcome}")
    if len(runs) > _SHOWN:
        click.echo(f"… and {len(runs) - _SHOWN:,} more")
    size = sum(run.size for run in runs)
    click.echo(f"{verb} {counted(len(runs), 'run')}" + (f" · {size / 2**20:,.1f} MiB of events" if size else ""))
    for reason, number in Counter(chosen.kept.values()).most_common():
        click.echo(f"kept {counted(number, 'run')}: {reason}" + (f" ({_NEXT[reason]})" if reason in _NEXT else ""))


def _document(run: Life) -> dict[str, Any]:
    return {
        "run_id": run.run,
        "flow": run.flow,
        "ended": datetime.fromtimestamp(run.ended, UTC).isoformat(),
        "stop_reason": run.outcome or None,
        "events": run.events,
    }
