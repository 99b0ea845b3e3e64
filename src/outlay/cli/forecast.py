"""`outlay forecast`: what a flow will cost, take and manage, before it is run."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from outlay.cli.flows import load_factory, load_flow
from outlay.cli.inputs import InputType, read_input
from outlay.cli.options import amount, debug_option, json_option, store_if_any, store_option
from outlay.cli.problems import Problem
from outlay.cli.rows import RowFile
from outlay.cli.setting import results_only_on_stdout
from outlay.events import decode
from outlay.forecast import Assumptions, Expected, Fitted, Forecast, NotApplicable, fit_runs, forecast
from outlay.protocols.node import Node
from outlay.stores.opening import open_store
from outlay.values.budget import Budget

#: Rows of a file that are taken as inputs, at most.
MOST_ROWS = 10_000


@click.command("forecast")
@click.argument("flow", metavar="FLOW")
@click.option("--input", "given", metavar="TEXT|@FILE|-", help="One input. Default: a text of 50 tokens.")
@click.option(
    "--rows",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Inputs to run in turn: .jsonl or .csv, as for map.",
)
@click.option("--n", type=click.IntRange(1), default=10_000, show_default=True, help="How many runs to simulate.")
@click.option("--budget", type=amount, metavar="USD", help="Say how often this budget would stop it.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Say how often this time limit would.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same forecast.")
@click.option("--fit/--no-fit", default=True, help="Fit tokens, seconds and failures to this flow's stored runs.")
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Write the histograms there.")
@click.option("--deps", metavar="FILE:FACTORY", help="A function that makes `ctx.deps`.")
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
    deps: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Forecast FLOW: dollars, seconds and success of runs that are only simulated.

    Nothing is spent and no key is needed: the flow runs as it is, with simulated models. Every assumption is listed.

    \b
        outlay forecast triage.py:triage --rows messages.jsonl --budget 0.005
    """
    with results_only_on_stdout():
        root = load_flow(flow)
        inputs = _inputs(root, given, rows)
        limits = [Budget(usd=budget)] if budget is not None else []
        limits += [Budget(seconds=seconds)] if seconds is not None else []
        path = store_if_any(store, "to forecast without stored runs") if fit else None
        assumptions = Assumptions() if path is None else asyncio.run(_fitted(root, path)).under(Assumptions())
        made = None if deps is None else asyncio.run(_made(deps))
        found = forecast(root, inputs, n=n, assumptions=assumptions, budget=limits, seed=seed, deps=made)
    if svg is not None:
        _write(svg, found.svg())
    click.echo(json.dumps(_document(found), ensure_ascii=False, indent=2) if as_json else found.render())


def _inputs(root: Node[Any, Any], given: str | None, rows: Path | None) -> Sequence[Any]:
    if given is not None and rows is not None:
        raise Problem("--input is one input and --rows are many: give one of them")
    kind = InputType(root)
    if given is not None:
        return [kind.read(*read_input(given))]
    if rows is None:
        if not kind.takes_text:
            raise Problem(f"the flow takes {kind.name}, so a text cannot stand in for its input", next="--input '{…}'")
        return ()
    inputs: list[Any] = []
    for row in RowFile(rows):
        if row.problem:
            raise Problem(f"cannot read {rows} line {row.line}: {row.problem}", next="mend the line")
        try:
            inputs.append(kind.convert(row.input))
        except ValueError as error:
            raise Problem(f"{rows} line {row.line} does not fit the flow's input: {error}") from None
        if len(inputs) == MOST_ROWS:
            break
    if not inputs:
        raise Problem(f"{rows} has no rows")
    return inputs


async def _fitted(root: Node[Any, Any], path: str) -> Fitted:
    """What the store's runs of this flow say."""
    kinds = ("run_started", "call_started", "call_finished", "call_failed", "node_started", "checked", "fact")
    async with open_store(path) as opened:
        rows = await opened.events(None, kinds)
    return fit_runs((decode(row.body) for row in rows), root.name)


async def _made(deps: str) -> Any:
    made = load_factory(deps)()
    return await made if inspect.isawaitable(made) else made


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise Problem(f"cannot write {path}: {error.strerror}") from None


def _document(found: Forecast) -> dict[str, Any]:
    document = asdict(found)
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
