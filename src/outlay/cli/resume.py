"""`outlay resume`: go on with a run that waited, was stopped, or broke off."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import click

from outlay.cli.ending import report
from outlay.cli.known import Asked, known_run
from outlay.cli.options import debug_option, flow_options, json_option, store_option
from outlay.cli.run import go
from outlay.cli.setting import results_only_on_stdout
from outlay.cli.watching import watch_options, watched
from outlay.runtime.limits import rebuilt
from outlay.values.budget import Budget


@click.command("resume")
@click.argument("run", metavar="RUN")
@click.argument("flow", metavar="[FLOW]", required=False)
@flow_options
@watch_options
@store_option
@json_option
@debug_option
def command(
    run: str,
    flow: str | None,
    budget: Decimal | None,
    models: str | None,
    deps: str | None,
    watchdog: str | None,
    webhook: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Go on with RUN (the beginning of its id, or `last`); what it has done is not paid again. One that is completed
    gives its stored result.

    The store knows the flow as `outlay run` was given it, the input, the limits, the lane and the watchdog. FLOW,
    --deps, --budget, --models and --watchdog say otherwise; without --budget the limits of before hold, and what was
    spent counts.

    \b
        outlay resume 7f3a
        outlay resume 7f3a --budget 2.00
    """
    with results_only_on_stdout():
        known = known_run(run, Asked(flow, budget, models, deps, store), "resume")
        limits = tuple(map(rebuilt, known.last.limits))
        if budget is not None:
            limits = _raised(limits, budget)
        setting = replace(
            known.setting, budget=next((limit.money for limit in limits if limit.money is not None), None)
        )
        setting = watched(setting, watchdog, webhook, known.last.watchdog)
        lane = "batch" if known.last.lane == "batch" else "live"
        over = known.past.is_over
        result = asyncio.run(go(setting, known.input(), limits=limits, run_id=known.id, lane=lane, over=over))
    report(setting, result, as_json=as_json)


def _raised(limits: tuple[Budget, ...], usd: Decimal) -> tuple[Budget, ...]:
    """The same limits with another amount of money."""
    if all(limit.money is None for limit in limits):
        return (*limits, Budget(usd=usd))
    return tuple(limit if limit.money is None else replace(limit, usd=usd) for limit in limits)
