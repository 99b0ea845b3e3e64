"""Evidence: two flows on the same cases, by the same checkers, within the same budget.

    found = compare_sync(single, crew, "questions.jsonl", Terms(checkers=["numeric"], budget="0.05"))
    print(report(found))

A data set has cases; evaluators judge outputs; an experiment measures one flow; a comparison folds two of them into
figures with intervals, a verdict, and what would flip it.
"""

from outlay.evals.cautions import cautions
from outlay.evals.chains import Chain, fit_chain
from outlay.evals.compare import compare, compare_sync
from outlay.evals.comparison import Comparison, Setup
from outlay.evals.dataset import Case, Dataset
from outlay.evals.evaluator import Evaluator, evaluator
from outlay.evals.experiment import Experiment, Flow, Terms
from outlay.evals.intervals import Interval, bootstrap, wilson
from outlay.evals.mcnemar import mcnemar
from outlay.evals.measured import Checked, Measured, Opinion
from outlay.evals.memo import memo
from outlay.evals.report import document, report
from outlay.evals.side import Side
from outlay.evals.verdict import Verdict, flips, verdict_on

__all__ = [
    "Case",
    "Chain",
    "Checked",
    "Comparison",
    "Dataset",
    "Evaluator",
    "Experiment",
    "Flow",
    "Interval",
    "Measured",
    "Opinion",
    "Setup",
    "Side",
    "Terms",
    "Verdict",
    "bootstrap",
    "cautions",
    "compare",
    "compare_sync",
    "document",
    "evaluator",
    "fit_chain",
    "flips",
    "mcnemar",
    "memo",
    "report",
    "verdict_on",
    "wilson",
]
