"""`outlay map`: one run a row of a file."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Sequence
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import cast

import click

from outlay.analysis.text import one_line
from outlay.cli.answers import AnswerFile
from outlay.cli.inputs import InputType
from outlay.cli.mapping import Mapping, Outcome, Survey
from outlay.cli.options import debug_option, flow_options, json_option, store_option
from outlay.cli.problems import CODES, INTERRUPTED, Problem, Quiet, budget_stop, show
from outlay.cli.rows import RowFile
from outlay.cli.setting import Setting, prepare, results_only_on_stdout
from outlay.cli.tally import Tally
from outlay.cli.watching import watch_options, watched
from outlay.cli.words import money, room, routes, spread
from outlay.errors import BudgetExceeded, OutlayError
from outlay.policies.batching import Batching, OnFailure
from outlay.runtime.directory import default_prices
from outlay.runtime.host import LaneLike
from outlay.runtime.many import AT_ONCE, AT_ONCE_BY_BATCH
from outlay.stores.addresses import shown
from outlay.stores.opening import open_store
from outlay.values.counted import counted
from outlay.values.money import show_limit

#: So many reasons for rows with less or no answer are named, each in so many characters.
_NAMED, _LINE = 3, 200


@click.command("map")
@click.argument("flow", metavar="FLOW")
@click.option(
    "--input", "source", metavar="X.jsonl|X.csv", required=True, type=click.Path(path_type=Path), help="The rows."
)
@click.option(
    "--output",
    "target",
    metavar="Y.jsonl",
    required=True,
    type=click.Path(path_type=Path),
    help="Where answers are appended.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 100_000),
    help=f"Rows at the same time. Default: {AT_ONCE}, and {AT_ONCE_BY_BATCH:,} by batch.",
)
@click.option(
    "--lane",
    type=click.Choice(["live", "batch"]),
    default="live",
    show_default=True,
    help="Answers at once, or in the providers' batches: half the price, within a day.",
)
@click.option(
    "--on-batch-failure",
    type=click.Choice(["retry", "live", "fail"]),
    default="retry",
    show_default=True,
    help="What a batch leaves without an answer: into another batch, at once, or an error.",
)
@click.option(
    "--field", metavar="NAME", help="The column that is the input. Default: input or text, else the whole row."
)
@click.option(
    "--on-bad-row",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="Stop before anything is spent, or run the good rows and list the bad.",
)
@flow_options
@watch_options
@store_option
@json_option
@debug_option
def command(
    flow: str,
    source: Path,
    target: Path,
    concurrency: int | None,
    lane: str,
    on_batch_failure: str,
    field: str | None,
    on_bad_row: str,
    budget: Decimal | None,
    models: str | None,
    deps: str | None,
    watchdog: str | None,
    webhook: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Run FLOW on every row of a file; each answer is appended to the output as it finishes.

    \b
        outlay map triage.py:triage --input tickets.csv --output answers.jsonl --budget 5.00

    A row's id is its column `id`, else its number. A line of the output has id, input, output, stop_reason,
    degraded, cost (null if unknown) and run_id.

    Run it again and only the rows without an answer are run, after Ctrl-C, a kill or a budget stop too. A row that
    completed, failed (error) or used up its turns has its answer; one that --budget, a deadline, a question to a human
    or Ctrl-C cut short is not written, and is tried again. Failed rows are counted and leave the exit code at 0.

    --budget covers what this command spends, not what earlier ones did.

    With --lane batch the model calls of all rows are collected into the providers' batches. Stop it whenever you like:
    batches go on at the provider, and the same command waits for them and sends nothing twice.
    """
    way: LaneLike = Batching(on_failure=cast("OnFailure", on_batch_failure)) if lane == "batch" else "live"
    with results_only_on_stdout():
        file = RowFile(source, field)
        setting = watched(prepare(flow, models, store, budget, deps), watchdog, webhook)
        takes = InputType(setting.root)
        if not source.exists():
            raise Problem(
                f"cannot read {source}: no such file",
                "nothing has been run or paid",
                next="--input FILE.jsonl or FILE.csv, one input a row",
            )
        with AnswerFile(target, source) as answers:
            if answers.repaired:
                click.echo(f"repaired {target}: a torn last line was cut off, its row runs again", err=True)
            survey = Survey.of(file, takes, answers.finished, skip=on_bad_row == "skip")
            _tell(survey, source, target, len(answers.finished.keys))
            if survey.todo and file.whole and takes.hint is None:
                click.echo(_whole(file), err=True)
            tally = Tally(setting.root)
            mapping = Mapping(setting, file, takes, survey, answers, tally)
            outcome = mapping.outcome
            if survey.todo:
                try:
                    outcome = asyncio.run(_map(mapping, setting, concurrency, way))
                except OutlayError as error:
                    _keep(error, outcome, target)
                    raise
            finished = answers.finished
    if as_json:
        document = {
            "rows": survey.rows,
            "done": survey.answered + outcome.rows,
            "degraded": finished.degraded + outcome.degraded,
            "failed": finished.failed + outcome.failed,
            "cost": money(outcome.bill.total),
            "at_least": money(outcome.bill.at_least),
            "in_doubt": money(outcome.bill.in_doubt),
            "unreported": outcome.bill.unreported,
            "seconds": round(outcome.seconds, 3),
            "stop_reason": outcome.stop_reason,
            "ran": outcome.rows,
            "bad": len(survey.bad),
        }
        click.echo(json.dumps(document))
    elif not survey.todo:
        click.echo(f"nothing to do: {counted(survey.answered, 'answer')} for {counted(survey.rows, 'row')} in {target}")
    else:
        click.echo(_receipt(outcome, survey, tally, target))
    if outcome.stop_reason != "completed":
        by_batch = [] if lane == "live" else ["--lane", lane]
        if on_batch_failure != "retry":
            by_batch += ["--on-batch-failure", on_batch_failure]
        again = _Again(flow, source, target, field, on_bad_row, concurrency, store, models, deps, watchdog, by_batch)
        show(_stopped(setting, outcome, survey, target, again))
    raise Quiet(INTERRUPTED if outcome.interrupted else CODES.get(outcome.stop_reason, 1))


