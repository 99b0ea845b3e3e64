"""What a run waits for, and what was decided: an item of the inbox, and its stored form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, cast

#: Written into every stored item; one of a newer version is refused rather than half understood.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision. `time` in seconds since the epoch, `denied`: the answer is no; `result` is what an effect in doubt
    gave, as far as whoever decided knows."""

    answer: str
    by: str = ""
    reason: str = ""
    time: float = 0.0
    denied: bool = False
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """What a run waits for: an answer of a human, or a budget to be raised.

    `kind` is ask, approval, in_doubt, budget or watchdog; `action` is the tool, and `arguments` are all of its
    arguments. `id` is the item's name in the inbox. `spent` in US dollars is what the run had cost when it asked (the
    known part), `created` and `deadline` are in seconds since the epoch; when the deadline passes, `default`
    is the answer. `closed`: nobody waits for it any more.
    """

    kind: str
    path: str
    question: str
    options: tuple[str, ...] = ()
    id: str = ""
    run_id: str = ""
    action: str = ""
    arguments: Mapping[str, Any] | None = None
    spent: Decimal = Decimal(0)
    created: float = 0.0
    deadline: float | None = None
    default: str | None = None
    decision: Decided | None = None
    closed: bool = False

    def is_expired(self, now: float) -> bool:
        """Nobody decided in time."""
        return self.decision is None and self.deadline is not None and now >= self.deadline

    @property
    def on_expiry(self) -> Decided | None:
        """What the deadline decides, None where that is a failure."""
        if self.deadline is None or self.default is None:
            return None
        return Decided(self.default, "deadline", "nobody answered in time", self.deadline)


def dump(item: Pending) -> bytes:
    """The stored form. Arguments that JSON lacks become text; any text can be written, halves of characters too."""
    body: dict[str, Any] = {field.name: getattr(item, field.name) for field in fields(item) if field.name != "closed"}
    if item.decision is not None:
        body["decision"] = {field.name: getattr(item.decision, field.name) for field in fields(Decided)}
    return json.dumps({"version": VERSION, **body}, default=str).encode()


def load(body: bytes, *, closed: bool = False) -> Pending:
    """The item that `dump` wrote. Raises ValueError for anything else."""
    found: Any = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not an item of an inbox")
    values = cast("dict[str, Any]", found)
    if values.pop("version", None) != VERSION:
        raise ValueError("an item of another version of Outlay")
    try:
        decision = values.pop("decision")
        item = Pending(**values, closed=closed)
        return replace(
            item,
            options=tuple(item.options),
            spent=Decimal(item.spent),
            decision=None if decision is None else Decided(**decision),
        )
    except (TypeError, KeyError, ArithmeticError) as error:
        raise ValueError(f"not an item of an inbox: {error}") from None
