"""`outlay doctor --live`: ask each provider once, after saying what that costs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import click

from outlay.analysis.text import one_line
from outlay.cli.problems import Problem
from outlay.errors import ConfigError

if TYPE_CHECKING:
    from outlay.runtime.live import Answered, Probe

#: name, state, text, next: a finding of the doctor.
Parts = tuple[str, Literal["ok", "note", "broken"], str, str]
_WIDTH = 160


def look(models: Sequence[str], *, yes: bool, as_json: bool) -> list[Parts]:
    """Ask, once somebody has agreed to the price. Raises Problem where nobody is there to agree."""
    from outlay.runtime.live import CHEAPEST, Probe, probe

    names = list(models) or [model for key, model in CHEAPEST.items() if os.environ.get(key)]
    if not names:
        return [("live", "note", "no provider has a key: nobody was asked", f"set {' or '.join(CHEAPEST)}")]
    findings: list[Parts] = []
    probes: list[Probe] = []
    for name in dict.fromkeys(names):
        try:
            probes.append(Probe.of(name))
        except ConfigError as error:
            findings.append((f"live {name}", "broken", error.message, error.hint))
    if not probes or not _agreed(probes, yes=yes, as_json=as_json):
        return findings or [("live", "note", "nobody was asked", "")]

    async def ask() -> list[Answered]:
        return await asyncio.gather(*map(probe, probes))

    return findings + [_finding(one) for one in asyncio.run(ask())]


def _agreed(each: Sequence[Probe], *, yes: bool, as_json: bool) -> bool:
    if not yes and (as_json or not is_terminal()):
        raise Problem(
            "--live pays for a call, and there is nobody to ask here", *map(_price, each), next="add --yes to agree"
        )
    width = max(len(one.model) for one in each)
    click.echo(f"asks {'it' if len(each) == 1 else 'each'} for one word:", err=True)
    for one in each:
        click.echo(f"  {one.model:{width}}  {_price(one).partition(' ')[2]}", err=True)
    known = [one.worst for one in each if one.worst is not None]
    if len(each) > 1 and len(known) == len(each):
        click.echo(f"  {'together':{width}}  at most ${sum(known, Decimal(0)):,.6f}", err=True)
    return yes or click.confirm("Go on?", err=True)


def _price(one: Probe) -> str:
    if one.worst is not None:
        return f"{one.model} at most ${one.worst:,.6f}"
    from outlay.protocols.prices import did_you_mean
    from outlay.runtime.directory import default_prices

    guess = did_you_mean(default_prices(), one.model).rstrip()
    return f"{one.model} at a price that is not known{f': {guess}' if guess else ''}"


def _finding(one: Answered) -> Parts:
    name = f"live {one.model}"
    if one.error:
        hint = one.hint or "look at the address, the network, and the provider's own status page"
        return name, "broken", one_line(f"{one.error} (after {one.seconds:.1f} s)", _WIDTH), one_line(hint, _WIDTH)
    cost = "unpriced" if one.cost is None else f"${one.cost:,.6f}"
    version = f" · {one_line(one.returned, 60)}" if one.returned else ""
    return name, "ok", f"answered in {one.seconds:.1f} s · {cost}{version}", ""


def is_terminal() -> bool:
    """Is somebody there to agree?"""
    return sys.stdin.isatty()
