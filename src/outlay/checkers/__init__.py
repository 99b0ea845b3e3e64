"""Deterministic checkers: functions of an output that say None, or what is wrong.

Usable as `verify=` of an agent, gate of a cascade, critic of a refinement and evaluator of a data set. The text of an
output is a stranger's: it reaches no shell and is never evaluated, and only `tests` and `runs` run it.
"""

from outlay.checkers.all_of import all_of
from outlay.checkers.checker import Checker, ContextChecker, text_of
from outlay.checkers.citations import citations
from outlay.checkers.exact import exact
from outlay.checkers.json_schema import json_schema
from outlay.checkers.length import length
from outlay.checkers.numeric import numeric
from outlay.checkers.regex import regex
from outlay.checkers.ruff import ruff
from outlay.checkers.runs import runs
from outlay.checkers.sql import sql
from outlay.checkers.tests import tests

__all__ = [
    "Checker",
    "ContextChecker",
    "all_of",
    "citations",
    "exact",
    "json_schema",
    "length",
    "numeric",
    "regex",
    "ruff",
    "runs",
    "sql",
    "tests",
    "text_of",
]
