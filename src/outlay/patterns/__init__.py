"""The coordination patterns, and the values that pass through them."""

from outlay.patterns.debate import Debate
from outlay.patterns.fanout import FanOut
from outlay.patterns.pipeline import Pipeline
from outlay.patterns.refine import Refine
from outlay.patterns.router import Router
from outlay.patterns.supervisor import Supervisor
from outlay.patterns.vote import Vote
from outlay.values.critique import Critique, Draft, Revision
from outlay.values.debate import Hearing, Judgement, Rebuttal
from outlay.values.plan import Plan, Subtask, Synthesis, Task
from outlay.values.routed import Routed

__all__ = [
    "Critique",
    "Debate",
    "Draft",
    "FanOut",
    "Hearing",
    "Judgement",
    "Pipeline",
    "Plan",
    "Rebuttal",
    "Refine",
    "Revision",
    "Routed",
    "Router",
    "Subtask",
    "Supervisor",
    "Synthesis",
    "Task",
    "Vote",
]
