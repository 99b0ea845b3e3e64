"""`outlay forecast`: what a flow will cost, take and manage, before it is run."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from outlay.cli.flows import load_flow
from outlay.cli.foreseeing import (
    declared_of,
    deps_of,
    foresight_options,
    inputs_of,
    keep_forecast,
    known_of,
    write,
)
from outlay.cli.options import amount, debug_option, json_option, seconds_above_zero, store_if_any, store_option
from outlay.cli.setting import results_only_on_stdout
from outlay.forecast import Expected, Forecast, NotApplicable, forecast
from outlay.forecast.track import Past, kept, said_of
from outlay.values.budget import Budget


@click.command("forecast")
@click.argument("flow", metavar="FLOW")
@foresight_options
@click.option("--n", type=click.IntRange(1), default=10_000, show_default=True, help="How many runs to simulate.")
@click.option("--budget", type=amount, metavar="USD", help="Say how often this budget would stop it.")
@click.option("--seconds", type=seconds_above_zero, metavar="SECONDS", help="Say how often this time limit would.")
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Write the histograms there.")
@store_option
@json_option
@debug_option
def command(
    flow: str,
    given: str | None,
    rows: Path | None,
    n: int,
    budget: Decimal | None,
    seconds: float | None,
    seed: int,
    fit: bool,
    svg: Path | None,
    assume: Path | None,
    rights: tuple[str, ...],
    deps: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Forecast FLOW: dollars, seconds and success of runs that are only simulated.

    Nothing is spent and no key is needed: the flow runs as it is, with simulated models. Every assumption is listed.
    Where there is a store the forecast is kept there, and the next one says how it did.

    \b
        outlay forecast triage.py:triage --rows messages.jsonl --budget 0.005
    """
    with results_only_on_stdout():
        root = load_flow(flow)
        inputs = inputs_of(root, given, rows)
        limits = [Budget(usd=budget)] if budget is not None else []
        limits += [Budget(seconds=seconds)] if seconds is not None else []
        known = known_of(root.name, store_if_any(store, "to forecast without stored runs") if fit else None)
        assumptions = known.fitted.under(declared_of(root, assume, rights))
        found = forecast(root, inputs, n=n, assumptions=assumptions, budget=limits, seed=seed, deps=deps_of(deps))
        if known.path is not None:
            keep_forecast(known.path, kept(found, known.fitted.lane, time.time()))
    if svg is not None:
        write(svg, found.svg())
    if as_json:
        click.echo(json.dumps(_document(found, known.past), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join([found.render(), *([] if known.past is None else said_of(known.past))]))


def _document(found: Forecast, past: Past | None) -> dict[str, Any]:
    document = asdict(found)
    document["past"] = None if past is None else asdict(past)
    document["closed"] = _closed(found.closed)
    document["static_tokens"] = {one.agent: one.tokens for one in found.statics}
    return document


def _closed(closed: Expected | NotApplicable) -> dict[str, Any]:
    if isinstance(closed, NotApplicable):
        return {"not_applicable": closed.node, "reason": closed.reason}
    return {
        "dollars": closed.dollars,
        "calls": closed.calls,
        "seconds": closed.seconds.mean,
        "success": closed.clean,
        "right": closed.right,
    }
