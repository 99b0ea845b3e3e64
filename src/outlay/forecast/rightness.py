"""How often a simulated run's answer is right, of what was declared of the agents and patterns that took part.

Not drawn but computed, for each run from who answered in it: chances multiply along the way, as in the closed form
(reliability.py), so that a comparison of two designs has no noise from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outlay.agents.agent import Agent
from outlay.forecast.assumptions import Beliefs
from outlay.forecast.reliability import Step, majority
from outlay.patterns import Debate, Refine, RoundRobin, Vote
from outlay.patterns.gate import Gate
from outlay.protocols.node import Node
from outlay.runtime.identity import segment
from outlay.runtime.preflight import walk

_REPEAT = re.compile(r"#\d+")
_NAME = re.compile(r"[\[#]")
#: Patterns whose members say nothing of whether the whole is right: that is declared under their own name, or unknown.
_OPAQUE = (Debate, RoundRobin)

#: Who answered last at each place of a run, in the order of the first answers: path to agent and model.
Answered = Mapping[str, tuple[str, str]]


class Judge:
    """Knows what was declared for one flow. Runs in which the same took part are judged once."""

    def __init__(self, root: Node[Any, Any], beliefs: Beliefs) -> None:
        nodes = [*walk(root)]
        self._beliefs = beliefs
        self._agents = {node.name: node for node in nodes if isinstance(node, Agent)}
        self._patterns = {segment(node.name): node for node in nodes if not isinstance(node, Agent)}
        self._declared = {
            segment(node.name): step
            for node in nodes
            if not isinstance(node, Agent) and (step := beliefs.right(node.name)) is not None
        }
        #: Whose opinion changes no answer.
        self._critics = {one.name for node in nodes for one in _critics(node) if isinstance(one, Agent)}
        self._known: dict[tuple[tuple[str, tuple[str, str]], ...], float | None] = {}

    def right(self, answered: Answered) -> float | None:
        """None where of somebody who took part nothing is declared."""
        key = tuple(answered.items())
        if key not in self._known:
            self._known[key] = self._judged(answered)
        return self._known[key]

    def _judged(self, answered: Answered) -> float | None:
        sound = 1.0
        over: set[str] = set()
        ballots: dict[str, list[float]] = {}
        for path, (agent, model) in answered.items():
            if agent in self._critics:
                continue
            place, pattern = self._whole(path)
            if pattern is not None:
                if place not in over:
                    over.add(place)
                    sound = pattern.right(sound)
                continue
            above = [self._patterns.get(_NAME.split(name)[0]) for name in path.split("/")]
            if any(isinstance(node, _OPAQUE) for node in above):
                return None
            step = self._step(agent, model)
            if step is None:
                return None
            vote = next((node for node in above if isinstance(node, Vote)), None)
            if vote is None:
                sound = step.right(sound)
                continue
            ballots.setdefault(vote.name, []).append(step.right(sound))
        for name, chances in ballots.items():
            vote = self._patterns[segment(name)]
            assert isinstance(vote, Vote)
            sound = majority(sum(chances) / len(chances), vote.n)
        return sound

    def _whole(self, path: str) -> tuple[str, Step | None]:
        """The outermost pattern on the way down to this path that has a figure of its own."""
        names = path.split("/")
        for i, name in enumerate(names):
            step = self._declared.get(_NAME.split(name)[0])
            if step is not None:
                return "/".join(names[: i + 1]), step
        return "", None

    def _step(self, agent: str, model: str) -> Step | None:
        known = self._agents.get(agent)
        return None if known is None else self._beliefs.of(known, model).right


def _critics(node: Node[Any, Any]) -> tuple[Any, ...]:
    if isinstance(node, Refine):
        return node.critic
    return node.check if isinstance(node, Gate) else ()


def place_in_run(path: str) -> str:
    """A path without the numbers of repeats: of several drafts the last one counts."""
    return _REPEAT.sub("", path)
