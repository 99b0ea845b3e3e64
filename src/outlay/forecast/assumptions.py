"""What a forecast believes of agents and patterns, and where each belief comes from.

Declared by you (`Assumptions`), else fitted from stored runs (`calibration`), else a default that is stated here and
listed in every forecast.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any, Literal, TypeAlias, cast

from outlay.agents.agent import Agent
from outlay.forecast.distributions import Distribution, Fixed, Lognormal, as_distribution
from outlay.forecast.reliability import Step
from outlay.models.scripted import ScriptedModel
from outlay.protocols.node import Node

Kind: TypeAlias = Literal["tool", "answer"]
#: A call is drawn from at least so many whose input was about as long.
LIKE_CALLS = 30
_KEYS = re.compile(r"\[[^\]]*\]|#\d+")
#: Half of an agent's answers are under a quarter of what they may be.
OUTPUT_SHARE, OUTPUT_SPREAD = 0.25, 0.5
#: Seconds until an answer begins, and then for each token of it.
FIRST_TOKEN, SECONDS_PER_TOKEN = Lognormal(0.8, 0.4), 0.015
FAILURE = 0.005
REFUSED = 0.05
ACCEPT = 0.7
AGREEMENT = 0.8
TOOL_TOKENS = 200
SUBTASKS = ITEMS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What to expect of an agent's calls; None where nothing is said.

    `output_tokens`, `seconds` of one call. `failure`: one attempt fails (and is tried again, unbilled). `turns`: calls
    until the answer, those that only call tools included. `refused`: an answer does not pass its checks and is fed
    back. `accept`: a critic or judge is content. `agreement`: a sample says what most samples say. `tool_tokens` that a
    tool's result adds. `right`: the probabilities that its output is right, or one for all.
    """

    output_tokens: Distribution | float | None = None
    seconds: Distribution | float | None = None
    failure: float | None = None
    turns: float | None = None
    refused: float | None = None
    accept: float | None = None
    agreement: float | None = None
    tool_tokens: float | None = None
    right: Step | float | None = None

    def __post_init__(self) -> None:
        for name in ("failure", "refused", "accept", "agreement"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability, between 0 and 1, not {value!r}")
        if self.turns is not None and not self.turns >= 1:
            raise ValueError(f"turns is at least 1, not {self.turns!r}")
        for name in ("output_tokens", "seconds", "tool_tokens"):
            if (value := getattr(self, name)) is not None:
                as_distribution(value)


@dataclass(frozen=True, slots=True)
class Measured:
    """One call as it was: what a fitted forecast draws."""

    output_tokens: int
    seconds: float
    input_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What stored runs say of one agent.

    `calls` by path (without keys and repeats; "" has them all) and kind, shortest input first. `input_factor`: tokens
    read for one that was estimated, or for one of the model's upper bound (`of_bound`); `input_tokens` the mean of a
    call. `cache_read`, `cache_write`: shares of the input that the cache gave and took.
    """

    expect: Expect
    calls: Mapping[tuple[str, Kind], tuple[Measured, ...]]
    events: int
    input_factor: float | None = None
    of_bound: bool = False
    input_tokens: float | None = None
    cache_read: float = 0.0
    cache_write: float = 0.0

    def all(self, kind: Kind) -> tuple[Measured, ...]:
        return self.calls.get(("", kind), ())

    def like(self, path: str, kind: Kind, input_tokens: float, random: Random) -> Measured | None:
        """A call at this path, drawn from those whose input was about as long; None where none was measured."""
        found = self.calls.get((path, kind)) or self.all(kind)
        if not found:
            return None
        at = bisect_left(found, input_tokens, key=lambda call: call.input_tokens)
        around = max(LIKE_CALLS, len(found) // 10)
        first = max(0, min(at - around // 2, len(found) - around))
        return found[first + int(random.random() * min(around, len(found)))]


def place_of(path: str) -> str:
    """A path without the keys of items and the numbers of repeats."""
    return _KEYS.sub("", path)


@dataclass(frozen=True, slots=True)
class Confusion:
    """A router's mistakes: for each true label where it is `sent`, and how often who got it is `right`."""

    sent: Mapping[str, Mapping[str, float]]
    right: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What you know better than the defaults.

    `agents` by name (a pattern's name works for `accept` of its checkers); `everyone` for those that are not named.
    `routes`: for a router's name, how often each label comes up, and its `confusion`.
    `subtasks` of a supervisor's plan and `items` of a list that nobody knows before the run. `fits` are what
    `fit_runs` found.
    """

    agents: Mapping[str, Expect] = field(default_factory=dict[str, Expect])
    everyone: Expect = field(default_factory=Expect)
    routes: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, "Mapping[str, float]"])
    confusion: Mapping[str, Confusion] = field(default_factory=dict[str, Confusion])
    subtasks: int | None = None
    items: int | None = None
    fits: Mapping[str, Fit] = field(default_factory=dict[str, Fit])


@dataclass(frozen=True, slots=True)
class Assumed:
    """One assumption as it is listed: of what, which value, from where (default, declared, fitted from N calls)."""

    about: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Belief:
    """All that is believed of one agent."""

    output_tokens: Distribution
    #: None: time to the first token and a pace, by default.
    seconds: Distribution | None
    failure: float
    turns: float
    refused: float
    accept: float
    agreement: float
    tool_tokens: float
    right: Step | None
    fit: Fit | None
    #: The output length is nobody's word: where a stand-in answers, its own length is taken.
    length_is_default: bool

    def seconds_of(self, output_tokens: float) -> Distribution:
        """Seconds of a call that writes so many tokens."""
        if self.seconds is not None:
            return self.seconds
        return Lognormal(FIRST_TOKEN.median + SECONDS_PER_TOKEN * output_tokens, FIRST_TOKEN.spread)


class Beliefs:
    """Assumptions in force for one forecast; notes each one that was used, with its source."""

    def __init__(self, assumptions: Assumptions) -> None:
        self.given = assumptions
        self._found: dict[Node[Any, Any], Belief] = {}
        self._used: dict[tuple[str, str], Assumed] = {}

    @property
    def used(self) -> tuple[Assumed, ...]:
        """In the order in which they were first asked for."""
        return tuple(self._used.values())

    def note(self, about: str, what: str, value: str, source: str) -> None:
        self._used.setdefault((about, what), Assumed(f"{about} {what}".strip(), value, source))

    def also(self, other: Beliefs) -> None:
        """List what another reading of the same flow assumed too."""
        self._used |= {key: one for key, one in other._used.items() if key not in self._used}

    def of(self, agent: Agent[Any]) -> Belief:
        found = self._found.get(agent)
        if found is None:
            found = self._found[agent] = self._resolve(agent)
        return found

    def _resolve(self, agent: Agent[Any]) -> Belief:
        name = agent.name
        fit = self.given.fits.get(name)
        own = has_stand_in(agent)
        said = self._said(name, "output_tokens")
        length_is_default = said is None and fit is None
        if own and length_is_default:
            self.note(name, "output_tokens", "as long as what its stand-in says", "default")
        lengths = as_distribution(self._one(name, "output_tokens", default_length(agent), fit, shown=not own))
        seconds = self._one(name, "seconds", None, fit)
        if seconds is None:
            self.note(name, "seconds", f"{FIRST_TOKEN.median:g} s and {SECONDS_PER_TOKEN:g} s a token", "default")
        checked, tools = bool(agent.verify) and not own, bool(agent.tools) and not own
        right: Any = self._one(name, "right", None, None)
        return Belief(
            lengths,
            None if seconds is None else as_distribution(seconds),
            self._one(name, "failure", FAILURE, fit),
            self._one(name, "turns", 2.0 if agent.tools else 1.0, fit, shown=tools),
            self._one(name, "refused", REFUSED if agent.verify else 0.0, fit, shown=checked),
            self._one(name, "accept", ACCEPT, None, shown=False),
            self._one(name, "agreement", AGREEMENT, None, shown=False),
            self._one(name, "tool_tokens", float(TOOL_TOKENS), None, shown=tools),
            right if right is None or isinstance(right, Step) else Step(sound=right),
            fit if said is None and self._said(name, "seconds") is None else None,
            length_is_default,
        )

    def accept(self, name: str, *, opinion: bool) -> float:
        """How often a critic, a judge or a pattern's checkers are content."""
        return self._one(name, "accept", ACCEPT if opinion else 1 - REFUSED, None)

    def agreement(self, name: str) -> float:
        return self._one(name, "agreement", AGREEMENT, None)

    def shares(self, router: str, labels: tuple[str, ...]) -> dict[str, float]:
        """How often each label comes up; by default all alike. They sum to 1."""
        given = self.given.routes.get(router)
        if given is None:
            self.note(router, "labels", f"each of {len(labels)} as often", "default")
            return dict.fromkeys(labels, 1 / len(labels)) if labels else {}
        total = sum(given.values())
        if not total > 0:
            raise ValueError(f"the label shares of {router!r} sum to {total!r}")
        shares = {label: share / total for label, share in given.items()}
        self.note(router, "labels", ", ".join(f"{label} {share:.0%}" for label, share in shares.items()), "declared")
        return shares

    def number(self, what: Literal["subtasks", "items"], name: str) -> int:
        """Subtasks of a plan, items of a list."""
        given = cast("int | None", getattr(self.given, what))
        default = SUBTASKS if what == "subtasks" else ITEMS
        self.note(name, what, str(default if given is None else given), "default" if given is None else "declared")
        return default if given is None else given

    def _said(self, name: str, what: str) -> Any:
        own = self.given.agents.get(name)
        value = None if own is None else getattr(own, what)
        return getattr(self.given.everyone, what) if value is None else value

    def _one(self, name: str, what: str, default: Any, fit: Fit | None, *, shown: bool = True) -> Any:
        value, source = self._said(name, what), "declared"
        if value is None and fit is not None:
            value, source = getattr(fit.expect, what), f"fitted from {fit.events:,} calls"
        if value is None:
            value, source = default, "default"
        if value is not None and (shown or source != "default"):
            self.note(name, what, _shown(value), source)
        return value


def has_stand_in(agent: Agent[Any]) -> bool:
    """Its answers are its own program's, and not generic ones."""
    model: Any = agent.model
    return agent.offline is not None or (isinstance(model, ScriptedModel) and model.is_function)


def default_length(agent: Agent[Any]) -> Distribution:
    """Tokens of an answer nobody has seen yet: lognormal, half of them under a quarter of `max_output_tokens`."""
    return Lognormal(max(1.0, agent.max_output_tokens * OUTPUT_SHARE), OUTPUT_SPREAD)


def _shown(value: Any) -> str:
    if isinstance(value, Step):
        said = [f"{f.name} {getattr(value, f.name):g}" for f in fields(value) if getattr(value, f.name) != f.default]
        return ", ".join(said)
    return f"{value:g}" if isinstance(value, int | float) else str(value)


__all__ = ["Assumed", "Assumptions", "Belief", "Beliefs", "Expect", "Fit", "Fixed", "Measured"]
