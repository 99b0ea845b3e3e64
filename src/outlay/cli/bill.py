"""`outlay bill`: what a run cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from outlay.analysis.bill import Bill, BillFold
from outlay.analysis.billlines import BillLine
from outlay.analysis.cachehealth import CacheHealth
from outlay.analysis.savings import Savings
from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.stored import events_of, find, reading
from outlay.cli.words import money, room
from outlay.events import BatchEnded, Event
from outlay.protocols.store import Store
from outlay.runtime.directory import default_prices


@click.command("bill")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@store_option
@json_option
@debug_option
def command(runs: Sequence[str], store: str | None, as_json: bool) -> None:
    """Show what a run cost, by agent; several runs in one bill.

    RUN is an id, the beginning of one, or `last`.
    """

    async def read(opened: Store) -> Bill:
        fold = BillFold()
        for run in dict.fromkeys([await find(opened, name) for name in runs]):
            for event in await events_of(opened, run):
                fold.add(event)
        return fold.bill()

    bill = reading(store, read)
    click.echo(
        json.dumps(_document(bill), ensure_ascii=False, indent=2)
        if as_json
        else bill.render(default_prices(), width=room())
    )


def _document(bill: Bill) -> dict[str, Any]:
    return {
        "runs": [
            {
                "run_id": head.run,
                "flow": head.flow,
                "stop_reason": head.outcome or None,
                "degraded": head.degraded,
                "seconds": head.seconds,
            }
            for head in bill.runs
        ],
        "total": money(bill.total),
        "at_least": money(bill.at_least),
        "in_doubt": money(bill.in_doubt),
        "doubtful": bill.doubtful,
        "unreported": bill.unreported,
        "billed_twice": bill.billed_twice,
        "saved_by_cache": money(bill.saved_by_cache(default_prices())),
        "saved_by_batch": money(bill.saved_by_batch),
        **_savings(bill.savings),
        "cache": [_health(one) for one in bill.cache],
        "batches": [_batch(one) for one in bill.batches],
        "lines": [_line(line) for line in bill.lines],
    }


def _savings(savings: Savings) -> dict[str, Any]:
    return {
        "stored_answers": savings.answers,
        "similar_answers": savings.similar_answers,
        "saved_by_answers": money(savings.by_answers),
        "stored_results": savings.results,
        "seconds_saved_by_results": round(savings.seconds_by_results, 3),
        "cascaded": savings.cascaded,
        "saved_by_cascade": money(savings.by_cascade),
        "compactions": savings.compactions,
        "saved_by_compaction": money(savings.by_compaction),
    }


def _health(one: CacheHealth) -> dict[str, Any]:
    return {
        "agent": one.agent,
        "model": one.model,
        "calls": one.calls,
        "hit_rate": None if one.hit_rate is None else round(one.hit_rate, 4),
        "read": one.read,
        "written": one.written,
        "unread": one.unread,
        "expected": one.expected,
        "missed": one.missed,
        "saved": money(one.saved),
        "changes": one.changes,
        "why_not": one.why_not,
        "alerts": one.alerts,
    }


def _batch(one: BatchEnded) -> dict[str, Any]:
    """All that its end says, without what every event says of its place in the run."""
    return {name: getattr(one, name) for name in one.__struct_fields__ if name not in Event.__struct_fields__}


def _line(line: BillLine) -> dict[str, Any]:
    return {
        "path": line.path,
        "agent": line.agent,
        "model": line.model,
        "purpose": line.purpose,
        "calls": line.calls,
        "retries": line.retries,
        "input_tokens": line.input_tokens,
        "cache_read_tokens": line.cache_read_tokens,
        "cache_write_tokens": line.cache_write_tokens,
        "output_tokens": line.output_tokens,
        "cost": money(line.cost),
        "seconds": round(line.seconds, 3),
        "batched": line.batched,
        "saved_by_batch": money(line.saved_by_batch),
    }
