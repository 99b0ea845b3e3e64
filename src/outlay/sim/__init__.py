"""Virtual time, on which forecasts, chaos tests and unit tests run."""

from outlay.sim.clock import START, VirtualClock
from outlay.sim.loop import OutsideWorld, Standstill, VirtualLoop, VirtualTimeError, virtual_time

__all__ = ["START", "OutsideWorld", "Standstill", "VirtualClock", "VirtualLoop", "VirtualTimeError", "virtual_time"]
