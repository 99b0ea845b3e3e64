"""`outlay compare`: two flows on the same cases, within the same budget, and a verdict."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from outlay.cli.addresses import address_of
from outlay.cli.flows import load_checker, load_flow
from outlay.cli.inputs import InputType
from outlay.cli.lanes import choose
from outlay.cli.options import amount, debug_option, flow_options, json_option, store_option
from outlay.cli.problems import INTERRUPTED, Problem, Quiet, show
from outlay.cli.setting import Setting, prepare, results_only_on_stdout
from outlay.evals import Comparison, Dataset, Flow, Measured, Terms, compare, document, memo, report, verdict_on
from outlay.evals.judging import check_judge
from outlay.events import BudgetAlert
from outlay.runtime.alerts import alert_text
from outlay.values.counted import counted
from outlay.values.money import show_limit, usd


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--dataset", metavar="D", required=True, type=click.Path(path_type=Path), help="id, input, expected.")
@click.option(
    "--checker",
    "checkers",
    metavar="NAME",
    multiple=True,
    help="exact, numeric, regex, json_schema, length, citations, ruff, tests, sql, runs, each with =ARGUMENT where it "
    "takes one; or path/to/file.py:attribute. May be given several times: all must pass.",
)
@click.option(
    "--judge", metavar="FLOW", help="An agent that gives a Critique of each output: an opinion, billed apart."
)
@click.option("--value", type=amount, metavar="USD", help="What a success is worth to you: decides what is dearer.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap, and of the runs' own draws.")
@click.option("--concurrency", type=click.IntRange(1, 1024), default=4, show_default=True, help="Runs at once.")
@click.option("--name", default="", help="Another name measures anew what the store has already.")
@click.option("--memo", "page", type=click.Path(path_type=Path), metavar="FILE", help="One page: FILE.md or FILE.html.")
@flow_options
@store_option
@json_option
@debug_option
def command(
    a: str,
    b: str,
    dataset: Path,
    checkers: Sequence[str],
    judge: str | None,
    value: Decimal | None,
    seed: int,
    concurrency: int,
    name: str,
    page: Path | None,
    budget: Decimal | None,
    models: str | None,
    deps: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Compare flows A and B on the cases of a data set: success, dollars, seconds, and which of them to ship.

    \b
        outlay compare flows.py:single flows.py:crew --dataset cases.jsonl --checker numeric --budget 0.05

    The data set is .jsonl, .csv or .parquet with the columns id, input (or text) and expected. --budget is for each
    case and each side. Checkers go by the column expected, or by their argument: numeric=0.01, length=200,
    runs=asserts.

    Killed or interrupted, the same command goes on; done, it costs nothing. A run that fails is a failure of its side
    and leaves the exit code at 0.
    """
    _check_page(page)
    if not checkers and judge is None:
        raise Problem("there is nothing to judge outputs by", next="--checker exact, or --judge FLOW")
    with results_only_on_stdout():
        sides = [prepare(flow, models, store, budget, deps) for flow in (a, b)]
        lane, notice = _lane(sides, judge, models)
        cases = Dataset.read(dataset)
        flows = [_flow(side, cases) for side in sides]
        terms = Terms(
            checkers=[load_checker(one) if _is_address(one) else one for one in checkers],
            judge=None if judge is None else check_judge(load_flow(judge)),
            budget=budget,
            value=value,
            models=lane,
            store=sides[0].store,
            concurrency=concurrency,
            seed=seed,
            name=name,
            on_alert=[_alert],
        )
        progress = _Progress(len(cases) * 2)
        click.echo(_title(flows, cases, terms), err=True)
        if notice:
            click.echo(f"  {notice}", err=True)
        try:
            found = asyncio.run(_compare(flows, cases, terms, sides[0], progress))
        except KeyboardInterrupt:
            progress.end()
            done = f"{progress.done:,} of {progress.all:,} runs are measured, and kept in {sides[0].place}"
            show(Problem("interrupted", done, next="the same command goes on", code=INTERRUPTED))
            raise Quiet(INTERRUPTED) from None
        progress.end()
        if found.stored:
            click.echo(
                f"stored results of {found.stored:,} of {progress.all:,} runs: nothing is run or spent for them",
                err=True,
            )
    if page is not None:
        _write(page, found)
    click.echo(json.dumps(document(found), ensure_ascii=False, indent=2) if as_json else report(found))
    waiting = sum(not case.is_over for side in (found.a, found.b) for case in side.cases)
    if waiting:
        show(
            Problem(
                f"{counted(waiting, 'run')} wait{'s' if waiting == 1 else ''} for a human",
                next=("outlay approvals", "then the same command goes on"),
            )
        )
        raise Quiet(4)
    raise Quiet(1 if verdict_on(found).kind in ("set-up", "not measured") else 0)


