"""The emulator's books: every request with what became of it, and the tokens billed by model.

A client's own account is checked against these: they are what a provider's invoice would say, also for
answers that the client never got.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from outlay.emulator.answer import BilledUsage
from outlay.emulator.exchange import Provider
from outlay.emulator.faults import Fault
from outlay.emulator.json import Json

Outcome: TypeAlias = Literal["open", "answered", "refused", "faulted", "closed_by_client"]


@dataclass(slots=True)
class Record:
    """One request. It changes while the request is open and is final once `outcome` is not `open`."""

    index: int
    """Counted from 0, in order of arrival."""
    provider: Provider
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    received_at: float
    request_id: str
    body: Json = field(default_factory=dict[str, object])
    """The JSON body; empty for a body that is none, such as an upload."""
    status: int | None = None
    """The status that was sent; `None` if nothing was."""
    usage: BilledUsage | None = None
    """What is billed for it; `None` if nothing is."""
    fault: Fault | None = None
    outcome: Outcome = "open"


class Ledger:
    """All records, the oldest dropped beyond `keep`; the totals cover the dropped ones too."""

    def __init__(self, keep: int) -> None:
        self.records: deque[Record] = deque(maxlen=keep)
        self.by_model: dict[str, BilledUsage] = {}
        self.count = 0

    def open(self, record: Record) -> None:
        """A request has arrived."""
        self.count += 1
        self.records.append(record)

    def bill(self, record: Record | None, model: str, usage: BilledUsage) -> None:
        """Charge an answer; without a record it was part of a batch."""
        if record is not None:
            record.usage = usage if record.usage is None else record.usage + usage
        self.by_model[model] = self.by_model.get(model, BilledUsage()) + usage

    def clear(self) -> None:
        """Forget all of it."""
        self.records.clear()
        self.by_model.clear()
        self.count = 0
