"""What has to be known of a node or a tool before what it gave may be given again."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Keeping:
    """`shape` changes with the code, prompts and models behind it; `tenants` pay for the run; with `fresh` nothing
    stored is given again."""

    shape: str
    tenants: tuple[str, ...]
    fresh: bool


@dataclass(frozen=True, slots=True)
class SoFar:
    """What has happened below a node: its `cost` in US dollars, None if a part of it is unknown, and why its output is
    not to be kept (`unfit`), empty where it may be."""

    cost: Decimal | None
    unfit: str = ""
