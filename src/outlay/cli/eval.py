"""`outlay eval`: measure what a policy keeps and what it loses."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.options import amount, debug_option, json_option, store_option
from outlay.cli.problems import ERROR, Problem, Quiet

if TYPE_CHECKING:
    from outlay import Agent, Compaction
    from outlay.evals.canaries import Canary
    from outlay.evals.compactions import Shortened

_MOST_SEEDS = 1_000
_SHOWN = 10


@click.group("eval")
@debug_option
def command() -> None:
    """Measure what a policy keeps and what it loses."""


@command.command("compaction")
@click.option("--flow", metavar="FLOW", help="With the Compaction of this flow's agent. Default: Compaction().")
@click.option("--agent", metavar="NAME", help="Which agent of the flow, where several have one.")
@click.option("--run", "run_name", metavar="RUN", help="Over a recorded run instead of made-up sessions; or `last`.")
@click.option("--canaries", metavar="FILE", type=click.Path(path_type=Path), help="Your own questions, for --run.")
@click.option("--turns", type=click.IntRange(4, 1_000), default=60, show_default=True, help="Turns of a session.")
@click.option("--seeds", metavar="FROM:TO", default="0:3", show_default=True, help="Which sessions.")
@click.option(
    "--models",
    type=click.Choice(["live", "offline"]),
    default="offline",
    show_default=True,
    help="Who writes the summaries: the flow's model, paid, or code.",
)
@click.option(
    "--budget",
    type=amount,
    metavar="USD",
    default="0.50",
    show_default=True,
    help="Of a session's summaries.",
)
@store_option
@json_option
@debug_option
def compaction_command(
    flow: str | None,
    agent: str | None,
    run_name: str | None,
    canaries: Path | None,
    turns: int,
    seeds: str,
    models: str,
    budget: Decimal,
    store: str | None,
    as_json: bool,
) -> None:
    """Ask before and after a compaction: what was the third tool call, which file failed, which decision was taken?

    Over coding sessions made by a program, each played with and without compaction, or over a recorded run: the
    compactions that it made, or, where it made none, what they would have been. The answers are looked up in what the
    model would be sent. Offline the summaries are written by code, which proves what is carried and says nothing of a
    model's reading. CANARIES is a JSONL file with question and expected on each line.

    Exit code 1 if a must-survive field was lost.
    """
    if canaries is not None and run_name is None:
        raise Problem("--canaries are questions about a recorded run", next="name it with --run RUN, or `last`")
    owner, compaction = _settings(flow, agent)
    if run_name is not None:
        found = _over_run(run_name, store, compaction, [] if canaries is None else _read(canaries))
        by = "as recorded"
    else:
        found = _over_sessions(owner, compaction, _range(seeds), turns, budget, live=models == "live")
        by = "summaries by the flow's model" if models == "live" else "summaries by code"
    if as_json:
        click.echo(json.dumps(_document(found), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_lines(found, by)))
    raise Quiet(ERROR if any(one.lost for one in found) else 0)


def _settings(flow: str | None, name: str | None) -> tuple[Agent[Any] | None, Compaction]:
    """The agent whose compaction is measured, and the compaction."""
    from outlay import Agent, Compaction

    if flow is None:
        if name is not None:
            raise Problem(f"--agent {name} is an agent of which flow?", next="add --flow FLOW")
        return None, Compaction()
    from outlay.cli.flows import load_flow
    from outlay.cli.setting import results_only_on_stdout
    from outlay.runtime.preflight import walk

    with results_only_on_stdout():
        agents = [node for node in walk(load_flow(flow)) if isinstance(node, Agent)]
    having = [one for one in agents if one.compaction is not None and name in (None, one.name)]
    if not having:
        which = f"no agent {name!r} with a compaction" if name else "no agent with a compaction"
        raise Problem(f"{flow} has {which}", next="write Agent(…, compaction=Compaction())")
    if len(having) > 1:
        names = ", ".join(one.name for one in having)
        raise Problem(f"{len(having)} agents of {flow} have a compaction: {names}", next=f"--agent {having[0].name}")
    assert having[0].compaction is not None
    return having[0], having[0].compaction


def _over_sessions(
    owner: Agent[Any] | None, compaction: Compaction, seeds: range, turns: int, budget: Decimal, *, live: bool
) -> list[Shortened]:
    from outlay.evals.compactions import on_sessions
    from outlay.models.naming import resolve

    writer = None
    if live:
        if owner is None:
            raise Problem("--models live: whose model is to write the summaries?", next="name it with --flow FLOW")
        choice = compaction.model or owner.models[0]
        writer = resolve(choice) if isinstance(choice, str) else choice
    return asyncio.run(on_sessions(compaction, seeds, turns, writer, **({"usd": budget} if live else {})))


def _over_run(name: str, store: str | None, compaction: Compaction, own: Sequence[Canary]) -> list[Shortened]:
    from outlay.cli.stored import find, reading
    from outlay.evals.compactions import on_run

    async def work(opened: Any) -> list[Shortened]:
        return await on_run(opened, await find(opened, name), compaction, own)

    return reading(store, work)


def _read(path: Path) -> list[Canary]:
    from outlay.evals.canaries import Canary

    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"cannot read {path}: {error}") from None
    found: list[Canary] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
            question, expected = row["question"], row["expected"]
            if not (isinstance(question, str) and isinstance(expected, str) and expected.strip()):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Problem(
                f"{path}, line {number}: not a canary",
                next='write {"question": "which order was refunded?", "expected": "ORD-17"} on each line',
            ) from None
        found.append(Canary(question, expected))
    return found


def _range(seeds: str) -> range:
    first, colon, last = seeds.partition(":")
    try:
        chosen = range(int(first), int(last) if colon else int(first) + 1)
    except ValueError:
        raise Problem(f"--seeds {seeds} is no range", next="write --seeds 0:3") from None
    if not 0 < len(chosen) <= _MOST_SEEDS or chosen.start < 0:
        raise Problem(f"--seeds {seeds}: between 1 and {_MOST_SEEDS:,} of them", next="write --seeds 0:3")
    return chosen


def _lines(found: Sequence[Shortened], by: str) -> list[str]:
    from outlay.analysis.text import one_line
    from outlay.cli.words import dollars
    from outlay.values.counted import counted

    times, refused = sum(one.times for one in found), sum(one.refused for one in found)
    before, after = sum(one.characters_before for one in found), sum(one.characters_after for one in found)
    head = [counted(len(found), "conversation"), f"shortened {times:,} times", by]
    if refused:
        head.append(f"{counted(refused, 'summary').replace('summarys', 'summaries')} refused")
    rows = [("field", "must survive", "before", "after"), *_rows(found)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = [" · ".join(head), "", *table, "", f"{before:,} characters before, {after:,} after"]
    costs = [one.cost for one in found if one.cost is not None]
    if costs:
        lines.append(f"the summaries cost {dollars(sum(costs, Decimal(0)))}")
    lost = [(one, probe) for one in found for probe in one.lost]
    lines.append(
        f"lost {counted(len(lost), 'answer')} that had to survive" if lost else "every must-survive field is there"
    )
    for one, probe in lost[:_SHOWN]:
        lines.append(f"✗ {one_line(one.what, 60)}: {one_line(probe.canary.question, 60)}")
        lines.append(f"  {one_line(probe.canary.expected, 110)}")
    if lost[_SHOWN:]:
        lines.append(f"  … {len(lost) - _SHOWN:,} more")
    return lines


def _rows(found: Sequence[Shortened]) -> list[tuple[str, str, str, str]]:
    """One for each field: how many answers there were, and are."""
    asked: Counter[tuple[str, bool]] = Counter()
    was, now = asked.copy(), asked.copy()
    for probe in (probe for one in found for probe in one.probes):
        key = (probe.canary.field or "your own", probe.must)
        asked[key] += 1
        was[key] += probe.before
        now[key] += probe.before and probe.after
    return [
        (field, "yes" if must else "no", f"{was[field, must]:,} of {number:,}", f"{now[field, must]:,}")
        for (field, must), number in asked.items()
    ]


def _document(found: Sequence[Shortened]) -> dict[str, Any]:
    return {
        "lost": sum(len(one.lost) for one in found),
        "conversations": [
            {
                "what": one.what,
                "characters_before": one.characters_before,
                "characters_after": one.characters_after,
                "shortened": one.times,
                "refused": one.refused,
                "cost": None if one.cost is None else f"{one.cost:f}",
                "canaries": [
                    {
                        "question": probe.canary.question,
                        "expected": probe.canary.expected,
                        "field": probe.canary.field,
                        "must_survive": probe.must,
                        "before": probe.before,
                        "after": probe.after,
                    }
                    for probe in one.probes
                ],
            }
            for one in found
        ],
    }
