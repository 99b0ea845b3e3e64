"""What became of the batches that model calls went out in, as their ends tell it."""

from __future__ import annotations

from collections.abc import Iterable

from outlay.analysis.text import one_line
from outlay.events.records import BatchEnded


def problem_of(batch: BatchEnded) -> str:
    """What went wrong in a batch, in words; empty if nothing did."""
    fates = [
        f"{number:,} {word}"
        for number, word in (
            (batch.failed, "failed"),
            (batch.expired, "expired"),
            (batch.cancelled, "cancelled"),
            (batch.missing, "missing"),
        )
        if number
    ]
    strange = [
        f"{number:,} {one if number == 1 else many}"
        for number, one, many in (
            (batch.duplicate, "answer came twice", "answers came twice"),
            (batch.unknown, "answer to what was never asked", "answers to what was never asked"),
            (batch.unreadable, "line is no JSON", "lines are no JSON"),
        )
        if number
    ]
    if not fates and not strange:
        return ""
    whole = f"{batch.requests - batch.answered:,} of {batch.requests:,} not answered ({', '.join(fates)})"
    return f"batch {one_line(batch.batch, 60)}: " + " · ".join([whole] * bool(fates) + strange)


def distinct(batches: Iterable[BatchEnded]) -> tuple[BatchEnded, ...]:
    """Each batch once, as it was seen last: whoever goes on after a crash sees its end again."""
    found: dict[tuple[str, str], BatchEnded] = {}
    for batch in batches:
        found[batch.provider, batch.batch] = batch
    return tuple(found.values())
