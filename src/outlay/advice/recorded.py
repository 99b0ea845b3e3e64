"""Reading a store for what it knows of a flow."""

from __future__ import annotations

import msgspec

from outlay.advice.evidence import KINDS, Evidence, evidence_in
from outlay.evals.experiment import COLLECTION
from outlay.evals.measured import Measured
from outlay.events import decode
from outlay.protocols.store import Store


async def evidence_of(store: Store, flow: str | None) -> Evidence:
    """What the store knows of the flow of this name; None: of all of them together."""
    events = [decode(row.body) for row in await store.events(None, KINDS)]
    measured: dict[str, Measured] = {}
    for document in await store.list(COLLECTION):
        try:
            measured[document.key] = msgspec.json.decode(document.body, type=Measured)
        except msgspec.DecodeError:  # of another version: it is as if it had not been measured
            continue
    return evidence_in(events, measured, flow)
