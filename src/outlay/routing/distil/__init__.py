"""Distilling: a small local student that learns a narrow task from a model's recorded answers.

It is tier 0 of a cascade: it answers for nothing what it is sure of, and declines the rest.
"""

from outlay.routing.distil.drift import Drift, drift_of
from outlay.routing.distil.examples import Example, read_examples
from outlay.routing.distil.recorded import recorded_examples
from outlay.routing.distil.student import Student
from outlay.routing.distil.student_gate import StudentGate
from outlay.routing.distil.task import Task, task_of
from outlay.routing.distil.training import Measured, distil, measure
from outlay.routing.distil.worth import Circumstances, Verdict, worth

__all__ = [
    "Circumstances",
    "Drift",
    "Example",
    "Measured",
    "Student",
    "StudentGate",
    "Task",
    "Verdict",
    "distil",
    "drift_of",
    "measure",
    "read_examples",
    "recorded_examples",
    "task_of",
    "worth",
]
