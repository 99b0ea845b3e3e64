"""`outlay resume`: go on with a run that waited, was stopped, or broke off."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import click

from outlay.cli.addresses import flow_at
from outlay.cli.ending import report
from outlay.cli.inputs import InputType
from outlay.cli.options import debug_option, existing_store, flow_options, json_option, store_option
from outlay.cli.problems import Problem
from outlay.cli.run import go
from outlay.cli.setting import prepare, results_only_on_stdout
from outlay.cli.stored import find, reading
from outlay.cli.words import short
from outlay.events.records import RunResumed
from outlay.protocols.store import Store
from outlay.runtime.limits import rebuilt
from outlay.runtime.recall import Past, recall
from outlay.values.budget import Budget


@click.command("resume")
@click.argument("run", metavar="RUN")
@click.argument("flow", metavar="[FLOW]", required=False)
@flow_options
@store_option
@json_option
@debug_option
def command(
    run: str,
    flow: str | None,
    budget: Decimal | None,
    models: str | None,
    deps: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Go on with RUN (the beginning of its id, or `last`); what it has done is not paid again.

    The store knows the flow as `outlay run` was given it, the input, the limits and the lane. FLOW, --deps, --budget
    and --models say otherwise; without --budget the limits of before hold, and what was spent counts.

    \b
        outlay resume 7f3a
        outlay resume 7f3a --budget 2.00
    """
    path = existing_store(store)

    async def read(opened: Store) -> Past:
        past = await recall(opened, await find(opened, run))
        assert past is not None, "it was found"
        return past

    past = reading(store, read)
    legs = [past.started, *(event for event in past.events if isinstance(event, RunResumed))]
    id, last = past.started.run, legs[-1]
    if flow is None:
        flow, before = flow_at(next((leg.source for leg in reversed(legs) if leg.source), ""), short(id))
        deps = before if deps is None else deps
        click.echo(f"run {short(id)} · {flow}{f' --deps {deps}' if deps else ''}", err=True)  # before it is imported
    with results_only_on_stdout():
        try:
            setting = prepare(flow, models or ("offline" if last.lane == "offline" else "live"), path, budget, deps)
        except Problem as problem:
            hints = (*problem.next, f"outlay resume {short(id)} FLOW")
            raise Problem(problem.message, *problem.facts, next=hints, code=problem.code) from problem
        limits = tuple(map(rebuilt, last.limits))
        if budget is not None:
            limits = _raised(limits, budget)
        setting = replace(setting, budget=next((limit.money for limit in limits if limit.money is not None), None))
        value = _input(past, InputType(setting.root))
        result = asyncio.run(go(setting, value, limits=limits, run_id=id))
    report(setting, result, as_json=as_json)


def _raised(limits: tuple[Budget, ...], usd: Decimal) -> tuple[Budget, ...]:
    """The same limits with another amount of money."""
    if all(limit.money is None for limit in limits):
        return (*limits, Budget(usd=usd))
    return tuple(limit if limit.money is None else replace(limit, usd=usd) for limit in limits)


def _input(past: Past, type: InputType) -> Any:
    """The input that the run was begun with, out of its store."""
    run = past.started.run
    if past.input is None:
        raise Problem(f"the input of run {run} is no longer in the store", next="start it anew with outlay run")
    value = json.loads(past.input)
    if type.takes_text:
        return value
    try:
        return type.convert(value)
    except ValueError as error:
        raise Problem(f"the input of run {run} no longer fits the flow: {error}") from None
