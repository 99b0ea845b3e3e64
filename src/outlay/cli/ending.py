"""How a run ended, as `outlay run` and `outlay resume` say it: output and bill, or why not and what to do."""

from __future__ import annotations

import json
import shlex
from typing import Any, NoReturn

import click

from outlay.analysis.bill import Bill
from outlay.analysis.text import one_line
from outlay.cli.flows import line_of
from outlay.cli.items import item_line, ways_to_decide
from outlay.cli.options import store_path
from outlay.cli.problems import CODES, Problem, Quiet, as_problem, budget_stop, show
from outlay.cli.setting import Setting
from outlay.cli.words import jsonable, money, room, short, shown
from outlay.errors import ApprovalPending, BudgetExceeded, WatchdogStopped
from outlay.errors import one_line as first_line
from outlay.events.records import Decision, RunResumed, RunStarted
from outlay.runtime.directory import default_prices
from outlay.runtime.result import Result, SkippedPart

#: So many of the items that a run waits for are named.
_NAMED = 5
#: So much is said of a part that a result does without. In characters.
_LINE = 200


def report(setting: Setting, result: Result[Any], *, as_json: bool) -> NoReturn:
    """Say it, and end with its exit code."""
    bill = result.bill
    if as_json:
        click.echo(json.dumps(_document(result, bill), ensure_ascii=False, indent=2))
    else:
        if result.output is not None:
            click.echo(shown(result.output) + "\n")
        click.echo(bill.render(default_prices(), width=room()))
    for path, part in changes(result):
        click.echo(f"  changed since, so it ran again: {path}{f' ({one_line(part, _LINE)})' if part else ''}", err=True)
    if result.stop_reason != "completed":
        show(_problem(setting, result, bill))
    else:
        for part in result.skipped:
            click.echo(f"  {one_line(without(part), _LINE)}", err=True)
    raise Quiet(CODES.get(result.stop_reason, 1))


def changes(result: Result[Any]) -> list[tuple[str, str]]:
    """Where the last stretch of work met another call than was recorded, and what of it had changed."""
    events = list(result.events)
    legs = [i for i, event in enumerate(events) if isinstance(event, RunStarted | RunResumed)]
    last = events[legs[-1] if legs else 0 :]
    return [(e.path, str(e.data.get("changed", ""))) for e in last if isinstance(e, Decision) and e.about == "changed"]


def in_store(setting: Setting) -> str:
    """What a command needs to find the store again, where it is not the one that it takes by itself."""
    return "" if setting.store == store_path(None) else f" --store {shlex.quote(setting.place)}"


def _problem(setting: Setting, result: Result[Any], bill: Bill) -> Problem:
    """Why the run did not complete, what there is of it all the same, and what to do."""
    error = result.error
    store = in_store(setting)
    run_id = f"run {short(result.run_id)} · {result.flow}"
    kept = f"kept: everything paid for is in {setting.place}"
    look = f"outlay trace {short(result.run_id)}{store}"
    again = f"outlay resume {short(result.run_id)}"
    if isinstance(error, ApprovalPending):
        waiting = [item for item in result.pending if item.kind != "budget"]
        items = [item_line(item) for item in waiting[:_NAMED]]
        more = [f"and {len(waiting) - _NAMED:,} more: outlay approvals{store}"] if waiting[_NAMED:] else []
        hints = [f"{way}{store}" for item in waiting[:_NAMED] for way in ways_to_decide(item)]
        return Problem(
            error.message, run_id, *items, *more, kept, next=(*hints, f"{again}{store}"), code=CODES["approval"]
        )
    if isinstance(error, BudgetExceeded):
        facts = (f"{run_id} · at {error.path}" if error.path else run_id, kept)
        spent = bill.at_least if setting.budget is not None and error.limit == setting.budget else None
        paused = [item for item in result.pending if item.kind == "budget"][:_NAMED]
        hints = [f"{way}{store}" for item in paused for way in ways_to_decide(item)]
        if paused:
            hints.append(f"{again}{store}")
        elif error.resource == "usd":
            hints.append(f"{again} --budget USD{store}")
        return budget_stop(error, *facts, spent=spent, next=(look, *hints, error.hint))
    if error is None:
        return Problem(
            f"stopped early ({result.stop_reason.replace('_', ' ')}): the output is what there was by then",
            *(without(part) for part in result.skipped),
            run_id,
            next=look,
            code=CODES[result.stop_reason],
        )
    problem = as_problem(error)
    lines = line_of(error, setting.folder)
    resume = (f"{again}{store}",) if isinstance(error, WatchdogStopped) else ()
    hints = (*problem.next, look, *resume)
    return Problem(problem.message, *problem.facts, *lines, run_id, next=hints, code=CODES[result.stop_reason])


def without(part: SkippedPart) -> str:
    """What the result does without, and why."""
    why = "" if part.error is None else first_line(part.error)
    return f"without {part.path}: {part.reason}" + (f": {why}" if why and why not in part.reason else "")


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
        "unreported": bill.unreported,
        "seconds": round(result.seconds, 3),
        "error": None if error is None else f"{type(error).__name__}: {getattr(error, 'message', error)}",
        "skipped": [{"path": part.path, "reason": part.reason} for part in result.skipped],
        "pending": [{"id": item.id, "kind": item.kind, "question": item.question} for item in result.pending],
        "agents": {name: money(line.cost) for name, line in bill.by("agent").items()},
    }
