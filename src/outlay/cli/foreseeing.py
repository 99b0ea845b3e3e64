"""What commands that foresee have in common: inputs, what stored runs say, `deps`, and where pictures go."""

from __future__ import annotations

import asyncio
import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from outlay.analysis.runs import KINDS, runs
from outlay.cli.flows import load_factory
from outlay.cli.inputs import InputType, read_input
from outlay.cli.problems import Problem
from outlay.cli.rows import RowFile
from outlay.errors import OutlayError
from outlay.events import decode
from outlay.forecast import Assumptions, Expect, Fitted, fit_runs
from outlay.forecast.declared import assumptions_in
from outlay.forecast.track import Kept, Past, earlier, held, keep
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk
from outlay.stores.opening import open_store

#: Rows of a file that are taken as inputs, at most.
MOST_ROWS = 10_000
#: The stored kinds that are fitted.
_FITTED = ("node_started", "checked", "fact", "decision", "tool_finished")
_NOBODY: Mapping[str, Expect] = {}
Command = TypeVar("Command", bound=Callable[..., Any])


def foresight_options(command: Command) -> Command:
    """Inputs, seed, fits, what is declared, and `deps`."""
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
            click.option(
                "--assume",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="What you know better than the defaults, in TOML: [agents.NAME] output_tokens, seconds, right, …",
            ),
            click.option(
                "--right",
                "rights",
                multiple=True,
                metavar="NAME[@MODEL]=SHARE",
                help="How often what an agent (with this model) or a pattern gives is right; several times.",
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


@dataclass(frozen=True, slots=True)
class Known:
    """What a store says of a flow: fits, and how past forecasts of it did. `path` is None where there is no store."""

    path: str | None
    fitted: Fitted
    past: Past | None


async def _known(flow: str, path: str) -> Known:
    async with open_store(path) as opened:
        rows = await opened.events(None, (*_FITTED, *KINDS))
        before = await earlier(opened, flow)
    events = [decode(row.body) for row in rows]
    fits = fit_runs(events, flow)
    return Known(path, fits, held(before, runs(events)) if before else None)


async def _made(deps: str) -> Any:
    made = load_factory(deps)()
    return await made if inspect.isawaitable(made) else made


def write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        hint = f"name another file than {path}" if path.parent.is_dir() else f"mkdir -p {shlex.quote(str(path.parent))}"
        raise Problem(f"cannot write {path}: {error.strerror}", next=hint) from None


def known_of(flow: str, path: str | None) -> Known:
    """What the store at this path says of the flow; nothing, where there is none."""
    return Known(None, Fitted(0, {}, {}), None) if path is None else asyncio.run(_known(flow, path))


def keep_forecast(path: str, one: Kept) -> None:
    """Keep a forecast in the store, to be held against the runs to come. A store that cannot be written is left alone,
    and said: the forecast stands all the same."""

    async def work() -> None:
        async with open_store(path) as opened:
            await keep(opened, one)

    try:
        asyncio.run(work())
    except OutlayError as error:
        click.echo(f"the forecast was not kept: {error.message}", err=True)


def deps_of(deps: str | None) -> Any:
    return None if deps is None else asyncio.run(_made(deps))


def declared_of(
    root: Node[Any, Any], assume: Path | None, rights: Sequence[str], expected: Mapping[str, Expect] = _NOBODY
) -> Assumptions:
    """What `--assume` and `--right` declare, on top of what is `expected` already. A name that is nobody's is said."""
    given = Assumptions() if assume is None else assumptions_in(read_text(assume), str(assume))
    agents = {**expected, **given.agents}
    for text in rights:
        name, _, share = text.rpartition("=")
        try:
            right = float(share)
            if not name or not 0 <= right <= 1:
                raise ValueError
        except ValueError:
            raise Problem(f"--right {text} is not understood", next="--right reply=0.95, or reply@MODEL=0.9") from None
        agents[name] = replace(agents.get(name, Expect()), right=right)
    names = {node.name for node in walk(root)}
    said = (*(name.partition("@")[0] for name in agents), *given.routes, *given.confusion)
    if strangers := sorted({name for name in said if name not in names}):
        click.echo(f"note: nothing in {root.name} is named {', '.join(strangers)}", err=True)
    return replace(given, agents=agents)


def read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise Problem(f"cannot read {path}: {error.strerror}", next="name a file that is there") from None
    except UnicodeDecodeError:
        raise Problem(f"cannot read {path}: it is not text in UTF-8") from None
