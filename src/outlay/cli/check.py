"""`outlay check`: what can be said of a flow before it runs. It spends nothing and calls nobody."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.options import debug_option, json_option, store_option, store_path
from outlay.cli.problems import Problem, Quiet
from outlay.values.counted import counted

if TYPE_CHECKING:
    from outlay.advice import Advisory, Checked, Evidence
    from outlay.runtime.checkup import CacheOutlook, Checkup

_SIGNS = {"ok": "✓", "note": "?", "broken": "✗", "pass": "✓", "fail": "✗", "not known": "?"}


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
@click.option("--expect", multiple=True, metavar="AGENT=TOKENS", help="The output that an agent needs, in tokens.")
@click.option("--silence", multiple=True, metavar="ID[:NODE]", help="Leave out a warning, everywhere or at one node.")
@click.option("--holds", multiple=True, metavar="ID", help="Vouch for a point of the checklist that is not known.")
@click.option("--strict", is_flag=True, help="Exit code 1 for any warning, or point that does not hold.")
@click.option("--stored/--no-stored", default=True, help="Read what stored runs say of this flow.")
@store_option
@json_option
@debug_option
def command(
    flow: str,
    runs: int,
    models: str | None,
    expect: Sequence[str],
    silence: Sequence[str],
    holds: Sequence[str],
    strict: bool,
    stored: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Check a flow before it runs: caps, prices, limits, the prompt cache; warnings, and ten points before production.

    \b
        outlay check flow.py:triage --strict --silence dearest-model

    Exit code 1 if something would keep it from running. Nothing is spent and nobody is called. What --silence and
    --holds say can stand in outlay.toml: [check] silence = ["…"], holds = ["…"].
    """
    from outlay.advice import Evidence, Survey, checklist, read_settings, warnings_of
    from outlay.cli.flows import load_flow
    from outlay.cli.lanes import choose
    from outlay.cli.setting import results_only_on_stdout
    from outlay.runtime.checkup import checkup

    settings = read_settings().also(silence, holds)
    with results_only_on_stdout():
        root = load_flow(flow)
        try:
            lane = choose(root, models).lane
        except Problem:
            lane = "live"  # neither can work, and the check says why
        found = checkup(root, lane, runs)
        evidence = _evidence(store, root.name) if stored else Evidence()
        expected = _expected(expect, [agent.name for agent in Survey(root).agents])
        survey = Survey(root, runs, expected, evidence, webhook=bool(os.environ.get("OUTLAY_WEBHOOK")))
        warned = warnings_of(survey, settings.silence)
        points = checklist(survey, settings.holds)
    if as_json:
        click.echo(json.dumps(_document(found, warned, points, evidence), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join([*_lines(found, warned), *_points(points)]))
    failed = [point for point in points if point.state == "fail" and point.id not in settings.silence]
    raise Quiet(1 if found.broken or (strict and (warned or failed)) else 0)


def _expected(given: Sequence[str], agents: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in given:
        name, _, tokens = one.rpartition("=")
        if not tokens.isdecimal() or not name:
            raise Problem(f"--expect {one!r} is not AGENT=TOKENS", next="--expect reply=300")
        if name not in agents:
            raise Problem(f"--expect: the flow has no agent {name!r}", next=f"one of {', '.join(agents)}")
        found[name] = float(tokens)
    return found


def _evidence(store: str | None, flow: str) -> Evidence:
    """What the store says of the flow; nothing where there is none yet, and none was named."""
    from outlay.advice import Evidence, evidence_of
    from outlay.cli.stored import reading

    path = store_path(store)
    if store is None and "://" not in path and not Path(path).expanduser().is_file():
        return Evidence()
    return reading(store, lambda opened: evidence_of(opened, flow))


def _document(
    found: Checkup, warned: Sequence[Advisory], points: Sequence[Checked], evidence: Evidence
) -> dict[str, Any]:
    return {
        "flow": found.flow,
        "agents": found.agents,
        "tools": found.tools,
        "findings": [asdict(finding) for finding in found.findings],
        "warnings": [asdict(one) for one in warned],
        "cache": [asdict(outlook) for outlook in found.cache],
        "checklist": [asdict(point) for point in points],
        "stored_runs": evidence.runs,
    }


def _lines(found: Checkup, warned: Sequence[Advisory]) -> list[str]:
    from outlay.analysis.text import one_line

    lines = [f"{one_line(found.flow)} · {counted(found.agents, 'agent')} · {counted(found.tools, 'tool')}"]
    width = max((len(f.text) for f in found.findings if f.detail), default=0)
    for finding in found.findings:
        text = f"{one_line(finding.text, 200):{min(width, 48)}}  {one_line(finding.detail, 200)}".rstrip()
        lines.append(f"  {_SIGNS[finding.state]} {text}")
        if finding.next:
            lines.append(f"      next: {one_line(finding.next, 300)}")
    name = max((len(one.agent) for one in found.cache), default=0)
    lines += [f"  cache {one_line(one.agent, 40):{min(name, 40)}}  {_outlook(one)}" for one in found.cache]
    for one in warned:
        lines.append(f"  ! {one.id}: {one_line(one.what, 200)}")
        lines.append(f"      {', '.join(one.concerns)}: {one.why}")
        lines.append(f"      next: {one_line(one.change, 200)}")
    return lines


def _points(points: Sequence[Checked]) -> list[str]:
    from outlay.analysis.text import one_line

    states = [point.state for point in points]
    held, failed, unknown = states.count("pass"), states.count("fail"), states.count("not known")
    lines = [f"before production: {held} of {len(points)} hold, {failed} do not, {unknown} not known"]
    width = max(len(point.id) for point in points)
    for point in points:
        lines.append(f"  {_SIGNS[point.state]} {point.id:{width}}  {one_line(point.text, 300)}")
        if point.change:
            lines.append(f"      next: {one_line(point.change, 200)}")
    return lines


def _outlook(one: CacheOutlook) -> str:
    if not one.breakpoints:
        return f"none: {one.why}"
    if one.breakpoints == ("automatic",):
        where = "the provider caches by itself"
    else:
        where = f"{counted(len(one.breakpoints), 'breakpoint')} after {', '.join(one.breakpoints)}"
    words = [where, f"about {one.tokens:,} tokens"]
    if one.pays_from:
        words.append(f"pays from the {_ordinal(math.ceil(one.pays_from))} read")
    reads = "1 read" if one.reads == 1 else f"{one.reads:,.3g} reads"
    return " · ".join([*words, f"{reads} expected in 5 min"])


def _ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
