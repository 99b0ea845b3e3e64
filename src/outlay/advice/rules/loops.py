"""Loops that nothing caps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey
from outlay.protocols.node import Node
from outlay.runtime.checkup import caps_of
from outlay.runtime.loops import uncapped_loops

#: A cap above this is none.
LARGEST = 1_000


def look(survey: Survey) -> Iterator[Sight]:
    for found in uncapped_loops(survey.root):
        if not limited(survey, found.node):
            change = f"count it (`for _ in range(10)`), or {found.node.name}: budget=Budget(calls=20)"
            yield Sight((found.node.name,), f"{found.node.name}: the loop at {found.place} has no cap", change)
    for node in survey.nodes:
        for cap, value in caps_of(node):
            if value > LARGEST and not limited(survey, node):
                yield Sight(
                    (node.name,),
                    f"{node.name}: {cap}={value:,} caps nothing",
                    f"{node.name}: {cap}={10 if cap == 'max_turns' else 20}",
                )


def limited(survey: Survey, node: Node[Any, Any]) -> bool:
    """A budget ends it, wherever in the flow it runs."""
    return survey.limits(node, ("usd", "calls", "tokens", "seconds"))


RULE = Rule(
    "uncapped-loop",
    "no cap on a loop",
    ("money", "latency", "reliability"),
    "a model that never says it is done goes on until somebody looks at the invoice",
    look,
)
