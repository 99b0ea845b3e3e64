"""Our test doubles, published: models that say what you tell them, time that does not pass, providers on loopback."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from outlay.agents.checkpoint import asks_for_summary
from outlay.models.scripted import ScriptedModel
from outlay.models.scripted_batches import ScriptedBatches
from outlay.sim.clock import VirtualClock
from outlay.sim.loop import virtual_time
from outlay.values.reply import Reply

if TYPE_CHECKING:
    from outlay.emulator import Emulator
    from outlay.emulator.standins import stand_ins
    from outlay.sim.faults import Faults
    from outlay.sim.faulty import Books, FaultyModel
    from outlay.sim.store import SimStore

__all__ = [
    "Books",
    "Emulator",
    "Faults",
    "FaultyModel",
    "Reply",
    "ScriptedBatches",
    "ScriptedModel",
    "SimStore",
    "VirtualClock",
    "asks_for_summary",
    "stand_ins",
    "virtual_time",
]

#: A web server and the whole runtime: only for those who ask for them.
_WHERE = {
    "Books": "outlay.sim.faulty",
    "Emulator": "outlay.emulator",
    "Faults": "outlay.sim.faults",
    "FaultyModel": "outlay.sim.faulty",
    "SimStore": "outlay.sim.store",
    "stand_ins": "outlay.emulator.standins",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