async def _compare(
    flows: Sequence[Flow], cases: Dataset, terms: Terms, setting: Setting, progress: _Progress
) -> Comparison:
    with_deps = replace(terms, deps=await setting.make_deps())
    return await compare(flows[0], flows[1], cases, with_deps, progress.measured)


def _lane(sides: Sequence[Setting], judge: str | None, asked: str | None) -> tuple[Any, str]:
    """One lane for both: a side that can only be offline takes the other one with it."""
    choices = [side.choice for side in sides]
    if judge is not None:
        choices.append(choose(load_flow(judge), asked))
    offline = [choice for choice in choices if choice.lane == "offline"]
    if not offline:
        return "live", ""
    # The other ones may have keys, and no stand-in: the preflight says so, by name, before anything is spent.
    return "offline", next((choice.notice for choice in offline if choice.notice), "")


def _flow(side: Setting, cases: Dataset) -> Flow:
    takes = InputType(side.root)
    for case in cases:
        try:
            takes.convert(case.input)
        except ValueError as error:
            raise Problem(
                f"{cases.name}, case {case.id!r} does not fit {side.flow}: {error}", "nothing has been run or paid"
            ) from None
    return Flow(side.root, side.root.name, takes.convert, address_of(side.flow, side.deps))


def _title(flows: Sequence[Flow], cases: Dataset, terms: Terms) -> str:
    limit = "no budget"
    if terms.budget is not None:
        each = usd(terms.budget)
        limit = f"at most {show_limit(each)} a case each, {show_limit(2 * len(cases) * each)} in all"
    models = "live" if terms.models == "live" else "offline stand-ins (no money is spent; list prices shown)"
    return f"compare · {flows[0].name} and {flows[1].name} · {counted(len(cases), 'case')} · {limit} · {models}"


def _is_address(checker: str) -> bool:
    """`file.py:attribute` and `package.module:attribute`; a pattern of `regex=a:b` is none."""
    return ":" in checker and "=" not in checker.partition(":")[0]


def _alert(alert: Any) -> None:
    # At the end of a case's budget the figures say it: a line for each would bury them.
    if not isinstance(alert, BudgetAlert):
        click.echo(f"  {alert_text(alert)}", err=True)


class _Progress:
    """How many runs are measured, on one line of a terminal; nowhere else."""

    def __init__(self, runs: int) -> None:
        self.all = runs
        self.done = 0
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def measured(self, side: str, found: Measured) -> None:
        self.done += 1
        if self._shown:
            click.echo(f"\r  {self.done:,} of {self.all:,} runs", err=True, nl=False)

    def end(self) -> None:
        if self._shown and self.done:
            click.echo(err=True)


def _check_page(page: Path | None) -> None:
    """Before anything is spent."""
    if page is None:
        return
    if page.suffix.lower() not in (".md", ".html", ".htm"):
        raise Problem(f"cannot tell what --memo {page} is to be", next="give it a name that ends in .md or .html")
    if not page.parent.is_dir():
        raise Problem(f"cannot write {page}: there is no folder {page.parent}", next=f"mkdir -p {page.parent}")


def _write(page: Path, found: Comparison) -> None:
    try:
        page.write_text(memo(found, as_html=page.suffix.lower() != ".md"), "utf-8", "replace")
    except OSError as error:
        raise Problem(f"cannot write {page}: {error.strerror}", "everything measured is kept", code=1) from None
    click.echo(f"memo in {page}", err=True)
