"""`outlay run`: one run, its output and its bill."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import click

from outlay.analysis.bill import Bill
from outlay.cli.flows import line_of
from outlay.cli.inputs import InputType, read_input
from outlay.cli.options import debug_option, flow_options, json_option, store_option
from outlay.cli.problems import CODES, INTERRUPTED, Problem, Quiet, as_problem, budget_stop, show
from outlay.cli.progress import Progress
from outlay.cli.setting import Setting, prepare, results_only_on_stdout
from outlay.cli.tally import Tally
from outlay.cli.words import jsonable, money, shown
from outlay.errors import BudgetExceeded
from outlay.events import BudgetAlert, Event, RunStarted
from outlay.runtime.directory import default_prices
from outlay.runtime.result import Result
from outlay.runtime.run import run
from outlay.stores.opening import open_store


@click.command("run")
@click.argument("flow", metavar="FLOW")
@click.option(
    "--input", "given", metavar="TEXT|@FILE|-", required=True, help="The input: a text, a file, or - for stdin."
)
@click.option("--session", metavar="ID", help="Go on with this conversation: the next run of it sees this one.")
@flow_options
@store_option
@json_option
@debug_option
def command(
    flow: str,
    given: str,
    session: str | None,
    budget: Decimal | None,
    models: str | None,
    deps: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Run FLOW on one input; print its output and its bill.

    FLOW is path/to/file.py:attribute or package.module:attribute. Where its first node takes something else than
    text, the input is JSON.

    \b
        outlay run triage.py:triage --input "Where is my card?" --budget 0.05
    """
    with results_only_on_stdout():
        setting = prepare(flow, models, store, budget, deps)
        text, origin = read_input(given)
        value = InputType(setting.root).read(text, origin)
        result = asyncio.run(_run(setting, value, session))
    bill = result.bill
    if as_json:
        click.echo(json.dumps(_document(result, bill), ensure_ascii=False, indent=2))
    else:
        if result.output is not None:
            click.echo(shown(result.output) + "\n")
        click.echo(bill.render(default_prices()))
    if result.stop_reason != "completed":
        show(_problem(setting, result, bill))
    raise Quiet(CODES.get(result.stop_reason, 1))


async def _run(setting: Setting, value: Any, session: str | None) -> Result[Any]:
    tally = Tally(setting.root)
    progress = Progress(f"{setting.root.name} · {setting.choice.says}", tally, rows=1, limit=setting.budget)
    run_id = ""

    def on_event(event: Event) -> None:
        nonlocal run_id
        tally.add(event)
        if isinstance(event, RunStarted):
            run_id = event.run

    def on_alert(alert: BudgetAlert) -> None:
        progress.say(f"  budget of {alert.scope} at {alert.percent} %")

    async with open_store(setting.store) as store:
        deps = await setting.make_deps()
        try:
            async with progress:
                if setting.choice.notice:
                    progress.say(f"  {setting.choice.notice}")
                return await run(
                    setting.root,
                    value,
                    budget=setting.limits,
                    deps=deps,
                    store=store,
                    session=session,
                    models=setting.choice.lane,
                    on_event=on_event,
                    on_alert=on_alert,
                )
        except asyncio.CancelledError:
            raise Problem(
                f"interrupted after ${tally.spent:,.4f}",
                f"run {run_id} · what was paid for is in {setting.place}" if run_id else "nothing was run",
                next=f"outlay trace {run_id[:6]}" if run_id else "",
                code=INTERRUPTED,
            ) from None
        except BudgetExceeded as error:
            if error.result is None:
                raise
            return error.result


def _problem(setting: Setting, result: Result[Any], bill: Bill) -> Problem:
    """Why the run did not complete, what there is of it all the same, and what to do."""
    error = result.error
    run_id = f"run {result.run_id[:6]} · {result.flow}"
    kept = f"kept: everything paid for is in {setting.place}"
    look = f"outlay trace {result.run_id[:6]}"
    if isinstance(error, BudgetExceeded):
        facts = (f"{run_id} · at {error.path}" if error.path else run_id, kept)
        spent = bill.at_least if setting.budget is not None and error.limit == setting.budget else None
        return budget_stop(error, *facts, spent=spent, next=(look, error.hint))
    if error is None:
        return Problem(
            f"stopped early ({result.stop_reason.replace('_', ' ')}): the output is what there was by then",
            *(f"without {part.path}: {part.reason}" for part in result.skipped),
            run_id,
            next=look,
            code=CODES[result.stop_reason],
        )
    problem = as_problem(error)
    lines = line_of(error, setting.folder)
    waiting = (f"waiting: {item.question}" for item in result.pending)
    hints = (*problem.next, look)
    return Problem(
        problem.message, *problem.facts, *lines, *waiting, run_id, next=hints, code=CODES[result.stop_reason]
    )


def _document(result: Result[Any], bill: Bill) -> dict[str, Any]:
    error = result.error
    return {
        "run_id": result.run_id,
        "flow": result.flow,
        "output": jsonable(result.output),
        "stop_reason": result.stop_reason,
        "degraded": result.degraded,
        "cost": money(bill.total),
        "at_least": money(bill.at_least),
        "in_doubt": money(bill.in_doubt),
        "seconds": round(result.seconds, 3),
        "error": None if error is None else f"{type(error).__name__}: {getattr(error, 'message', error)}",
        "skipped": [{"path": part.path, "reason": part.reason} for part in result.skipped],
        "agents": {name: money(line.cost) for name, line in bill.by("agent").items()},
    }