async def _map(mapping: Mapping, setting: Setting, concurrency: int | None, lane: LaneLike) -> Outcome:
    async with open_store(setting.store) as store:
        return await mapping.run(store, concurrency, lane)


def _tell(survey: Survey, source: Path, target: Path, answered: int) -> None:
    """What is worth knowing before it starts."""
    if survey.bad:
        lines = "\n".join(f"    {line}" for line in survey.listed())
        click.echo(f"skipping {counted(len(survey.bad), 'bad row')} of {source}:\n{lines}", err=True)
    if survey.answered and survey.todo:
        click.echo(f"going on: {survey.answered:,} of {counted(survey.rows, 'row')} are answered in {target}", err=True)
    if strange := answered - survey.answered:
        click.echo(
            f"note: {counted(strange, 'answer')} in {target} belong{'s' if strange == 1 else ''} to no row of {source}",
            err=True,
        )


def _whole(file: RowFile) -> str:
    """Of a flow that takes anything: a column that is called otherwise may have been meant."""
    shown = ", ".join(one_line(name, 40) for name in file.whole[:12])
    return f"note: {file.path} has no column input or text, so whole rows are the input (--field takes one of {shown})"


def _receipt(outcome: Outcome, survey: Survey, tally: Tally, target: Path) -> str:
    rate = f" ({outcome.rows / outcome.seconds:,.0f} rows/s)" if outcome.seconds > 0 and outcome.rows else ""
    speed = f"{counted(outcome.rows, 'row')} in {outcome.seconds:,.1f} s{rate}"
    troubles = [f"{n:,} {word}" for n, word in ((outcome.failed, "failed"), (outcome.degraded, "degraded")) if n]
    answered = f"answered {survey.answered + outcome.rows:,} of {survey.rows:,} in {target}"
    notes = [" · ".join(filter(None, [spread(outcome.costs, "row"), speed])), " · ".join([answered, *troubles])]
    return "\n".join([outcome.bill.render(default_prices(), width=room()), "", *routes(tally), *notes, *_why(outcome)])


