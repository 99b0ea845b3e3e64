"""`outlay claims`: the published arithmetic of this field beside ours."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import Any

import click

from outlay.cli.options import debug_option, json_option
from outlay.forecast.claims import Claim, all_claims, page

_SIGNS = {"holds": "✓", "holds only if": "?", "wrong": "✗", "ours only": "·", "cited": "·"}


@click.command("claims")
@click.option("--markdown", is_flag=True, help="The page of the documentation (docs/claims.md).")
@json_option
@debug_option
def command(markdown: bool, as_json: bool) -> None:
    """Recompute the published arithmetic of this field: claim, source, ours, verdict.

    The figures come out of the code behind `outlay forecast`; none is written down.
    """
    if markdown:
        click.echo(page(), nl=False)
    elif as_json:
        claims = [_document(claim) for claim in all_claims()]
        click.echo(json.dumps({"claims": claims}, ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_lines()))


def _document(claim: Claim) -> dict[str, Any]:
    return {**asdict(claim), "verdict": claim.verdict, "printed": claim.printed, "ours": claim.ours}


def _lines() -> list[str]:
    lines: list[str] = []
    for section, group in groupby(all_claims(), key=lambda claim: claim.section):
        lines += [*([""] if lines else []), section]
        for claim in group:
            condition = f" {claim.only_if}" if claim.only_if and claim.verdict == "holds only if" else ""
            lines.append(f"  {_SIGNS[claim.verdict]} {claim.claim}: {claim.verdict}{condition}")
            lines += [f"      {name:<8}{text}" for name, text in _facts(claim) if text]
    return lines


def _facts(claim: Claim) -> list[tuple[str, str]]:
    printed = "" if claim.printed == claim.ours else claim.printed
    return [("printed", printed), ("ours", claim.ours), ("note", claim.note), ("source", claim.source)]
