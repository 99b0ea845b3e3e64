"""`outlay frontier`: designs of a flow side by side, and what a tighter budget does to it."""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from outlay.cli.flows import load_attribute, load_flow
from outlay.cli.foreseeing import (
    declared_of,
    deps_of,
    foresight_options,
    inputs_of,
    known_of,
    read_text,
    write,
)
from outlay.cli.options import amount, debug_option, json_option, seconds_above_zero, share, store_if_any, store_option
from outlay.cli.problems import Problem
from outlay.cli.setting import results_only_on_stdout
from outlay.forecast import Expect
from outlay.forecast.frontier import Frontier, Limits, Measured, Space, Sweep, frontier, space_of, sweep, written
from outlay.forecast.frontier.language import Written, from_toml
from outlay.forecast.frontier.search import MOST
from outlay.protocols.node import Node


@click.command("frontier")
@click.argument("flow", metavar="FLOW")
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="LEVER=SETTINGS|FILE",
    help="What may change; several times. A .toml file, or FILE.py:NAME. Default: what the flow suggests.",
)
@click.option("--max-usd", type=amount, metavar="USD", help="The cheapest design must cost at most this, in the mean.")
@click.option("--max-seconds", type=seconds_above_zero, metavar="SECONDS", help="… take at most this, in 95 % of runs.")
@click.option("--min-success", type=share, metavar="SHARE", help="… succeed at least this often (0.95).")
@click.option("--single", default="", metavar="AGENT", help="One call of this agent is what flows are held against.")
@click.option("--sweep", "sweeps", is_flag=True, help="Instead: the flow at 100, 75, 50, 25 and 10 % of what it takes.")
@click.option("--n", type=click.IntRange(1), help="Runs of each design (400), or at each limit of a sweep (1,000).")
@click.option("--most", type=click.IntRange(1), default=MOST, show_default=True, help="Designs that a space may have.")
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Write the scatter plot there.")
@foresight_options
@store_option
@json_option
@debug_option
def command(
    flow: str,
    spaces: tuple[str, ...],
    max_usd: Decimal | None,
    max_seconds: float | None,
    min_success: float | None,
    single: str,
    sweeps: bool,
    n: int | None,
    most: int,
    svg: Path | None,
    given: str | None,
    rows: Path | None,
    seed: int,
    fit: bool,
    assume: Path | None,
    rights: tuple[str, ...],
    deps: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Alternatives of FLOW: those that nothing beats in dollars, P95 seconds and success, and the change to make.

    Levers: models, cascade, cache, retries, rounds, samples, parallel, without, lane. Nothing is spent.

    \b
        outlay frontier triage.py:triage --space "models=reply:anthropic:claude-haiku-4-5|openai:gpt-5.4-mini" \\
            --space retries=0..2 --max-usd 0.004 --min-success 0.95
        outlay frontier triage.py:triage --sweep
    """
    with results_only_on_stdout():
        root = load_flow(flow)
        space, expected = _space(root, spaces)
        declared = declared_of(root, assume, rights, expected)
        stored = store_if_any(store, "to forecast without stored runs") if fit else None
        assumptions = known_of(root.name, stored).fitted.under(declared)
        inputs, made = inputs_of(root, given, rows), deps_of(deps)
        if sweeps:
            if svg is not None or spaces:
                raise Problem(
                    "a sweep looks at one flow: it has no space and no plot", next="leave --space and --svg out"
                )
            found = sweep(root, inputs, n=n or 1_000, assumptions=assumptions, seed=seed, deps=made)
        else:
            limits = Limits(None if max_usd is None else float(max_usd), max_seconds, min_success)
            found = frontier(
                root,
                inputs,
                space=space,
                n=n or 400,
                limits=limits,
                assumptions=assumptions,
                seed=seed,
                deps=made,
                most=most,
                single=single,
            )
            if svg is not None:
                write(svg, found.svg())
    click.echo(json.dumps(_document(found), ensure_ascii=False, indent=2) if as_json else found.render())


def _space(root: Node[Any, Any], spaces: tuple[str, ...]) -> tuple[Space | None, dict[str, Expect]]:
    """The space that the options mean together, None without any; and what their files expect of agents."""
    said: list[Written] = []
    expected: dict[str, Expect] = {}
    for text in spaces:
        if "=" in text:
            said += written(text)
        elif text.endswith(".toml"):
            levers, theirs = from_toml(read_text(Path(text)), text)
            said += levers
            expected |= theirs
        else:
            given = load_attribute(text, "--space")
            if not isinstance(given, Space | str):
                raise Problem(
                    f"{text} is no space", next='a Space of outlay.forecast.frontier, or text: "retries=0..2"'
                )
            if isinstance(given, Space):
                if len(spaces) > 1:
                    raise Problem(f"{text} is a whole space: nothing can be added to it", next="one --space only")
                return given, expected
            said += written(given)
    return (space_of(root, said) if said else None), expected


def _document(found: Frontier | Sweep) -> dict[str, Any]:
    if isinstance(found, Sweep):
        return asdict(found)
    best = {one.design.picks for one in found.best}
    return {
        "flow": found.flow,
        "runs": found.runs,
        "seed": found.seed,
        "size": found.space.size,
        "levers": {lever.name: [choice.label for choice in lever.choices] for lever in found.space.levers},
        "left_out": found.space.left_out,
        "base": _figures(found.base),
        "frontier": [_figures(one) for one in found.best],
        "designs": [{**_figures(one), "on_frontier": one.design.picks in best} for one in found.measured],
        "impossible": [{"design": str(design), "reason": reason} for design, reason in found.impossible],
        "failures": found.failures,
        "limits": asdict(found.limits),
        "cheapest": None if found.cheapest is None else _figures(found.cheapest),
        "nearest": None if found.nearest is None else _figures(found.nearest),
        "swings": [asdict(one) for one in found.swings],
        "single": None if found.single is None else {**_figures(found.single), "of": found.of},
        "single_batch": None if found.single_batch is None else _figures(found.single_batch),
        "smallest_better": None if found.smallest is None else _figures(found.smallest),
        "unasked": found.unasked,
        "success_counts_right": found.judged,
        "taken_as_right": found.silent,
        "assumed": [asdict(one) for one in found.assumed],
        "took": found.took,
    }


def _figures(one: Measured) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in Measured.__slots__ if name != "design"},
        "per_dollar": one.per_dollar if one.dollars else None,  # JSON knows no infinity
        "changes": [{**asdict(change), "text": str(change)} for change in one.design.changes],
    }
