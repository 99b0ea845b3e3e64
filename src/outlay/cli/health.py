"""`outlay health`: how agents, tools and providers fared in the stored runs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import click

from outlay.analysis.escalation import Escalation
from outlay.analysis.health import KINDS, Health, HealthFold, Vitals
from outlay.analysis.text import one_line
from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.problems import Problem
from outlay.cli.prune import age
from outlay.cli.stored import reading
from outlay.events import decode
from outlay.protocols.store import Store
from outlay.values.counted import counted

_HEADS = ("calls", "failed", "retries", "P50", "P95", "breaker", "cache", "top", "errors")


@click.command("health")
@click.option("--since", type=age, metavar="AGE", help="Only runs that began since then: 12h, 7d, 2w. Default: all.")
@click.option("--flow", metavar="NAME", help="Only runs of the flow of this name.")
@store_option
@json_option
@debug_option
def command(since: float | None, flow: str | None, store: str | None, as_json: bool) -> None:
    """Say of each agent, tool and provider how often it was called and failed, and how long it took.

    Calls are attempts. P50 and P95 are the seconds of those that were answered, `breaker` how often its circuit opened
    (and how many calls it turned away), `cache` the share of input tokens read from the prompt cache, `top` the share
    of turns that a cascade sent to its last tier. Of each cascade it says what its tiers settled, what a turn cost and
    took with every tier that it paid for, and up to which share at the top it pays.

    \b
        outlay health
        outlay health --since 7d --json
    """

    async def read(opened: Store) -> Health:
        starts = [decode(row.body) for row in await opened.events(None, ("run_started",))]
        after = 0.0 if since is None else time.time() - since
        chosen = {s.run for s in starts if s.time >= after and flow in (None, getattr(s, "flow", ""))}
        if flow is not None and not any(getattr(s, "flow", "") == flow for s in starts):
            names = sorted({one_line(str(getattr(s, "flow", "")), 40) for s in starts})
            raise Problem(
                f"no run of a flow named {flow!r} is stored", next=f"--flow is one of {', '.join(names[:8]) or 'none'}"
            )
        fold = HealthFold()
        for row in await opened.events(None, KINDS):
            if row.run in chosen:
                fold.add(decode(row.body))
        return fold.health()

    found = reading(store, read)
    click.echo(json.dumps(document(found), ensure_ascii=False, indent=2) if as_json else rendered(found))


def rendered(found: Health) -> str:
    """A table for each kind; what models and users named is stripped of controls."""
    ends = sorted(found.runs.items(), key=lambda item: (item[0] != "completed", -item[1]))
    said = [f"{number:,} {one_line(end, 20).replace('_', ' ') or 'not ended'}" for end, number in ends]
    lines = [" · ".join([counted(found.runs.total(), "run"), *said])]
    if found.watchdog:
        lines.append("watchdog: " + " · ".join(f"{rule.replace('_', ' ')} {n:,}" for rule, n in found.watchdog.items()))
    groups = (("agent", found.agents), ("tool", found.tools), ("provider", _with_models(found)))
    width = max([len(title) for title, _ in groups] + [len(name) for _, g in groups for name, _ in _named(g)])
    for title, group in groups:
        if group:
            lines += ["", *_table(title, _named(group), min(width, 44))]
    for cascade in found.cascades:
        lines += ["", *_cascade(cascade)]
    return "\n".join(lines)


def _cascade(one: Escalation) -> list[str]:
    """How often each tier was asked and settled it, and what a turn cost and took with every tier that it paid for."""
    lines = [f"cascade {one_line(one.path, 44)} · {counted(one.turns, 'turn')}"]
    for i, tier in enumerate(one.tiers):
        ends = [("passed", tier.passed), ("refused", tier.refused), ("failed", tier.failed)]
        said = [f"{number:,} {end}" for end, number in ends if number]
        lines.append(f"  tier {i}  asked {tier.asked:,}" + "".join(f" · {words}" for words in said))
    cost = [f"P{p} {_dollars(one.cost(p))}" for p in (50, 95)]
    took = [f"P{p} {_seconds(one.latency(p))}" for p in (50, 95)]
    first = one.first_token(99)
    lines.append(
        f"  a turn: {' · '.join(cost)} · {' · '.join(took)}"
        + ("" if first is None else f" · first token P99 {_seconds(first)}")
    )
    if one.stops_paying_at is not None and one.to_top is not None:
        pays = f"it pays up to {_share(max(one.stops_paying_at, 0.0))} to the top, {_share(one.to_top)} came there"
        lines.append(f"  {pays}")
    return lines + [f"  ! {alert.partition(': ')[2]}" for alert in one.alerts]


def _dollars(amount: float | None) -> str:
    return "unpriced" if amount is None else f"${amount:,.6f}"


def _with_models(found: Health) -> Sequence[Vitals]:
    """Each provider, and below it its models where it has several."""
    rows: list[Vitals] = []
    for provider in found.providers:
        models = [model for model in found.models if model.name.partition(":")[0] == provider.name]
        rows += models if len(models) == 1 else [provider, *models]
    return rows


def _named(group: Sequence[Vitals]) -> list[tuple[str, Vitals]]:
    return [(one_line(one.name, 44), one) for one in group]


def _table(title: str, rows: Sequence[tuple[str, Vitals]], width: int) -> list[str]:
    cells = [_HEADS[:-1], *(_cells(one) for _, one in rows)]
    widths = [max(7, *(len(row[i]) for row in cells)) for i in range(len(cells[0]))]
    names = [title, *(name for name, _ in rows)]
    errors = [_HEADS[-1], *(_errors(one) for _, one in rows)]
    return [
        f"{name:{width}}  {'  '.join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))}  {words}".rstrip()
        for name, row, words in zip(names, cells, errors, strict=True)
    ]


def _cells(one: Vitals) -> tuple[str, ...]:
    turned_away = f" (+{one.refused:,})" if one.refused else ""
    return (
        f"{one.calls:,}",
        _share(one.error_rate) if one.failed else "·",
        f"{one.retries + one.corrections:,}" if one.retries + one.corrections else "·",
        _seconds(one.latency(50)),
        _seconds(one.latency(95)),
        f"{one.opened:,}{turned_away}" if one.opened or one.refused else "·",
        _share(one.cache_hit) if one.read_tokens else "·",
        "·" if one.escalated is None else _share(one.escalated),
    )


def _errors(one: Vitals) -> str:
    kinds = [f"{one_line(kind, 30)} {number:,}" for kind, number in one.errors.most_common(4)]
    return ", ".join([*kinds, *([f"sent back {one.corrections:,}"] if one.corrections else [])])


def _share(share: float | None) -> str:
    return "·" if share is None else f"{share * 100:.1f} %"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "·"
    return f"{seconds:,.2f} s" if seconds >= 0.1 else f"{seconds * 1_000:,.1f} ms"


def document(found: Health) -> dict[str, Any]:
    """The same for programs; null where there is nothing to say."""
    return {
        "runs": dict(found.runs),
        "watchdog": dict(found.watchdog),
        "agents": [_facts(one) for one in found.agents],
        "tools": [_facts(one) for one in found.tools],
        "providers": [_facts(one) for one in found.providers],
        "models": [_facts(one) for one in found.models],
        "cascades": [_cascade_facts(one) for one in found.cascades],
    }


def _cascade_facts(one: Escalation) -> dict[str, Any]:
    return {
        "path": one.path,
        "turns": one.turns,
        "tiers": [
            {"asked": t.asked, "passed": t.passed, "refused": t.refused, "failed": t.failed, "escalated": t.escalated}
            for t in one.tiers
        ],
        "to_top": one.to_top,
        "top_failures": one.top_failures,
        "p50_usd": one.cost(50),
        "p95_usd": one.cost(95),
        "p50_seconds": one.latency(50),
        "p95_seconds": one.latency(95),
        "p99_first_token": one.first_token(99),
        "stops_paying_at": one.stops_paying_at,
        "alerts": list(one.alerts),
    }


def _facts(one: Vitals) -> dict[str, Any]:
    return {
        "name": one.name,
        "calls": one.calls,
        "failed": one.failed,
        "error_rate": one.error_rate,
        "errors": dict(one.errors),
        "retries": one.retries,
        "corrections": one.corrections,
        "p50_seconds": one.latency(50),
        "p95_seconds": one.latency(95),
        "breaker_opened": one.opened,
        "breaker_refused": one.refused,
        "cache_hit": one.cache_hit,
        "escalated": one.escalated,
    }
