"""The walk of the closed form over a flow's tree: what each node is given, and who knows what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.agents.content import as_text
from outlay.agents.function import FunctionNode, as_node
from outlay.forecast.agent_form import Conversation, cached_prefix, expect_agent
from outlay.forecast.assumptions import Beliefs, has_stand_in
from outlay.forecast.cascade_form import Tier, expect_climb
from outlay.forecast.expected import Expected
from outlay.protocols.gate import TierGate
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.runtime.directory import Directory
from outlay.values.estimate import CHARACTERS_PER_TOKEN

#: Tokens of an input that nobody has given.
INPUT_TOKENS = 50


Form: TypeAlias = Callable[["Walk", Any, "Passed"], Expected]


class Unforeseeable(Exception):
    """Raised on the way to a NotApplicable."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        #: The path of the innermost node that it is about.
        self.node = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """What a node is given: about so many characters, the value itself where it is known, and how likely it is right:
    for certain where it comes from outside, None after somebody of whom nothing is declared.
    """

    characters: float
    value: Any = None
    right: float | None = 1.0

    @staticmethod
    def of(value: Any) -> Passed:
        if value is None:
            return Passed(INPUT_TOKENS * CHARACTERS_PER_TOKEN)
        return Passed(len(as_text(value)), value)

    def after(self, expected: Expected) -> Passed:
        return Passed(expected.characters, None, expected.right)


@dataclass(frozen=True, slots=True)
class Walk:
    """One closed form under way: where it is, and what it believes."""

    beliefs: Beliefs
    directory: Directory
    forms: Mapping[type[Any], Form]
    path: str = ""

    def expect(self, node: Node[Any, Any], passed: Passed) -> Expected:
        """Raises Unforeseeable."""
        below = replace(self, path=f"{self.path}/{node.name}" if self.path else node.name)
        try:
            found = below.expect_required(node, passed)
        except Unforeseeable as error:
            error.node = error.node or below.path
            raise
        if not isinstance(node, Agent) and (step := self.beliefs.right(node.name)) is not None:
            found = replace(found, right=None if passed.right is None else step.right(passed.right))
        if node.optional:  # where it fails its input is passed on
            return replace(found, answers=1.0)
        return found

    def expect_required(self, node: Node[Any, Any], passed: Passed) -> Expected:
        if isinstance(node, Agent):
            return self.agent(node, self.prompt(node, passed), passed.right)
        if isinstance(node, FunctionNode):
            return function(node, passed)
        form = self.forms.get(type(node))
        if form is None:
            raise Unforeseeable(f"nobody knows what a {type(node).__name__} runs")
        return form(self, node, passed)

    def agent(self, agent: Agent[Any], characters: float, right: float | None = None) -> Expected:
        """An agent whose conversation begins with so many characters."""
        if agent.compaction is not None and agent.toolbox:
            raise Unforeseeable("its conversation may be shortened, when is decided by what it has cost until then")
        if agent.hedge is not None:
            raise Unforeseeable("its slow calls are sent twice, and how many are slow is not in their mean")
        if isinstance(agent.model, ModelCascade):
            return self._cascade(agent, agent.model, Conversation(characters, right))
        models = [self.directory.model(agent.name, agent.model, agent.offline)]
        models += self._spare(agent)
        prices = [self.directory.price(model) for model in models]
        talk = Conversation(characters, right, cached_prefix(agent, models[0]))
        return expect_agent(agent, self.beliefs.of(agent), prices, talk)

    def _cascade(self, agent: Agent[Any], cascade: ModelCascade, talk: Conversation) -> Expected:
        if any(isinstance(gate, TierGate) for gate in cascade.gate):
            raise Unforeseeable("its model is a cascade with a gate that decides by what is answered")
        if any(check not in cascade.gate for check in agent.verify):
            raise Unforeseeable("its model is a cascade, and it has checks that are none of its gates")
        if has_stand_in(agent) and not self.beliefs.says_what_is_refused(agent):
            raise Unforeseeable("its model is a cascade, and its gates are asked of what its stand-in says")
        tiers: list[Tier] = []
        for choice in cascade.tiers:
            models = [self.directory.model(agent.name, choice, agent.offline), *self._spare(agent)]
            belief = self.beliefs.of(agent, models[0].id)
            tiers.append(Tier(belief, [self.directory.price(model) for model in models]))
        return expect_climb(agent, cascade, tiers, talk)

    def _spare(self, agent: Agent[Any]) -> list[Model]:
        return [self.directory.model(agent.name, spare, agent.offline, spare=True) for spare in agent.fallback]

    def prompt(self, agent: Agent[Any], passed: Passed) -> float:
        """The characters of its first message."""
        if agent.prompt is None or passed.value is None:
            return passed.characters
        prompt = as_node(agent.prompt)
        if isinstance(prompt, FunctionNode) and (prompt.wants_context or inspect.iscoroutinefunction(prompt.function)):
            return passed.characters
        try:
            return len(as_text(agent.prompt(passed.value)))
        except Exception:  # it wants more than a sample
            return passed.characters


def function(node: FunctionNode[Any, Any], passed: Passed) -> Expected:
    if node.children:
        raise Unforeseeable("it is a function, and nobody knows how often it runs what it names as children")
    if node.wants_context:
        raise Unforeseeable("it is a function that takes the context, and nobody knows what it runs")
    return Expected(characters=passed.characters, right=passed.right)
