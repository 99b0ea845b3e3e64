"""`outlay check`: what can be said of a flow before it runs. It spends nothing and calls nobody."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.options import debug_option, json_option
from outlay.cli.problems import Problem, Quiet

if TYPE_CHECKING:
    from outlay.runtime.checkup import CacheOutlook, Checkup

_SIGNS = {"ok": "✓", "note": "?", "broken": "✗"}


@click.command("check")
@click.argument("flow", metavar="FLOW")
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Expect so many runs within five minutes: decides what is worth caching.",
)
@click.option(
    "--models",
    type=click.Choice(["live", "offline"]),
    help="Check for real models, or for the offline stand-ins. Default: live if the flow's keys are set.",
)
@json_option
@debug_option
def command(flow: str, runs: int, models: str | None, as_json: bool) -> None:
    """Check a flow before it runs: caps, prices, limits, and what the prompt cache will do for each agent.

    Exit code 1 if something would keep it from running. Nothing is spent and nobody is called.
    """
    from outlay.cli.flows import load_flow
    from outlay.cli.lanes import choose
    from outlay.cli.setting import results_only_on_stdout
    from outlay.runtime.checkup import checkup

    with results_only_on_stdout():
        root = load_flow(flow)
        try:
            lane = choose(root, models).lane
        except Problem:
            lane = "live"  # neither can work, and the check says why
        found = checkup(root, lane, runs)
    if as_json:
        click.echo(json.dumps(_document(found), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_lines(found)))
    raise Quiet(1 if found.broken else 0)


def _document(found: Checkup) -> dict[str, Any]:
    return {
        "flow": found.flow,
        "agents": found.agents,
        "tools": found.tools,
        "findings": [asdict(finding) for finding in found.findings],
        "cache": [asdict(outlook) for outlook in found.cache],
    }


def _lines(found: Checkup) -> list[str]:
    from outlay.analysis.text import one_line

    lines = [f"{one_line(found.flow)} · {_count(found.agents, 'agent')} · {_count(found.tools, 'tool')}"]
    width = max((len(f.text) for f in found.findings if f.detail), default=0)
    for finding in found.findings:
        text = f"{one_line(finding.text, 200):{min(width, 48)}}  {one_line(finding.detail, 200)}".rstrip()
        lines.append(f"  {_SIGNS[finding.state]} {text}")
        if finding.next:
            lines.append(f"      next: {finding.next}")
    name = max((len(one.agent) for one in found.cache), default=0)
    lines += [f"  cache {one_line(one.agent, 40):{min(name, 40)}}  {_outlook(one)}" for one in found.cache]
    return lines


def _outlook(one: CacheOutlook) -> str:
    if not one.breakpoints:
        return f"none: {one.why}"
    if one.breakpoints == ("automatic",):
        where = "the provider caches by itself"
    else:
        where = f"{_count(len(one.breakpoints), 'breakpoint')} after {', '.join(one.breakpoints)}"
    words = [where, f"about {one.tokens:,} tokens"]
    if one.pays_from:
        words.append(f"pays from the {_ordinal(math.ceil(one.pays_from))} read")
    reads = "1 read" if one.reads == 1 else f"{one.reads:,.3g} reads"
    return " · ".join([*words, f"{reads} expected in 5 min"])


def _ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
