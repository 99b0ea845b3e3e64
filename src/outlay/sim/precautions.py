"""What the agents of a grown flow do about bad days: spare and cheaper models, cascades, hedges, stored answers and
results, breakers; and a watchdog over the run.

Drawn apart from the flow itself, so that a seed's tree is the same with and without them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from outlay.agents.cascade import ModelCascade
from outlay.agents.hedging import changes_the_world
from outlay.agents.tool import Tool
from outlay.policies.watchdog import Watchdog
from outlay.protocols.model import Model
from outlay.values.server import Breaker

#: The share of agents, and of tools, that have each of them.
_SHARE = 0.4


@dataclass
class Precautions:
    """All of them out of one `Random`."""

    draw: Random

    def _some(self) -> bool:
        return self.draw.random() < _SHARE

    def of_agent(self, usual: Model, other: Callable[[str], Model], tools: list[Tool]) -> dict[str, Any]:
        """Options of an agent; `other` makes a model that answers as the usual one does, by its name."""
        draw, options = self.draw, dict[str, Any]()
        if self._some():
            options["fallback"] = [other("spare"), other("last-resort")][: draw.randint(1, 2)]
        if self._some():
            options["cheaper"] = other("cheap")
        if self._some():
            options["cache_answers" if draw.random() < 0.5 else "stale_answers"] = draw.choice([30.0, 3_600.0])
        if self._some():
            options["model"] = ModelCascade([other("small"), usual], _passes, attempts=draw.randint(1, 2))
        elif self._some() and not changes_the_world(tools):
            options["hedge"] = draw.choice([0.3, 2.0, 20.0])
        return options

    def of_tool(self, tool: Tool) -> Tool:
        draw, changes = self.draw, dict[str, Any]()
        if self._some():
            changes["concurrency"] = draw.randint(1, 2)
        if self._some():
            changes["breaker"] = Breaker(failures=draw.randint(1, 2), probe=draw.choice([1.0, 30.0]), ignores=())
            if draw.random() < 0.5:
                changes["when_down"] = "it is down"
        if self._some() and not tool.side_effect and "when_down" not in changes:
            changes |= {"cache_results": 3_600.0, "cache_scope": "everybody"}
        return tool.replace(**changes) if changes else tool

    def watchdog(self) -> Watchdog | None:
        draw = self.draw
        if draw.random() < 0.5:
            return None
        return Watchdog(
            same_call=draw.choice([None, 2, 3]),
            no_progress=draw.choice([None, 2]),
            retries=draw.choice([None, 3]),
            usd=draw.choice([None, "0.001"]),
            then=draw.choice(["warn", "pause", "stop"]),
        )


def _passes(text: str) -> str | None:
    return "not good enough" if len(text) % 2 else None
