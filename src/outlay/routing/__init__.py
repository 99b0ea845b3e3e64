"""Routing that is learned and measured: gates of a cascade, calibration, and routers trained from a table."""

from outlay.routing.calibration import Calibration, calibrate
from outlay.routing.curve import Curve, oracle
from outlay.routing.gates import Agreement, CalibratedGate, LearnedGate, agreement, calls_tool, self_reported
from outlay.routing.learned import Learned
from outlay.routing.logprob import LogprobGate, likelihood, logprob
from outlay.routing.measuring import evaluate
from outlay.routing.outcomes import Outcome, Question, read_outcomes
from outlay.routing.router import LearnedRouter
from outlay.routing.training import train

__all__ = [
    "Agreement",
    "CalibratedGate",
    "Calibration",
    "Curve",
    "Learned",
    "LearnedGate",
    "LearnedRouter",
    "LogprobGate",
    "Outcome",
    "Question",
    "agreement",
    "calibrate",
    "calls_tool",
    "evaluate",
    "likelihood",
    "logprob",
    "oracle",
    "read_outcomes",
    "self_reported",
    "train",
]