def _why(outcome: Outcome) -> list[str]:
    """What rows do without, or failed of: the most frequent reasons."""
    reasons = outcome.why.most_common()
    lines = [f"  {one_line(text, _LINE)} ({counted(number, 'row')})" for text, number in reasons[:_NAMED]]
    return lines + ([f"  and for {counted(len(reasons) - _NAMED, 'other reason')}"] if reasons[_NAMED:] else [])


def _keep(error: OutlayError, outcome: Outcome, target: Path) -> None:
    """Say what there is already, where an error ends a map half-way."""
    if outcome.rows:
        error.message += f"\nkept: {counted(outcome.rows, 'answer')} in {target}; run it again to go on"


class _Again:
    """The command to go on with."""

    def __init__(
        self,
        flow: str,
        source: Path,
        target: Path,
        field: str | None,
        on_bad_row: str,
        concurrency: int | None,
        store: str | None,
        models: str | None,
        deps: str | None,
        watchdog: str | None,
        by_batch: Sequence[str],
    ) -> None:
        self._words = ["outlay", "map", flow, "--input", str(source), "--output", str(target)]
        given = {"--field": field, "--store": store and shown(store), "--models": models, "--deps": deps}
        given["--watchdog"] = watchdog
        for name, value in given.items():
            if value is not None:
                self._words += [name, value]
        if on_bad_row != "stop":
            self._words += ["--on-bad-row", on_bad_row]
        if concurrency is not None:
            self._words += ["--concurrency", str(concurrency)]
        self._words += by_batch

    def line(self, outcome: Outcome, budget: Decimal | None) -> str:
        words = [
            *self._words,
            *([] if budget is None else ["--budget", show_limit(budget).removeprefix("$").replace(",", "")]),
        ]
        row = "" if outcome.next_row is None else f"        goes on at row {outcome.next_row:,}"
        return shlex.join(words) + row


def _stopped(setting: Setting, outcome: Outcome, survey: Survey, target: Path, again: _Again) -> Problem:
    """Why it stopped early, what is kept, and how to go on."""
    spent = outcome.bill.at_least
    answers = counted(survey.answered + outcome.rows, "answer")
    kept = f"kept: {answers} in {target}, everything paid for is in {setting.place}"
    row = "" if outcome.next_row is None else f" · row {outcome.next_row:,} of {survey.rows:,}"
    place = f"map {setting.root.name}{row}"
    if outcome.interrupted:
        going = (f"{counted(outcome.out, 'call')} in batches: they go on at the provider, and nothing is sent twice",)
        facts = (place, kept, *(going if outcome.out else ()))
        return Problem(
            f"interrupted at ${spent:,.4f}", *facts, next=again.line(outcome, setting.budget), code=INTERRUPTED
        )
    if outcome.stop_reason == "budget":
        error = outcome.stop or BudgetExceeded(
            "", resource="usd", limit=setting.budget, spent=spent, hint="raise --budget"
        )
        if error.path:
            place += f" · at {error.path}"
        if setting.budget is None:
            return budget_stop(error, place, kept)
        left = survey.todo - outcome.rows
        enough = _enough(spent, outcome.rows, left, setting.budget, error)
        return budget_stop(error, place, kept, spent=spent, next=again.line(outcome, enough))
    reasons = {"approval": "rows wait for a human", "deadline": "rows ran out of their time"}
    left = survey.todo - outcome.rows
    return Problem(
        f"{counted(left, 'row')} without an answer: {reasons.get(outcome.stop_reason, outcome.stop_reason)}",
        place,
        kept,
        next=again.line(outcome, setting.budget),
        code=CODES.get(outcome.stop_reason, 1),
    )


def _enough(spent: Decimal, answered: int, left: int, limit: Decimal, error: BudgetExceeded) -> Decimal:
    """A budget that is likely to do for the rest: at the cost of an answer so far and a fifth more, in two digits."""
    need = spent / answered * left * Decimal("1.2") if answered else limit * 2
    # A call reserves its worst case: with less than that nothing starts at all.
    need = max(need, Decimal(error.needed or 0) * 2, Decimal("0.01"))
    step = Decimal(1).scaleb(need.adjusted() - 1)
    return max((need / step).to_integral_value(ROUND_UP) * step, Decimal("0.01"))
