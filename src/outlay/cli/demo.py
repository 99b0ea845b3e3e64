"""`outlay demo`: the triage example over its own messages."""

from __future__ import annotations

import asyncio
import importlib
import json
import shutil
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import click

import outlay
from outlay.analysis.text import one_line
from outlay.cli.mapping import Outcome, say_alert
from outlay.cli.options import amount, debug_option, json_option, store_option
from outlay.cli.problems import CODES, INTERRUPTED, Problem, Quiet, show
from outlay.cli.progress import Progress
from outlay.cli.rows import RowFile
from outlay.cli.setting import Setting, prepare, results_only_on_stdout
from outlay.cli.tally import Tally
from outlay.cli.words import cell, jsonable, money, room, routes, spread
from outlay.errors import BudgetExceeded
from outlay.events import Event
from outlay.runtime.directory import default_prices
from outlay.runtime.many import run_many
from outlay.stores.opening import open_store
from outlay.values.counted import counted
from outlay.values.money import show_limit

BUDGET = "0.50"


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one message."""

    number: int
    id: str
    message: str
    output: dict[str, Any]


@click.command("demo")
@click.option(
    "--budget",
    type=amount,
    metavar="USD",
    default=BUDGET,
    show_default=True,
    help="Spend at most this much, in US dollars.",
)
@click.option("--models", type=click.Choice(["live", "offline"]), help="Default: live if a key is set, else offline.")
@store_option
@json_option
@debug_option
def command(budget: Decimal, models: str | None, store: str | None, as_json: bool) -> None:
    """Sort and answer 42 messages of a bank's customers: three agents, a human, a hard budget, a bill.

    Needs no key and no server: without a key simple programs stand in for the models, and the bill shows what the
    models would have cost at their list prices. With ANTHROPIC_API_KEY or OPENAI_API_KEY it runs live.
    """
    folder = example()
    with results_only_on_stdout():
        setting = prepare(f"{folder / 'flow.py'}:triage", models, store, budget, None)
        tally = Tally(setting.root)
        outcome, replies = asyncio.run(_run(setting, folder / "messages.jsonl", tally))
    replies.sort(key=lambda reply: reply.number)
    if as_json:
        click.echo(json.dumps(_document(outcome, replies), ensure_ascii=False, indent=2))
    else:
        click.echo(
            "\n".join(
                [*_table(replies), "", *_handed_over(replies), outcome.bill.render(default_prices(), width=room()), ""]
            )
        )
        click.echo("\n".join([*routes(tally), spread(outcome.costs, "message")]))
    if outcome.stop_reason != "completed":
        show(_stopped(outcome, len(replies), setting))
        raise Quiet(INTERRUPTED if outcome.interrupted else CODES.get(outcome.stop_reason, 1))
    if not as_json:
        click.echo("\n".join(_what_next(folder, setting)), err=True)


def example() -> Path:
    """The folder of the triage example: in the installed package, or in the repository beside it."""
    package = Path(outlay.__file__).resolve().parent
    for folder in (package / "_examples" / "triage", package.parent.parent / "examples" / "triage"):
        if (folder / "flow.py").is_file():
            return folder
    raise Problem("the triage example is not in this installation", next="pip install --force-reinstall outlay", code=1)


async def _run(setting: Setting, messages: Path, tally: Tally) -> tuple[Outcome, list[Reply]]:
    rows = list(RowFile(messages))
    outcome, replies = Outcome(), list[Reply]()
    title = f"triage · {counted(len(rows), 'message')} · {setting.choice.says}"
    progress = Progress(title, tally, rows=len(rows), limit=setting.budget)

    def on_event(event: Event) -> None:
        tally.add(event)
        outcome.see(event)

    async with open_store(setting.store) as store:
        results = run_many(
            setting.root,
            [(row, row.input) for row in rows],
            budget=setting.limits,
            store=store,
            models=setting.choice.lane,
            on_event=on_event,
            on_alert=[partial(say_alert, progress)],
        )
        try:
            async with progress, aclosing(results):
                if setting.choice.lane == "live" and setting.budget is not None:
                    progress.say(f"  live: real models answer, and at most {show_limit(setting.budget)} is spent")
                elif setting.choice.notice:
                    progress.say(f"  {setting.choice.notice}")
                async for row, result in results:
                    bill = outcome.add(result)
                    if result.stop_reason == "budget":
                        outcome.stop_reason = "budget"
                        if isinstance(result.error, BudgetExceeded):
                            outcome.stop = outcome.stop or result.error
                        continue
                    failed = result.stop_reason == "error"
                    output = (
                        jsonable(result.output)
                        if result.output is not None
                        else {"to": "nobody", "text": str(result.error)}
                    )
                    replies.append(Reply(row.number, str(row.id), str(row.input), output))
                    outcome.rows += 1
                    outcome.failed += failed
                    outcome.degraded += result.degraded
                    if bill.total is not None:
                        outcome.costs.append(bill.total)
                    progress.add(degraded=result.degraded, failed=failed, cost=bill.total)
        except asyncio.CancelledError:
            outcome.stop_reason, outcome.interrupted = "cancelled", True
        outcome.close(progress.seconds)
    return outcome, replies


def _table(replies: Sequence[Reply]) -> list[str]:
    """A line a message: its beginning, who got it, and the answer's beginning or the human's reason."""
    width = max(min(shutil.get_terminal_size((110, 24)).columns, 140), 72)
    left = (width - 20) * 2 // 5
    right = width - 20 - left
    opening = getattr(importlib.import_module("triage_standins"), "OPENING", "")
    lines = [f"{'':4}  {'message':{left}}  {'to':10}  answer, or why a human gets it"]
    for reply in replies:
        said = str(reply.output.get("reason") or reply.output.get("text", ""))
        said = one_line(said.removeprefix(opening), right)
        to = one_line(str(reply.output.get("to", "?")), 10)
        lines.append(f"{cell(reply.id, 4)}  {cell(reply.message, left)}  {to:10}  {said}")
    return lines


def _handed_over(replies: Sequence[Reply]) -> list[str]:
    """Who was handed to a human, by reason."""
    by_why: dict[str, list[str]] = {}
    for reply in replies:
        if reply.output.get("to") != "customer":
            by_why.setdefault(str(reply.output.get("why") or "failed"), []).append(reply.id)
    if not by_why:
        return []
    number = sum(map(len, by_why.values()))
    lines = [f"{number:,} of {len(replies):,} handed to a human:"]
    lines += [f"  {why:14}  {len(ids):>3}  {one_line(', '.join(ids), 80)}" for why, ids in sorted(by_why.items())]
    return [*lines, ""]


def _what_next(folder: Path, setting: Setting) -> list[str]:
    return [
        "",
        f"the flow is {folder / 'flow.py'}, every call is in {setting.place}",
        "next: outlay runs · outlay trace last · outlay init",
    ]


def _stopped(outcome: Outcome, answered: int, setting: Setting) -> Problem:
    spent = outcome.bill.at_least
    kept = f"{counted(answered, 'message')} answered; everything paid for is in {setting.place}"
    if outcome.interrupted:
        return Problem(f"interrupted at ${spent:,.4f}", kept, code=INTERRUPTED)
    limit = show_limit(setting.budget or Decimal(0))
    return Problem(f"budget stop at ${spent:,.4f} of {limit}", kept, next="outlay demo --budget 1.00")


def _document(outcome: Outcome, replies: Sequence[Reply]) -> dict[str, Any]:
    return {
        "messages": [{"id": reply.id, "message": reply.message, "output": reply.output} for reply in replies],
        "rows": len(replies),
        "degraded": outcome.degraded,
        "failed": outcome.failed,
        "cost": money(outcome.bill.total),
        "seconds": round(outcome.seconds, 3),
        "stop_reason": outcome.stop_reason,
        "agents": {name: money(line.cost) for name, line in outcome.bill.by("agent").items()},
    }
