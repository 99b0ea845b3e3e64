"""`outlay simulate`: deterministic simulation under faults."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.flows import load_factory, load_flow
from outlay.cli.inputs import InputType
from outlay.cli.options import amount, debug_option, json_option
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
@click.option(
    "--budget", type=amount, metavar="USD", help="What each run may spend. Default: FLOW's own limits, if any."
)
@click.option(
    "--watchdog",
    type=click.Choice(["warn", "pause", "stop"]),
    help="Look out for runs that are stuck (the same call 5 times, 6 turns without news, 20 retries a minute).",
)
@click.option("--deps", metavar="FILE:FACTORY", help="A function that makes `ctx.deps`; it is called for each seed.")
@json_option
@debug_option
def command(
    flow: str | None,
    seeds: range,
    given: str,
    budget: Decimal | None,
    watchdog: str | None,
    deps: str | None,
    as_json: bool,
) -> None:
    """Play runs under faults, crashes and rivals on virtual time, and hold the laws against what they leave.

    Without FLOW each seed grows a flow of its own; half of them have fallbacks, hedges, breakers and a watchdog, too.
    With FLOW its agents answer as their offline stand-ins do, each model behind a simulated provider that fails; its
    tools run for real. A seed that breaks a law is printed with the command that plays it again.
    """
    from outlay.sim.seeds import play_all

    play = _Play(flow, given, budget, watchdog, deps)
    play.check()  # what is wrong is said once, and before other processes begin
    shown = sys.stderr.isatty() and not as_json

    def progress(done: int, failed: int) -> None:
        if shown:
            click.echo(f"\r{done:,} of {len(seeds):,} seeds · {failed} failed", err=True, nl=done == len(seeds))

    summary = play_all(seeds, play, on_progress=progress)
    failed = [
        {"seed": outcome.seed, "violations": list(outcome.violations), "replay": play.again(outcome.seed)}
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
            click.echo(f"  {play.again(outcome.seed)}")
        if len(failed) > _MOST_SHOWN:
            click.echo(f"\nand {len(failed) - _MOST_SHOWN:,} more: --json has them all")
    if failed:
        raise Quiet(ERROR)


@dataclass(frozen=True, slots=True)
class _Play:
    """What each seed is played with, as it was typed: other processes load it anew."""

    flow: str | None
    given: str
    budget: Decimal | None
    watchdog: str | None
    deps: str | None

    def __call__(self, seeds: Sequence[int]) -> list[Outcome]:
        from outlay.cli.setting import results_only_on_stdout
        from outlay.sim.schedule import simulate

        with results_only_on_stdout():
            given = self._given()
            return [simulate(seed, **given, deps=self._deps()) for seed in seeds]

    def check(self) -> None:
        """Raises Problem for what cannot be simulated."""
        from outlay.cli.setting import results_only_on_stdout
        from outlay.errors import ConfigError
        from outlay.sim.schedule import Schedule

        if self.flow is None:
            if self.deps is not None:
                raise Problem("--deps goes with a FLOW", next="name the flow that reads ctx.deps, or leave --deps out")
            return
        with results_only_on_stdout():
            given = self._given()
            if self.deps is not None:
                load_factory(self.deps)
            try:
                Schedule(0, **given)
            except ConfigError as error:
                raise Problem(f"{self.flow} cannot be simulated: {error.message}", next=error.hint) from error

    def again(self, seed: int) -> str:
        """The command that plays this seed again."""
        given = None if self.given == "go" else self.given
        options = (("--input", given), ("--budget", self.budget), ("--watchdog", self.watchdog), ("--deps", self.deps))
        said = [word for name, value in options if value is not None for word in (name, str(value))]
        named = [] if self.flow is None else [self.flow]
        return shlex.join(["outlay", "simulate", *named, "--seeds", f"{seed}:{seed + 1}", *said])

    def _given(self) -> dict[str, Any]:
        from outlay.policies.watchdog import Watchdog
        from outlay.values.budget import Budget

        root = None if self.flow is None else load_flow(self.flow)
        then: Any = self.watchdog
        return {
            "flow": root,
            "input": "go" if root is None else InputType(root).read(self.given, "--input"),
            "budget": None if self.budget is None else Budget(usd=self.budget),
            "watchdog": None if then is None else Watchdog(then=then),
        }

    def _deps(self) -> Any:
        from outlay.cli.foreseeing import deps_of

        return deps_of(self.deps)
