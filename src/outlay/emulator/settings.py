"""Everything that can be chosen about an emulator, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from outlay.emulator.behaviour import Behaviour
from outlay.emulator.faults import Faults
from outlay.emulator.latency import Latency
from outlay.emulator.limits import Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """See `Emulator` for what each means."""

    behaviour: Behaviour | None
    models: frozenset[str]
    api_keys: frozenset[str]
    faults: Faults | None
    limits: Limits
    latency: Latency
    batch_seconds: float
    batch_results: Callable[[list[bytes]], list[bytes]]
    seed: int
    clock: Callable[[], float]
    keep_requests: int
