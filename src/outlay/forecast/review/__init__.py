"""Cost as a review concern: what a change of the code changes in what its flows cost."""

from outlay.forecast.review.changes import AgentChange, Broken, CostDiff, FlowChange
from outlay.forecast.review.flowcost import AgentCost, FlowCost, flow_cost
from outlay.forecast.review.known import Known
from outlay.forecast.review.markdown import as_markdown
from outlay.forecast.review.review import Review
from outlay.forecast.review.threshold import Threshold
from outlay.forecast.review.volume import Counts, Volume

__all__ = [
    "AgentChange",
    "AgentCost",
    "Broken",
    "CostDiff",
    "Counts",
    "FlowChange",
    "FlowCost",
    "Known",
    "Review",
    "Threshold",
    "Volume",
    "as_markdown",
    "flow_cost",
]
