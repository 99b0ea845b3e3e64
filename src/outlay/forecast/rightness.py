"""How often a simulated run's answer is right, of what was declared of the agents and patterns that took part.

Not drawn but computed, for each run from who answered in it: chances multiply along the way, as in the closed form
(reliability.py), so that a comparison of two designs has no noise from it. Neither are the retries of a declared step
drawn: those that it takes in the mean are paid, and take their time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

from outlay.agents.agent import Agent
from outlay.forecast.assumptions import Beliefs
from outlay.forecast.reliability import Step, majority
from outlay.forecast.routing import right_by_route
from outlay.patterns import Debate, FanOut, Refine, RoundRobin, Router, Supervisor, Vote
from outlay.patterns.gate import Gate
from outlay.protocols.node import Node
from outlay.runtime.identity import segment
from outlay.runtime.preflight import walk

_REPEAT = re.compile(r"#\d+")
_NAME = re.compile(r"[\[#]")
#: Patterns whose members say nothing of whether the whole is right: that is declared under their own name, or unknown.
OPAQUE = (Debate, RoundRobin)

#: Who answered last at each place of a run, in the order of the first answers: path to agent and model.
Answered = Mapping[str, tuple[str, str]]
_Parts: TypeAlias = "Mapping[str, _Part]"
#: What parts make of an input that is so likely right (None: nobody knows), reached with this weight.
_Form: TypeAlias = Callable[[float | None, float], float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one run: the chance that its answer is right, None where of somebody who took part nothing is declared; and by
    agent how often each of its calls is made, declared retries counted, where that is not once.
    """

    right: float | None
    times: Mapping[str, float]


@dataclass(slots=True)
class _Part:
    """Who answered at a place of the run, and what lies below it, in the order of the first answers."""

    who: tuple[str, str] | None = None
    below: dict[str, _Part] = field(default_factory=dict[str, "_Part"])


