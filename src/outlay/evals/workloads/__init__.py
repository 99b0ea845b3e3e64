"""Workloads over time: what the tasks of each flow cost, whether they succeed, what changed, what is out of bounds."""

from outlay.evals.workloads.alerts import Alert
from outlay.evals.workloads.document import as_document
from outlay.evals.workloads.page import as_html
from outlay.evals.workloads.period import DAY, WEEK, Period, time_of
from outlay.evals.workloads.reading import Report, ReportFold, report
from outlay.evals.workloads.text import as_text
from outlay.evals.workloads.workload import Key, Window, Workload

__all__ = [
    "DAY",
    "WEEK",
    "Alert",
    "Key",
    "Period",
    "Report",
    "ReportFold",
    "Window",
    "Workload",
    "as_document",
    "as_html",
    "as_text",
    "report",
    "time_of",
]
