"""The coordination patterns, and the values that pass through them."""

from outlay.patterns.blackboard import Blackboard
from outlay.patterns.cascade import Cascade
from outlay.patterns.debate import Debate
from outlay.patterns.detached import Detached
from outlay.patterns.fanout import FanOut
from outlay.patterns.gate import Gate
from outlay.patterns.mesh import Mesh
from outlay.patterns.pipeline import Pipeline
from outlay.patterns.refine import Refine
from outlay.patterns.roundrobin import RoundRobin
from outlay.patterns.router import Router
from outlay.patterns.specialist import Specialist
from outlay.patterns.supervisor import Supervisor
from outlay.patterns.vote import Vote
from outlay.values.claim import Claim, Contradiction, Statement
from outlay.values.critique import Critique, Draft, Revision
from outlay.values.debate import Hearing, Judgement, Rebuttal
from outlay.values.handoff import Handoff
from outlay.values.plan import Plan, Replan, Subtask, Synthesis, Task
from outlay.values.routed import Routed
from outlay.values.turn import Conversation, Turn

__all__ = [
    "Blackboard",
    "Cascade",
    "Claim",
    "Contradiction",
    "Conversation",
    "Critique",
    "Debate",
    "Detached",
    "Draft",
    "FanOut",
    "Gate",
    "Handoff",
    "Hearing",
    "Judgement",
    "Mesh",
    "Pipeline",
    "Plan",
    "Rebuttal",
    "Refine",
    "Replan",
    "Revision",
    "RoundRobin",
    "Routed",
    "Router",
    "Specialist",
    "Statement",
    "Subtask",
    "Supervisor",
    "Synthesis",
    "Task",
    "Turn",
    "Vote",
]
