"""What became of the batches that model calls went out in: a fold over their ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from outlay.analysis.text import one_line
from outlay.events.records import BatchEnded


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """One batch, at its end; the figures are those of `BatchEnded`."""

    batch: str
    provider: str
    requests: int
    answered: int
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    missing: int = 0
    duplicate: int = 0
    unknown: int = 0
    unreadable: int = 0
    listed: tuple[str, ...] = ()

    @staticmethod
    def of(event: BatchEnded) -> BatchOutcome:
        return BatchOutcome(
            event.batch,
            event.provider,
            event.requests,
            event.answered,
            event.failed,
            event.expired,
            event.cancelled,
            event.missing,
            event.duplicate,
            event.unknown,
            event.unreadable,
            event.listed,
        )

    @property
    def problem(self) -> str:
        """What went wrong in it, in words; empty if nothing did."""
        fates = [
            f"{number:,} {word}"
            for number, word in (
                (self.failed, "failed"),
                (self.expired, "expired"),
                (self.cancelled, "cancelled"),
                (self.missing, "missing"),
            )
            if number
        ]
        strange = [
            f"{number:,} {one if number == 1 else many}"
            for number, one, many in (
                (self.duplicate, "answer came twice", "answers came twice"),
                (self.unknown, "answer to what was never asked", "answers to what was never asked"),
                (self.unreadable, "line is no JSON", "lines are no JSON"),
            )
            if number
        ]
        if not fates and not strange:
            return ""
        whole = f"{self.requests - self.answered:,} of {self.requests:,} not answered ({', '.join(fates)})"
        return f"batch {one_line(self.batch, 60)}: " + " · ".join([whole] * bool(fates) + strange)


def distinct(batches: Iterable[BatchOutcome]) -> tuple[BatchOutcome, ...]:
    """Each batch once, as it was seen last: whoever goes on after a crash sees its end again."""
    found: dict[tuple[str, str], BatchOutcome] = {}
    for batch in batches:
        found[batch.provider, batch.batch] = batch
    return tuple(found.values())
