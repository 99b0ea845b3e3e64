"""`outlay.testing.Faults`, a schedule of what befalls models, as one of what goes wrong on the wire."""

from __future__ import annotations

from typing import Final

from outlay.emulator.faults import Fault, FaultLike, Faults
from outlay.errors import ConfigError
from outlay.sim.faults import FaultKind
from outlay.sim.faults import Faults as ModelFaults

#: What each kind looks like to a client. A server that is there cannot refuse a connection: it resets it unread.
_ON_THE_WIRE: Final[dict[FaultKind, FaultLike]] = {
    "rate_limited": 429,
    "overloaded": 529,
    "server_error": 500,
    "no_connection": Fault.reset(),
    "read_timeout": Fault.timeout(billed=True),
    "half_open": Fault.half_stream(ending="hang"),
    "slow_loris": Fault.drip(0.05),
    "broken_json": Fault.truncated(),
    "reset": Fault.reset(billed=True),
    "duplicate_events": Fault.twice(),
}


def on_the_wire(faults: Faults | ModelFaults | None) -> Faults | None:
    """The schedule for an emulator; one number for all kinds is shared out among those that a wire knows.

    Raises ConfigError for what is the emulator's own to decide: latency, length and quality of answers, and usage.
    """
    if not isinstance(faults, ModelFaults):
        return faults
    if (faults.latency, faults.length, faults.quality) != (0.0, None, 1.0):
        raise ConfigError(
            "an Emulator has its latency=, and what it says from behaviour=: faults= are for what goes wrong",
            hint="write Emulator(latency=0.2, faults=Faults(seed=7, rates={429: 0.1}))",
        )
    if isinstance(faults.rates, int | float):
        share = faults.rates / len(_ON_THE_WIRE)
        return Faults(rates=dict.fromkeys(_ON_THE_WIRE.values(), share), seed=faults.seed)
    rates: dict[FaultLike, float] = {}
    for kind, chance in faults.chances:
        if kind not in _ON_THE_WIRE:
            raise ConfigError(
                f"an Emulator has no fault {kind!r}", hint="a behaviour may claim any usage: EmulatedReply(usage=…)"
            )
        rates[_ON_THE_WIRE[kind]] = rates.get(_ON_THE_WIRE[kind], 0.0) + chance
    return Faults(rates=rates, seed=faults.seed)
