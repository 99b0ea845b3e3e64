"""`outlay fork`: branch off a run, on what it has paid for."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from functools import partial
from typing import Any

import click

from outlay.cli.ending import report
from outlay.cli.inputs import InputType, read_input
from outlay.cli.known import Asked, Known, known_run
from outlay.cli.options import debug_option, flow_options, json_option, store_option
from outlay.cli.run import go
from outlay.cli.setting import results_only_on_stdout
from outlay.runtime.fork import fork
from outlay.runtime.result import Result


@click.command("fork")
@click.argument("run", metavar="RUN")
@click.argument("flow", metavar="[FLOW]", required=False)
@click.option("--at", "at", metavar="PATH", default="", help="Do again what happened at this path and below.")
@click.option("--input", "given", metavar="TEXT|@FILE|-", help="What the node at PATH (or the run) gets instead.")
@flow_options
@store_option
@json_option
@debug_option
def command(
    run: str,
    flow: str | None,
    at: str,
    given: str | None,
    budget: Decimal | None,
    models: str | None,
    deps: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Branch off RUN (the beginning of its id, or `last`): a new run that shares what the old one paid for.

    What happened at PATH is done again, and what depends on it; without PATH, what has changed in the flow. `outlay
    trace` shows the paths. The fork has an id, a budget and a bill of its own; tools with side effects that would run
    again ask first.

    \b
        outlay fork 7f3a --at support/reply
        outlay fork 7f3a --at support/reply --input "Where is my card?"
        outlay fork last new_prompts.py:flow
    """
    with results_only_on_stdout():
        known = known_run(run, Asked(flow, budget, models, deps, store), "fork")
        whole = at in ("", known.past.started.path)
        changed: dict[str, Any] = {} if given is None else {"input": _input(known, given, whole)}
        if given is None and whole:
            changed = {"input": known.input()}
        result = asyncio.run(go(known.setting, None, start=partial(_branch_off, known.id, at, changed)))
    report(known.setting, result, as_json=as_json)


async def _branch_off(parent: str, at: str, changed: dict[str, Any], root: Any, _: Any, **options: Any) -> Result[Any]:
    """`fork` in the place of `run`: what the flow's root gets is in `changed`, and the new run has no id yet."""
    del options["run_id"], options["session"]
    return await fork(parent, root, at=at, **changed, **options)


def _input(known: Known, given: str, whole: bool) -> Any:
    """The new input: as the flow's root takes it, or for a node inside as JSON where it reads like JSON."""
    text, origin = read_input(given)
    if whole:
        return InputType(known.setting.root).read(text, origin)
    if text.lstrip().startswith(("{", "[", '"')):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
