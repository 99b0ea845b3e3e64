"""What a router decided."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Routed:
    """The label, its confidence (None where the classifier gave none), and why this route was taken."""

    label: str
    confidence: float | None
    reason: str
