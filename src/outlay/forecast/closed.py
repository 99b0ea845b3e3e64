"""The closed form: what a flow takes in the mean, computed over its tree in microseconds, and nothing run.

Exact for cost and calls where leaves are independent, loops end without looking at state, and no limit binds
(SEMANTICS 8); a property test holds it against the simulation. Where a node decides by itself what it runs, the
answer is `NotApplicable`, with the node and the reason, and never a guess. Quantiles come from the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from outlay.agents.function import as_node
from outlay.forecast.assumptions import Assumptions, Beliefs
from outlay.forecast.expected import Expected
from outlay.forecast.pattern_forms import FORMS
from outlay.forecast.walk import Passed, Unforeseeable, Walk
from outlay.runtime.directory import Directory, default_prices


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """There is no closed form: `node` is the path of the node that stands in the way."""

    node: str
    reason: str

    def __str__(self) -> str:
        return f"not applicable: {self.node}, {self.reason}"


def closed_form(
    node: Any,
    input: Any = None,
    assumptions: Assumptions | None = None,
    *,
    beliefs: Beliefs | None = None,
    directory: Directory | None = None,
) -> Expected | NotApplicable:
    """What the flow takes in the mean on this input (None: one of 50 tokens).

    Raises ConfigError for models that do not exist.
    """
    walk = Walk(beliefs or Beliefs(assumptions or Assumptions()), directory or Directory(None, default_prices()), FORMS)
    try:
        found = walk.expect(as_node(node), Passed.of(input))
        return found if walk.beliefs.judge else replace(found, right=None)
    except Unforeseeable as error:
        return NotApplicable(error.node, error.reason)
