"""Labels as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.values.label import TRUSTED, Integrity, Label


def label_as_json(label: Label) -> dict[str, Any]:
    return {"integrity": label.integrity.name.lower(), "sources": sorted(label.sources), "tags": sorted(label.tags)}


def label_of(label: Mapping[str, Any] | None) -> Label:
    """The label in what `label_as_json` gave; None stands for trusted."""
    if label is None:
        return TRUSTED
    return Label(Integrity[label["integrity"].upper()], frozenset(label["sources"]), frozenset(label["tags"]))
