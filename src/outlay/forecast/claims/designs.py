"""The designs that published tables compare, as flows; their figures are read off the closed form.

A premium step costs $0.030, takes 2.0 s and is right in 98.5 % of cases; a small one $0.002, 0.4 s, 94.5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from outlay.agents.agent import Agent
from outlay.forecast.assumptions import Assumptions
from outlay.forecast.closed import closed_form
from outlay.forecast.expect import Expect
from outlay.forecast.expected import Expected
from outlay.forecast.reliability import Step
from outlay.models.scripted import ScriptedModel
from outlay.patterns import FanOut, Pipeline
from outlay.protocols.node import Node

#: Output tokens of a step; its price is set so that they cost what the table says, and input nothing.
_TOKENS = 100
_numbers = count()


@dataclass(frozen=True, slots=True)
class Model:
    """What a step on this model costs in US dollars, how long it takes in seconds, how often it is right."""

    dollars: float
    seconds: float
    right: float


PREMIUM = Model(0.030, 2.0, 0.985)
SMALL = Model(0.002, 0.4, 0.945)
#: An answer from a cache: 20 ms, nothing to pay, and in the published table never wrong.
HIT = Model(0.0, 0.02, 1.0)
#: The same where what was cached was as often right as any other answer.
HIT_AS_MADE = Model(0.0, 0.02, PREMIUM.right)


@dataclass(frozen=True, slots=True)
class Design:
    """A flow and what is believed of its steps."""

    flow: Node[Any, Any]
    steps: dict[str, Expect]

    @property
    def expected(self) -> Expected:
        found = closed_form(self.flow, "", Assumptions(agents=self.steps))
        assert isinstance(found, Expected), found
        return found


def step(model: Model, *, retries: int = 0, right: Step | None = None) -> Design:
    """One call. With `retries` a wrong answer is always noticed and tried again, independently; that is paid for."""
    name = f"step{next(_numbers)}"
    price = (0, model.dollars / _TOKENS * 1e6)
    agent = Agent(name, ScriptedModel([], name=name, price=price), max_output_tokens=_TOKENS)
    chances = right or Step(sound=model.right, retries=retries)
    return Design(agent, {name: Expect(output_tokens=_TOKENS, seconds=model.seconds, failure=0.0, right=chances)})


def steps(model: Model, n: int, *, retries: int = 0) -> list[Design]:
    return [step(model, retries=retries) for _ in range(n)]


def in_a_row(parts: Sequence[Design]) -> Design:
    return Design(Pipeline(*[part.flow for part in parts], name=_name()), _all(parts))


def at_once(parts: Sequence[Design]) -> Design:
    """All at the same time; all must be right."""
    return Design(FanOut([part.flow for part in parts], name=_name()), _all(parts))


def _all(parts: Sequence[Design]) -> dict[str, Expect]:
    return {name: expect for part in parts for name, expect in part.steps.items()}


def _name() -> str:
    return f"part{next(_numbers)}"


def right(found: Expected) -> float:
    """The share of runs whose output is right."""
    assert found.right is not None
    return found.right


def per_dollar(found: Expected) -> float:
    """Quality per dollar, as the tables have it: right answers for one US dollar."""
    return right(found) / found.dollars
