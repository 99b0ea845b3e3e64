"""`outlay report`: what each workload cost in a week, whether it succeeds, and what is out of bounds."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from outlay.analysis.text import one_line
from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.problems import ERROR, Problem
from outlay.cli.stored import reading
from outlay.errors import ConfigError
from outlay.evals.workloads import DAY, WEEK, Period, Report, as_document, as_html, as_text, report, time_of
from outlay.protocols.store import Store


@click.command("report")
@click.option("--week", "span", flag_value=WEEK, type=float, help="The last seven days. This is the default.")
@click.option("--day", "span", flag_value=DAY, type=float, help="The last 24 hours.")
@click.option("--since", metavar="WHEN", help="From a date (UTC), or from so long ago: 2026-11-14, 36h, 14d.")
@click.option("--until", metavar="WHEN", help="Up to then. Default: now.")
@click.option("--flow", metavar="NAME", help="Only the runs of this flow.")
@click.option("--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write it as one HTML file, too.")
@store_option
@json_option
@debug_option
def command(
    span: float | None,
    since: str | None,
    until: str | None,
    flow: str | None,
    page: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Report by workload: P50 and P95 of what a task cost, success by deterministic checkers, tokens a success, what
    changed since the period before, and alerts.

    \b
        outlay report --week
        outlay report --day --html report.html
        outlay report --since 2026-11-01 --until 2026-11-08 --flow triage

    A task is a run, and belongs to the period in which it began. Runs on stand-ins and those of outlay compare are
    workloads of their own. What no checker judged is not known.
    """
    period = _period(span, since, until, time.time())
    if page is not None and not page.parent.is_dir():
        raise Problem(f"cannot write {page}: there is no folder {page.parent}", next=f"mkdir -p {page.parent}")

    async def read(opened: Store) -> Report:
        return await report(opened, period, flow)

    found = reading(store, read)
    if page is not None:
        _write(page, as_html(found))
    click.echo(json.dumps(as_document(found), ensure_ascii=False, indent=2) if as_json else as_text(found))
    if not found.tasks:
        whose = "" if flow is None else f" of {one_line(flow, 60)!r}"
        click.echo(f"  no run{whose} began in these {period.length}: outlay runs lists what there is", err=True)


def _period(span: float | None, since: str | None, until: str | None, now: float) -> Period:
    """Raises Problem for times that make none."""
    if span is not None and since is not None:
        raise Problem("--since and --week or --day are two beginnings", next="give one of them")
    try:
        end = now if until is None else time_of(until, now)
        start = end - (span or WEEK) if since is None else time_of(since, now)
        if start >= end:
            raise Problem(
                f"the period ends before it begins: {since or until}", next="outlay report --since 14d --until 7d"
            )
        return Period(start, end)
    except ConfigError as error:
        raise Problem(error.message, next=error.hint) from None


def _write(page: Path, text: str) -> None:
    try:
        page.write_text(text, "utf-8", "replace")
    except OSError as error:
        raise Problem(f"cannot write {page}: {error.strerror}", next="name another file", code=ERROR) from None
    click.echo(f"report in {page}", err=True)
