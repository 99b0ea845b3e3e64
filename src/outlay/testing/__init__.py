"""Our test doubles, published: a model that says what you tell it to, and time that does not pass."""

from outlay.models.scripted import ScriptedModel
from outlay.sim.clock import VirtualClock
from outlay.sim.loop import virtual_time
from outlay.values.reply import Reply

__all__ = ["Reply", "ScriptedModel", "VirtualClock", "virtual_time"]
