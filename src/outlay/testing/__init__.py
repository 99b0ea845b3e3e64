"""Our test doubles, published: a model that says what you tell it to, time that does not pass, providers on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outlay.models.scripted import ScriptedModel
from outlay.sim.clock import VirtualClock
from outlay.sim.loop import virtual_time
from outlay.values.reply import Reply

if TYPE_CHECKING:
    from outlay.emulator import Emulator

__all__ = ["Emulator", "Reply", "ScriptedModel", "VirtualClock", "virtual_time"]


def __getattr__(name: str) -> Any:
    if name != "Emulator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from outlay.emulator import Emulator  # a web server: only for those who ask for it

    return Emulator
