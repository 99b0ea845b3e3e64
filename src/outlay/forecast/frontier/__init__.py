"""The frontier: alternatives of a flow side by side, and what a tighter budget does to it."""

from outlay.forecast.frontier.choosing import Limits, Measured, Swing
from outlay.forecast.frontier.designs import Change, Choice, Design, Lever, Space
from outlay.forecast.frontier.language import space_of, written
from outlay.forecast.frontier.search import Frontier, frontier
from outlay.forecast.frontier.sweep import Step, Sweep, sweep

__all__ = [
    "Change",
    "Choice",
    "Design",
    "Frontier",
    "Lever",
    "Limits",
    "Measured",
    "Space",
    "Step",
    "Sweep",
    "Swing",
    "frontier",
    "space_of",
    "sweep",
    "written",
]
