"""Which calls may be hedged: those after which nothing in the world can have been done twice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from outlay.agents.cascade import ModelCascade
from outlay.agents.tool import Tool
from outlay.errors import ConfigError


def changes_the_world(tools: Iterable[Tool]) -> bool:
    return any(tool.side_effect for tool in tools)


def check_hedge(agent: str, hedge: Any, tools: Sequence[Tool], model: Any) -> None:
    """Raises ConfigError where this agent's calls cannot be hedged."""
    if not isinstance(hedge, int | float) or isinstance(hedge, bool) or not 0 < hedge < math.inf:
        raise ConfigError(
            f"agent {agent!r}: hedge={hedge!r} is no time to wait for an answer",
            hint="give the seconds after which a second call is worth its price, such as the P95 of `outlay trace`",
        )
    if isinstance(model, ModelCascade):
        raise ConfigError(f"agent {agent!r}: a cascade of models cannot be hedged", hint="leave out hedge=")
    if outward := [tool.name for tool in tools if tool.side_effect]:
        raise ConfigError(
            f"agent {agent!r} cannot be hedged: {', '.join(outward)} changes the world",
            hint="leave out hedge=, or let an agent of its own call that tool",
        )
