"""A router's mistakes: where it sends what, and what that leaves of its success.

Success is confusion times specialists, summed over the labels; the accuracy of the routing is its ceiling, where who
gets what is not theirs cannot answer it (reliability.routed).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlay.agents.agent import Agent
from outlay.errors import ConfigError
from outlay.forecast.assumptions import Beliefs, Confusion
from outlay.forecast.reliability import Step, routed
from outlay.patterns import Router
from outlay.patterns.router import as_label, closed_labels
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Of one router: how often the routing is right, and how often the routed answer is (None: not declared)."""

    router: str
    accuracy: float
    success: float | None


def labels_of(node: Router[Any, Any]) -> tuple[str, ...]:
    """The labels its classifier may give, as far as that is known; else the routes and what is escalated."""
    return tuple(sorted(closed_labels(node.classifier) or {*node.routes, *map(as_label, node.escalate)}))


def confusion_of(node: Router[Any, Any], beliefs: Beliefs) -> Confusion | None:
    """The declared one. Raises ConfigError where a label that comes up has no row in it."""
    confusion = beliefs.given.confusion.get(node.name)
    if confusion is not None:
        shares = beliefs.shares(node.name, labels_of(node))
        if missing := [label for label, share in shares.items() if share and label not in confusion.sent]:
            raise ConfigError(
                f"the confusion of {node.name} does not say where {missing[0]!r} is sent",
                hint=f"give it a row: sent={{{missing[0]!r}: {{{missing[0]!r}: 0.9, …}}}}",
            )
    return confusion


def sent(node: Router[Any, Any], beliefs: Beliefs) -> dict[str, float]:
    """How often the classifier gives each label: those that come up, as far as it tells them apart."""
    shares = beliefs.shares(node.name, labels_of(node))
    confusion = confusion_of(node, beliefs)
    if confusion is None:
        return shares
    found: dict[str, float] = {}
    for true, share in shares.items():
        for label, p in confusion.sent.get(true, {}).items():
            found[label] = found.get(label, 0.0) + share * p
    return found


def taken(node: Router[Any, Any], label: str) -> Node[Any, Any]:
    """Who gets what the classifier calls so."""
    return node.default if label in node.escalate else node.routes.get(label, node.default)


def right_by_route(node: Router[Any, Any], beliefs: Beliefs) -> dict[str, float] | None:
    """For the name of each node that the router sends to: how often it is right about what it gets there."""
    confusion = confusion_of(node, beliefs)
    if confusion is None:
        return None
    came: dict[str, float] = {}
    right: dict[str, float] = {}
    for true, share in beliefs.shares(node.name, labels_of(node)).items():
        for label, p in confusion.sent.get(true, {}).items():
            name = taken(node, label).name
            came[name] = came.get(name, 0.0) + share * p
            right[name] = right.get(name, 0.0) + share * p * confusion.right[label].get(true, 0.0)
    return {name: right[name] / weight for name, weight in came.items() if weight}


def ceilings(root: Node[Any, Any], beliefs: Beliefs) -> tuple[Ceiling, ...]:
    """Of each router whose confusion is declared, or else how often its classifier is right."""
    found = [_ceiling(node, beliefs) for node in walk(root) if isinstance(node, Router)]
    return tuple(one for one in found if one is not None)


def _ceiling(node: Router[Any, Any], beliefs: Beliefs) -> Ceiling | None:
    shares = beliefs.shares(node.name, labels_of(node)) if beliefs.judge or beliefs.given.confusion else {}
    confusion = confusion_of(node, beliefs)
    if confusion is not None:
        found = routed(shares, confusion.sent, confusion.right)
        return Ceiling(node.name, found.accuracy, found.success)
    step = _step(node.classifier, beliefs)
    if step is None:
        return None
    accuracy = step.right()
    return Ceiling(node.name, accuracy, _success(node, shares, accuracy, beliefs))


def _success(node: Router[Any, Any], shares: Mapping[str, float], accuracy: float, beliefs: Beliefs) -> float | None:
    if (whole := beliefs.right(node.name)) is not None:
        return whole.right()
    steps = [(share, _step(taken(node, label), beliefs)) for label, share in shares.items()]
    if any(step is None for share, step in steps if share):
        return None
    return math.fsum(share * step.right(accuracy) for share, step in steps if step is not None)


def _step(node: Node[Any, Any], beliefs: Beliefs) -> Step | None:
    return beliefs.of(node).right if isinstance(node, Agent) else beliefs.right(node.name)


__all__ = ["Ceiling", "ceilings", "confusion_of", "labels_of", "right_by_route", "sent", "taken"]
