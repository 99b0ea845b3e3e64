"""`outlay doctor --store`: what is in a store, and what in it is not as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from outlay.protocols.store import Store
from outlay.runtime.integrity import Health, examine
from outlay.values.counted import counted

#: Name, state, text, and what to do next: the parts of a finding.
Parts: TypeAlias = tuple[str, Literal["ok", "note", "broken"], str, str]
_NEXT = "restore the store from a copy; `outlay runs export` still takes runs that are whole out of this one"
_NAMED = 8


async def look(store: Store) -> tuple[list[Parts], int]:
    """What was found, and the number of runs."""
    health = await examine(store)
    return list(_parts(health)), health.runs


def _parts(health: Health) -> Iterator[Parts]:
    yield "events", "ok", f"{health.events:,} · {_size(health.event_bytes)}", ""
    yield "contents", "ok", f"{health.contents:,} · {_size(health.content_bytes)}", ""
    yield "documents", "ok", f"{health.documents:,} · {_size(health.document_bytes)}", ""
    standing = [
        counted(health.runs, "run"),
        f"{health.going:,} going",
        f"{health.waiting:,} waiting for a human",
        f"{health.pruned:,} without contents",
    ]
    yield "runs", "ok", " · ".join(standing), ""
    if health.broken_off:
        named = ", ".join(health.broken_off[:_NAMED]) + (" …" if len(health.broken_off) > _NAMED else "")
        text = f"{counted(len(health.broken_off), 'run')} broke off: {named}"
        yield "broken off", "note", text, "run each again under its run_id to go on, or leave it to `outlay runs prune`"
    if health.owners:
        gone = f", {health.dead:,} of them gone" if health.dead else ""
        yield "owners", "ok", f"{counted(health.owners, 'lease')} of processes{gone}", ""
    for i, trouble in enumerate(health.troubles):
        last = i == len(health.troubles) - 1
        yield "damage", "broken", f"{trouble.where}: {trouble.what}", _NEXT if last else ""
    if not health.troubles:
        yield "integrity", "ok", "everything is as it was written", ""


def _size(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"
