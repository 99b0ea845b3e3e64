"""Row: an event as a store sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One stored event: its place in its run, its kind, and its JSON."""

    run: str
    seq: int
    time: float
    kind: str
    body: bytes
