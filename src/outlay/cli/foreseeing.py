"""What commands that foresee have in common: inputs, what stored runs say, `deps`, and where pictures go."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from outlay.cli.flows import load_factory
from outlay.cli.inputs import InputType, read_input
from outlay.cli.options import store_path
from outlay.cli.problems import Problem
from outlay.cli.rows import RowFile
from outlay.events import decode
from outlay.forecast import Assumptions, Fitted, fit_runs
from outlay.protocols.node import Node
from outlay.stores.opening import open_store

#: Rows of a file that are taken as inputs, at most.
MOST_ROWS = 10_000
Command = TypeVar("Command", bound=Callable[..., Any])


def foresight_options(command: Command) -> Command:
    """Inputs, seed, fits and `deps`."""
    for option in reversed(
        (
            click.option("--input", "given", metavar="TEXT|@FILE|-", help="One input. Default: a text of 50 tokens."),
            click.option(
                "--rows",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Inputs to run in turn: .jsonl or .csv, as for map.",
            ),
            click.option(
                "--seed", type=int, default=0, show_default=True, help="The same seed gives the same figures."
            ),
            click.option(
                "--fit/--no-fit", default=True, help="Fit tokens, seconds and failures to this flow's stored runs."
            ),
            click.option("--deps", metavar="FILE:FACTORY", help="A function that makes `ctx.deps`."),
        )
    ):
        command = option(command)
    return command


def inputs_of(root: Node[Any, Any], given: str | None, rows: Path | None) -> Sequence[Any]:
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


def store_of(store: str | None) -> str | None:
    """The store whose runs are fitted; None where there is none yet, and none was named."""
    path = store_path(store)
    if "://" in path or Path(path).expanduser().is_file():
        return path
    if store is not None:
        raise Problem(f"there is no store at {path}", next="leave --store out to forecast without stored runs")
    return None


async def _fitted_in(root: Node[Any, Any], path: str) -> Fitted:
    """What the store's runs of this flow say."""
    kinds = ("run_started", "call_started", "call_finished", "call_failed", "node_started", "checked", "fact")
    async with open_store(path) as opened:
        rows = await opened.events(None, kinds)
    return fit_runs((decode(row.body) for row in rows), root.name)


async def _made(deps: str) -> Any:
    made = load_factory(deps)()
    return await made if inspect.isawaitable(made) else made


def write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise Problem(f"cannot write {path}: {error.strerror}") from None


def fitted(root: Node[Any, Any], path: str | None, declared: Assumptions) -> Assumptions:
    """What the store at this path says of the flow, under what is declared."""
    return declared if path is None else asyncio.run(_fitted_in(root, path)).under(declared)


def deps_of(deps: str | None) -> Any:
    return None if deps is None else asyncio.run(_made(deps))