class Judge:
    """Knows what was declared for one flow. Runs in which the same took part are judged once. Under a limit (`retries`
    False) declared retries are not made: they are no calls of the flow, and nothing is reserved for them.
    """

    def __init__(self, root: Node[Any, Any], beliefs: Beliefs, *, retries: bool = True) -> None:
        nodes = [*walk(root)]
        self._beliefs, self._retries = beliefs, retries
        self._agents = {node.name: node for node in nodes if isinstance(node, Agent)}
        self.patterns = {segment(node.name): node for node in nodes if not isinstance(node, Agent)}
        self.declared = {
            segment(node.name): step
            for node in nodes
            if not isinstance(node, Agent) and (step := beliefs.right(node.name)) is not None
        }
        self.routes = {
            segment(node.name): {segment(name): right for name, right in found.items()}
            for node in nodes
            if isinstance(node, Router) and (found := right_by_route(node, beliefs)) is not None
        }
        #: Whose opinion changes no answer.
        self.critics = {one.name for node in nodes for one in _critics(node) if isinstance(one, Agent)}
        self._known: dict[tuple[tuple[str, tuple[str, str]], ...], Verdict] = {}

    def judge(self, answered: Answered) -> Verdict:
        key = tuple(answered.items())
        if key not in self._known:
            self._known[key] = self._judged(answered)
        return self._known[key]

    def _judged(self, answered: Answered) -> Verdict:
        whole = _Part()
        for path, who in answered.items():
            part = whole
            for name in path.split("/"):
                part = part.below.setdefault(name, _Part())
            part.who = who
        attempts: dict[str, list[float]] = {}
        right = _Reading(self, attempts).in_order(whole.below, 1.0, 1.0)
        times = {name: made / reached for name, (made, reached) in attempts.items() if made != reached}
        return Verdict(right, times)

    def step(self, agent: str, model: str) -> Step | None:
        known = self._agents.get(agent)
        step = None if known is None else self._beliefs.of(known, model).right
        return step if step is None or self._retries else replace(step, retries=0)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One run under way. `attempts`: by agent, the calls made and the calls reached, each by how likely that is."""

    judge: Judge
    attempts: dict[str, list[float]]

    def in_order(self, parts: Mapping[str, _Part], sound: float | None, weight: float) -> float | None:
        """One after the other, each on what the one before it made."""
        for name, part in parts.items():
            sound = self.of(name, part, sound, weight)
        return sound

    def of(self, name: str, part: _Part, sound: float | None, weight: float) -> float | None:
        bare = _NAME.split(name)[0]
        if part.who is not None and part.who[0] in self.judge.critics:
            return sound
        found = self._inside(bare, part, sound, weight)
        declared = self.judge.declared.get(bare)
        if declared is None:
            return found
        return None if sound is None else declared.right(sound)

    def _inside(self, bare: str, part: _Part, sound: float | None, weight: float) -> float | None:
        if part.who is not None:
            sound = self._agent(*part.who, sound, weight)
        pattern = self.judge.patterns.get(bare)
        if isinstance(pattern, OPAQUE):
            self.in_order(part.below, None, weight)
            return None
        if (routes := self.judge.routes.get(bare)) is not None:
            assert isinstance(pattern, Router)
            self.in_order(part.below, sound, weight)
            to = [
                _NAME.split(name)[0] for name in part.below if _NAME.split(name)[0] != segment(pattern.classifier.name)
            ]
            right = routes.get(to[-1] if to else segment(pattern.default.name), 0.0)
            return None if sound is None else sound * right
        if isinstance(pattern, Vote):
            return self._in_common(sound, weight, lambda s, w: self._majority(part.below, pattern.n, s, w))
        first, beside, last = _arranged(pattern, part.below)
        sound = self.in_order(first, sound, weight)
        if beside:
            sound = self._in_common(sound, weight, lambda s, w: self._all(beside, s, w))
        return self.in_order(last, sound, weight)

    def _agent(self, agent: str, model: str, sound: float | None, weight: float) -> float | None:
        step = self.judge.step(agent, model)
        if step is None:
            return None
        if step.retries:
            made = self.attempts.setdefault(agent, [0.0, 0.0])
            made[0] += weight * step.attempts(1.0 if sound is None else sound)
            made[1] += weight
        return None if sound is None else step.right(sound)

    def _in_common(self, sound: float | None, weight: float, form: _Form) -> float | None:
        """What several make of one input: right for all of them, or wrong for all of them."""
        if sound is None or sound in (0.0, 1.0):
            return form(sound, weight)
        good, bad = form(1.0, weight * sound), form(0.0, weight * (1 - sound))
        return None if good is None or bad is None else sound * good + (1 - sound) * bad

    def _all(self, parts: Mapping[str, _Part], sound: float | None, weight: float) -> float | None:
        return _product([self.of(name, part, sound, weight) for name, part in parts.items()])

    def _majority(self, parts: Mapping[str, _Part], n: int, sound: float | None, weight: float) -> float | None:
        found = [self.of(name, part, sound, weight) for name, part in parts.items()]
        known = [right for right in found if right is not None]
        return majority(math.fsum(known) / len(known), n) if known and len(known) == len(found) else None


def _product(rights: Sequence[float | None]) -> float | None:
    known = [right for right in rights if right is not None]
    return math.prod(known) if len(known) == len(rights) else None


def _arranged(pattern: Any, parts: Mapping[str, _Part]) -> tuple[_Parts, _Parts, _Parts]:
    """What comes first, what stands side by side on the same input, and what comes after that."""
    ends: Node[Any, Any] | None
    before: Node[Any, Any] | None = None
    if isinstance(pattern, FanOut):
        ends = cast("Any", pattern).merge
    elif isinstance(pattern, Supervisor):
        ends, before = cast("Any", pattern).synthesizer, pattern.planner
    else:
        return parts, {}, {}
    first: dict[str, _Part] = {}
    beside: dict[str, _Part] = {}
    last: dict[str, _Part] = {}
    for name, part in parts.items():
        bare = _NAME.split(name)[0]
        one = first if _is(before, bare) else last if _is(ends, bare) else beside
        one[name] = part
    return first, beside, last


def _is(node: Node[Any, Any] | None, name: str) -> bool:
    return node is not None and segment(node.name) == name


def _critics(node: Node[Any, Any]) -> tuple[Any, ...]:
    if isinstance(node, Refine):
        return node.critic
    return node.check if isinstance(node, Gate) else ()


def place_in_run(path: str) -> str:
    """A path without the numbers of repeats: of several drafts the last one counts."""
    return _REPEAT.sub("", path)
