"""`outlay trace`: what a run did, call by call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

import click

from outlay.analysis.bill import Bill
from outlay.analysis.contents import Contents
from outlay.analysis.text import plain
from outlay.analysis.trace import COLUMNS, CallRow, jsonl
from outlay.analysis.trace import trace as rows_of
from outlay.analysis.tree import tree
from outlay.cli.options import debug_option, store_option
from outlay.cli.stored import events_of, find, reading
from outlay.events import CallFailed, CallFinished, CallStarted, Event
from outlay.protocols.store import Store


@click.command("trace")
@click.argument("run", metavar="RUN")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "jsonl", "html"]),
    default="text",
    show_default=True,
    help="A tree, a row a call, or a page.",
)
@click.option(
    "--content/--no-content",
    default=None,
    help="With inputs and outputs, or without. Default: with in jsonl, without in text and html.",
)
@store_option
@debug_option
def command(run: str, form: str, content: bool | None, store: str | None) -> None:
    """Show what a run did: every node, every attempt at a model, every tool.

    RUN is an id, the beginning of one, or `last`. jsonl has a row an attempt: time, trace_id, path, agent, model,
    returned_model, the four token counts, ttft_ms, latency_ms, stop_reason, tools, thinking, confidence, route,
    retries, error_type, cost, and the full input and output unless --no-content.

    \b
        outlay trace last
        outlay trace 7f3a --format jsonl --no-content > calls.jsonl
        outlay trace last --format html > run.html
    """
    with_content = form == "jsonl" if content is None else content

    async def read(opened: Store) -> tuple[list[Event], list[CallRow]]:
        events = await events_of(opened, await find(opened, run))
        if with_content:
            return events, await _rows_with_contents(opened, events)
        # What a model thought is content, too.
        return events, [replace(row, thinking="") for row in rows_of(events)]

    events, rows = reading(store, read)
    if form == "jsonl":
        for line in jsonl(rows):
            click.echo(line)
    elif form == "html":
        click.echo(_page(events, rows))
    else:
        click.echo("\n\n".join([tree(events), *(_spoken(row) for row in rows if with_content)]))


async def _rows_with_contents(store: Store, events: Sequence[Event]) -> list[CallRow]:
    """The rows with what each call was given and said, as far as the store still has it."""
    contents = Contents(events)
    while digests := contents.missing():
        contents.add(digests, await store.blobs(digests))
    rows = rows_of(events, inputs=contents.inputs, outputs=contents.outputs)
    starts: dict[tuple[str, str, str, int], str] = {}
    preludes: list[str] = []
    for event in events:
        if isinstance(event, CallStarted):
            starts[event.run, event.path, event.key, event.attempt] = event.prelude
        elif isinstance(event, CallFinished | CallFailed):
            preludes.append(starts.get((event.run, event.path, event.key, event.attempt), ""))
    stored = await store.blobs([bytes.fromhex(prelude) for prelude in sorted(set(preludes)) if prelude])
    given = {digest.hex(): _instructions(content) for digest, content in stored.items()}
    return [
        row if row.input is None else replace(row, input=given.get(prelude, "") + row.input)
        for row, prelude in zip(rows, preludes, strict=True)
    ]


def _instructions(prelude: bytes) -> str:
    """What every call of an agent begins with: its instructions, its tools, the schema of its output."""
    fixed: dict[str, Any] = json.loads(prelude)
    tools = ", ".join(tool["name"] for tool in fixed.get("tools") or ())
    schema = fixed.get("output")
    parts = [*(f"system: {text}" for text in fixed.get("system") or ())]
    parts += [f"tools: {tools}"] if tools else []
    parts += [f"output: {schema if isinstance(schema, str) else json.dumps(schema)}"] if schema else []
    return "".join(part + "\n\n" for part in parts)


def _spoken(row: CallRow) -> str:
    """A call's input and output below the tree."""
    lines = [f"── {row.path} · {row.agent} · {row.model}"]
    for name, text in (("input", row.input), ("output", row.output), ("thinking", row.thinking)):
        if text:
            lines.append(f"{name}:\n" + "\n".join(f"  {line}" for line in plain(text).splitlines()))
    return "\n".join(lines)


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
       color: #1c1c1c; background: #fff }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem }
pre { overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px } th, td { text-align: left; padding: .25rem .75rem .25rem 0;
       border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; vertical-align: top }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #161616 } th, td { border-color: #444 } }
"""
#: The trace's columns that a page shows: which run it is stands above, and thinking below.
_SHOWN = tuple(name for name in COLUMNS if name not in ("time", "trace_id", "thinking"))


def _page(events: Sequence[Event], rows: Sequence[CallRow]) -> str:
    """One file without scripts: the bill, the tree, the calls. Everything in it is escaped."""
    head = "".join(f"<th scope=col>{escape(name.replace('_', ' '))}</th>" for name in _SHOWN)
    cells = ("".join(f"<td>{_cell(getattr(row, name))}</td>" for name in _SHOWN) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    spoken = "".join(
        f"<details><summary>{escape(plain(row.path))}</summary><pre>{escape(_spoken(row))}</pre></details>"
        for row in rows
        if row.input or row.output
    )
    contents = f"<h2>Inputs and outputs</h2>{spoken}" if spoken else ""
    title = escape(plain(f"Outlay run {rows[0].trace_id if rows else ''}".strip()))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<div class=wide>{Bill.of(events)._repr_html_()}</div>"  # pyright: ignore[reportPrivateUsage]
        f"<h2>Trace</h2><pre>{escape(tree(events))}</pre>"
        "<h2>Calls</h2><div class=wide tabindex=0><table>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"{contents}</body></html>"
    )


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))  # pyright: ignore
    return "" if value is None else escape(plain(str(value)))
