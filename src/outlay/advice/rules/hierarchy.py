"""How many agents stand beside one another, and how many below one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey, below, names
from outlay.agents.agent import Agent
from outlay.patterns.cascade import Cascade
from outlay.patterns.mesh import Mesh
from outlay.patterns.router import Router
from outlay.patterns.supervisor import Supervisor
from outlay.protocols.node import Node

#: So many may stand directly under one node.
MOST_BESIDE = 5
#: From so many handoffs of a task below one another on.
DEEP = 3


def look_beside(survey: Survey) -> Iterator[Sight]:
    for node in survey.nodes:
        members = [one for one in _members(node) if isinstance(one, Agent)]
        if len(members) > MOST_BESIDE:
            paths = len(members) * (len(members) - 1) // 2
            what = f"{len(members)} agents stand side by side ({names(members)}): {paths} pairs that can disagree"
            change = f"group them: a Supervisor or Pipeline of at most {MOST_BESIDE} can itself stand as a member"
            yield Sight((node.name,), what, change)


def _members(node: Node[Any, Any]) -> Sequence[Node[Any, Any]]:
    """Those that work on one task together; of a router's routes and a cascade's tiers only one answers."""
    if isinstance(node, Router | Cascade):
        return ()
    if isinstance(node, Supervisor):
        return node.workers
    return below(node)


def look_deep(survey: Survey) -> Iterator[Sight]:
    chain = _deepest(survey.root, {})
    if len(chain) - 1 >= DEEP:
        what = f"a task is handed down {len(chain) - 1} times: {' → '.join(one.name for one in chain)}"
        change = f"take out a level: give {chain[-2].name}'s workers to {chain[-3].name}; Budget(depth=…) keeps it so"
        yield Sight((survey.root.name,), what, change)


def _deepest(node: Node[Any, Any], known: dict[int, list[Node[Any, Any]]]) -> list[Node[Any, Any]]:
    """The longest chain of nodes in which each hands a task in its own words to the next."""
    found = known.get(id(node))
    if found is None:
        longest = max([[], *(_deepest(child, known) for child in below(node))], key=len)
        found = known[id(node)] = [node, *longest] if _hands_down(node) or not longest else longest
    return found


def _hands_down(node: Node[Any, Any]) -> bool:
    """A model says in its own words what the ones below are to do."""
    return isinstance(node, Supervisor | Mesh) or (isinstance(node, Agent) and bool(below(node)))


BESIDE = Rule(
    "flat-crowd",
    "over five agents without hierarchy",
    ("money", "reliability"),
    "with n members there are n(n-1)/2 ways to disagree, and whoever plans or merges has to keep all of them in view",
    look_beside,
)
DEEP_DELEGATION = Rule(
    "deep-delegation",
    f"a task is handed down {DEEP} times or more",
    ("latency", "reliability"),
    "each level retells the task and waits for the one below: what was meant gets lost, and the waits add up",
    look_deep,
)
