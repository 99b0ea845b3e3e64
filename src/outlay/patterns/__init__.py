"""The coordination patterns, and the values that pass through them."""

from outlay.patterns.detached import Detached
from outlay.patterns.fanout import FanOut
from outlay.patterns.gate import Gate
from outlay.patterns.pipeline import Pipeline
from outlay.patterns.refine import Refine
from outlay.patterns.router import Router
from outlay.patterns.supervisor import Supervisor
from outlay.values.claim import Claim, Contradiction, Statement
from outlay.values.critique import Critique, Draft, Revision
from outlay.values.plan import Plan, Replan, Subtask, Synthesis, Task
from outlay.values.routed import Routed

__all__ = [
    "Claim",
    "Contradiction",
    "Critique",
    "Detached",
    "Draft",
    "FanOut",
    "Gate",
    "Pipeline",
    "Plan",
    "Refine",
    "Replan",
    "Revision",
    "Routed",
    "Router",
    "Statement",
    "Subtask",
    "Supervisor",
    "Synthesis",
    "Task",
]
