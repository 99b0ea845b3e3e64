"""`outlay approvals`: what runs wait for."""

from __future__ import annotations

import json
import time

import click

from outlay.analysis.text import one_line
from outlay.cli.items import ID, details, document, due, span, state_of, ways_to_decide, what
from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.stored import reading
from outlay.cli.words import cell, dollars, short
from outlay.protocols.store import Store
from outlay.runtime.inbox import Inbox
from outlay.runtime.pending import Pending
from outlay.values.counted import counted

_COLUMNS = ("id", "run", "what", "arguments", "spent", "waiting", "deadline")


@click.command("approvals")
@click.option("--all", "everything", is_flag=True, help="Those that are decided or closed, too.")
@store_option
@json_option
@debug_option
def command(everything: bool, store: str | None, as_json: bool) -> None:
    """List what runs wait for: approvals, questions, effects in doubt, budgets that are used up.

    \b
        outlay approve ID [--answer TEXT]
        outlay deny ID --reason TEXT
    """

    async def read(opened: Store) -> list[Pending]:
        return await Inbox(opened).list(closed=everything)

    found, now = reading(store, read), time.time()
    if as_json:
        click.echo(json.dumps([document(item, now) for item in found], ensure_ascii=False, indent=2))
        return
    waiting = [item for item in found if everything or item.decision is None]
    if waiting:
        _table([_row(item, now) for item in waiting])
    ready = list(dict.fromkeys(item.run_id for item in found if state_of(item, now) in ("decided", "expired")))
    waits = sum(state_of(item, now) == "waiting" for item in found)
    click.echo(("\n" if waiting else "") + (f"{counted(waits, 'item')} to decide" if waits else "nothing to decide"))
    if not waits and not ready:
        return
    for item in [item for item in found if state_of(item, now) == "waiting"][:1]:
        for way in ways_to_decide(item):
            click.echo(f"  next: {way}")
    for run in ready[:3]:
        click.echo(f"  next: outlay resume {short(run)}        what it waited for is decided")


def _row(item: Pending, now: float) -> tuple[str, ...]:
    since = span(now - item.created)
    state = state_of(item, now)
    return (
        item.id[:ID],
        one_line(short(item.run_id), 12),
        one_line(what(item), 32),
        one_line(details(item), 36),
        dollars(item.spent),
        since if state == "waiting" else f"{since} · {state}",
        due(item, now),
    )


def _table(rows: list[tuple[str, ...]]) -> None:
    whole = [_COLUMNS, *rows]
    widths = [max(len(row[i]) for row in whole) for i in range(len(_COLUMNS))]
    for row in whole:
        click.echo("  ".join(cell(text, width) for text, width in zip(row, widths, strict=True)).rstrip())
