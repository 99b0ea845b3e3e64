"""`outlay simulate`: deterministic simulation under faults."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from outlay.cli.flows import load_flow
from outlay.cli.inputs import InputType
from outlay.cli.options import debug_option, json_option
from outlay.cli.problems import ERROR, Problem, Quiet

if TYPE_CHECKING:
    from outlay.sim.schedule import Outcome

_SEEDS = re.compile(r"(\d{1,12}):(\d{1,12})\Z")
_MOST_SHOWN = 20


class Seeds(click.ParamType[range]):
    name = "FROM:TO"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> range:
        if isinstance(value, range):
            return value
        found = _SEEDS.match(str(value))
        if found is None or int(found[1]) >= int(found[2]):
            self.fail(f"{value!r} is not FROM:TO, two whole numbers such as 0:1000 (TO is not played)", param, ctx)
        return range(int(found[1]), int(found[2]))


@click.command("simulate")
@click.argument("flow", required=False)
@click.option("--seeds", type=Seeds(), default="0:200", show_default=True, help="Which seeds to play; TO is left out.")
@click.option("--input", "given", metavar="TEXT", default="go", show_default=True, help="The input of FLOW.")
@json_option
@debug_option
def command(flow: str | None, seeds: range, given: str, as_json: bool) -> None:
    """Play runs under faults, crashes and rivals on virtual time, and hold the laws against what they leave.

    Without FLOW each seed grows a flow of its own. With FLOW its agents answer as their offline stand-ins do, behind a
    simulated provider that fails; its tools run for real. A seed that breaks a law is printed with the command that
    plays it again.
    """
    from outlay.sim.seeds import play_all, random_flows

    if flow is not None:
        _check(flow, given)  # what is wrong with it is said once, and before other processes begin

    play = random_flows if flow is None else partial(of_flow, flow, given)
    shown = sys.stderr.isatty() and not as_json

    def progress(done: int, failed: int) -> None:
        if shown:
            click.echo(f"\r{done:,} of {len(seeds):,} seeds · {failed} failed", err=True, nl=done == len(seeds))

    summary = play_all(seeds, play, on_progress=progress)
    failed = [
        {"seed": outcome.seed, "violations": list(outcome.violations), "replay": _replay(flow, given, outcome.seed)}
        for outcome in summary.failed
    ]
    if as_json:
        document = {"seeds": summary.seeds, "calls": summary.calls, "violations": summary.violations}
        click.echo(json.dumps(document | {"seconds": round(summary.seconds, 1), "failed": failed}, indent=2))
    else:
        rate = summary.seeds / summary.seconds
        click.echo(
            f"{summary.seeds:,} seeds · {summary.calls:,} calls · {summary.violations:,} violations · "
            f"{summary.seconds:.1f} s ({rate:,.0f} seeds/s)"
        )
        for outcome in summary.failed[:_MOST_SHOWN]:
            click.echo(f"\nseed {outcome.seed}: {'; '.join(outcome.violations[:3])}")
            click.echo(f"  {_replay(flow, given, outcome.seed)}")
        if len(failed) > _MOST_SHOWN:
            click.echo(f"\nand {len(failed) - _MOST_SHOWN:,} more: --json has them all")
    if failed:
        raise Quiet(ERROR)


def of_flow(flow: str, given: str, seeds: Sequence[int]) -> list[Outcome]:
    """The seeds with a flow of the user's."""
    from outlay.sim.schedule import simulate

    root = load_flow(flow)
    return [simulate(seed, root, InputType(root).read(given, "--input")) for seed in seeds]


def _check(flow: str, given: str) -> None:
    from outlay.errors import ConfigError
    from outlay.sim.schedule import Schedule

    root = load_flow(flow)
    try:
        Schedule(0, root, InputType(root).read(given, "--input"), None)
    except ConfigError as error:
        raise Problem(f"{flow} cannot be simulated: {error.message}", next=error.hint) from error


def _replay(flow: str | None, given: str, seed: int) -> str:
    named = [] if flow is None else [flow]
    said = [] if given == "go" else ["--input", given]
    return shlex.join(["outlay", "simulate", *named, "--seeds", f"{seed}:{seed + 1}", *said])
