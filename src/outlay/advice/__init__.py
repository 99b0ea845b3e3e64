"""Advice: what to change in a flow before it runs, and whether it should be several agents at all.

Rules only, each with its reason: nothing here asks a model.
"""

from outlay.advice.adviser import Advice, Situation, advise
from outlay.advice.answer import Answer
from outlay.advice.checklist import POINTS, Checked, checklist
from outlay.advice.evidence import Evidence, Written, evidence_in
from outlay.advice.recorded import evidence_of
from outlay.advice.rule import Advisory, Rule
from outlay.advice.rulebook import RULES, warnings_of
from outlay.advice.settings import Settings, read_settings
from outlay.advice.survey import Survey

__all__ = [
    "POINTS",
    "RULES",
    "Advice",
    "Advisory",
    "Answer",
    "Checked",
    "Evidence",
    "Rule",
    "Settings",
    "Situation",
    "Survey",
    "Written",
    "advise",
    "checklist",
    "evidence_in",
    "evidence_of",
    "read_settings",
    "warnings_of",
]
