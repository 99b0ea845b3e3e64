"""Live or offline: which models a command runs with, and what to tell the user about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from outlay.agents.agent import Agent
from outlay.cli.problems import Problem
from outlay.models.naming import key_for
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk

Lane = Literal["live", "offline"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The lane, and a line for the user where it was not asked for in so many words."""

    lane: Lane
    notice: str = ""

    @property
    def says(self) -> str:
        """How the header of a command names it."""
        return "live" if self.lane == "live" else "offline stand-ins (no money is spent; list prices shown)"


def choose(root: Node[Any, Any], asked: str | None, environment: Mapping[str, str] = os.environ) -> Choice:
    """Live if asked for, or if every key that the flow needs is set. Raises Problem where neither lane can work."""
    if asked is not None:
        return Choice("live" if asked == "live" else "offline")
    agents = [node for node in walk(root) if isinstance(node, Agent)]
    missing: dict[str, str] = {}
    for agent in agents:
        for model in (*agent.models, *agent.fallback):
            if isinstance(model, str) and (key := _key_that_is_missing(model, environment)):
                missing.setdefault(key, agent.name)
    if not missing:
        return Choice("live")
    mute = [
        agent.name
        for agent in agents
        if agent.offline is None and any(isinstance(model, str) for model in agent.models)
    ]
    keys = " and ".join(missing)
    are = "is" if len(missing) == 1 else "are"
    if mute:
        raise Problem(
            f"{keys} {are} not set, and {_named(mute)} no offline stand-in",
            next=f"set {keys}, or give Agent({mute[0]!r}, …, offline=lambda request: …)",
        )
    return Choice("offline", f"{keys} {are} not set: offline stand-ins answer, not models")


def _key_that_is_missing(model: str, environment: Mapping[str, str]) -> str:
    if model.startswith("openai-chat:") and environment.get("OPENAI_BASE_URL"):
        return ""  # a compatible server of one's own needs no key
    key = key_for(model)
    return "" if environment.get(key) else key


def _named(agents: list[str]) -> str:
    return f"agent {agents[0]!r} has" if len(agents) == 1 else f"agents {', '.join(map(repr, agents))} have"
