"""`outlay run`: one run, its output and its bill."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import click

from outlay.cli.addresses import address_of
from outlay.cli.batchlines import BatchLines
from outlay.cli.ending import in_store, report
from outlay.cli.inputs import InputType, read_input
from outlay.cli.options import debug_option, flow_options, json_option, store_option
from outlay.cli.problems import INTERRUPTED, Problem
from outlay.cli.progress import Progress
from outlay.cli.setting import Setting, prepare, results_only_on_stdout
from outlay.cli.tally import Tally
from outlay.cli.watching import watch_options, watched
from outlay.cli.words import short
from outlay.errors import BudgetExceeded
from outlay.events import AlertEvent, BudgetAlert, Event
from outlay.runtime.alerts import alert_text
from outlay.runtime.host import LaneLike
from outlay.runtime.result import Result
from outlay.runtime.run import run
from outlay.stores.opening import open_store
from outlay.values.budget import Budget


@click.command("run")
@click.argument("flow", metavar="FLOW")
@click.option(
    "--input", "given", metavar="TEXT|@FILE|-", required=True, help="The input: a text, a file, or - for stdin."
)
@click.option("--session", metavar="ID", help="Go on with this conversation: the next run of it sees this one.")
@flow_options
@watch_options
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
    watchdog: str | None,
    webhook: str | None,
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
        setting = watched(prepare(flow, models, store, budget, deps), watchdog, webhook)
        text, origin = read_input(given)
        value = InputType(setting.root).read(text, origin)
        result = asyncio.run(go(setting, value, session=session))
    report(setting, result, as_json=as_json)


async def go(
    setting: Setting,
    value: Any,
    *,
    limits: Sequence[Budget] | None = None,
    run_id: str | None = None,
    start: Callable[..., Awaitable[Result[Any]]] = run,
    session: str | None = None,
    lane: LaneLike = "live",
    over: bool = False,
) -> Result[Any]:
    """Run, or go on with `run_id`, showing how it comes along. `limits` stand for the budget of the setting, `start`
    for `run`. `over`: there is nothing to go on with, and its stored result is given."""
    tally = Tally(setting.root)
    says = f"stored result of run {short(run_id or '')}: nothing is run or spent" if over else setting.choice.says
    progress = Progress(f"{setting.root.name} · {says}", tally, rows=1, limit=setting.budget)
    id, batches = run_id or "", BatchLines()

    def on_event(event: Event) -> None:
        nonlocal id
        tally.add(event)
        id = event.run
        if line := batches.line(event):
            progress.say(f"  {line}")

    def on_alert(alert: AlertEvent) -> None:
        if not isinstance(alert, BudgetAlert):
            progress.say(f"  {alert_text(alert)}")
            return
        progress.say(f"  budget of {alert.scope} at {alert.percent} %")

    async with open_store(setting.store) as store:
        deps = await setting.make_deps()
        try:
            async with progress:
                if setting.choice.notice and not over:
                    progress.say(f"  {setting.choice.notice}")
                return await start(
                    setting.root,
                    value,
                    budget=setting.limits if limits is None else limits,
                    deps=deps,
                    store=store,
                    run_id=run_id,
                    session=session,
                    source=address_of(setting.flow, setting.deps),
                    models=setting.choice.lane,
                    on_event=on_event,
                    on_alert=setting.alarms(on_alert),
                    watchdog=setting.watchdog,
                    lane=lane,
                )
        except asyncio.CancelledError:
            raise Problem(
                f"interrupted after ${tally.spent:,.4f}",
                f"run {id} · what was paid for is in {setting.place}" if id else "nothing was run",
                next=(f"outlay trace {short(id)}", f"outlay resume {short(id)}{in_store(setting)}") if id else "",
                code=INTERRUPTED,
            ) from None
        except BudgetExceeded as error:
            if error.result is None:
                raise
            return error.result
