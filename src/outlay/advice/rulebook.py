"""What `outlay check` warns of: every rule over one flow."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from outlay.advice.rule import Advisory, Rule
from outlay.advice.rules import (
    caching,
    dearest_model,
    debate_rounds,
    equal_agents,
    handoffs,
    hierarchy,
    loops,
    output_cap,
    verification,
    whole_history,
)
from outlay.advice.survey import Survey

#: In the order in which they are shown: what breaks first, then what costs.
RULES: tuple[Rule, ...] = (
    loops.RULE,
    handoffs.RULE,
    verification.BY_MODEL,
    verification.KIN,
    verification.CONFIDENT,
    hierarchy.BESIDE,
    hierarchy.DEEP_DELEGATION,
    debate_rounds.RULE,
    equal_agents.RULE,
    dearest_model.RULE,
    whole_history.RULE,
    caching.RULE,
    output_cap.RULE,
)


def warnings_of(survey: Survey, silenced: AbstractSet[str] = frozenset()) -> list[Advisory]:
    """Everything that the rules find. `silenced` are ids, or `id:node` for what was found at one node."""
    found = [
        Advisory(rule.id, sight.nodes, sight.what, rule.concerns, rule.why, sight.change)
        for rule in RULES
        for sight in rule.look(survey)
    ]
    return [one for one in found if silenced.isdisjoint((one.id, *(f"{one.id}:{name}" for name in one.nodes)))]
