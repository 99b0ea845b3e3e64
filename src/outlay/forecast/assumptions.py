"""What a forecast believes of agents and patterns, and where each belief comes from.

Declared by you (`Assumptions`), else fitted from stored runs (`calibration`), else a default that is stated here and
listed in every forecast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal, cast

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.forecast.distributions import Distribution, Lognormal, as_distribution
from outlay.forecast.expect import Expect
from outlay.forecast.fits import Fit
from outlay.forecast.reliability import Step
from outlay.models.scripted import ScriptedModel
from outlay.protocols.node import Node
from outlay.values.percent import percent

#: Half of an agent's answers are under a quarter of what they may be.
OUTPUT_SHARE, OUTPUT_SPREAD = 0.25, 0.5
#: Seconds until an answer begins, and then for each token of it.
FIRST_TOKEN, SECONDS_PER_TOKEN = Lognormal(0.8, 0.4), 0.015
FAILURE = 0.005
REFUSED = 0.05
ACCEPT = 0.7
AGREEMENT = 0.8
TOOL_TOKENS = 200
TOOL_SECONDS = Lognormal(0.3, 0.5)
WARM = 0.9
#: Half of all batches are through in half an hour; providers promise a day.
BATCH_SECONDS = Lognormal(1_800, 0.8)
SUBTASKS = ITEMS = 3
LENGTH_OF_A_STAND_IN = "as long as what its stand-in says"
#: Of whom nothing is declared where something is of others, and designs are to be compared (silent.py).
TAKEN_AS_RIGHT = Step(sound=1.0)


@dataclass(frozen=True, slots=True)
class Confusion:
    """A router's mistakes: for each true label, how often it is `sent` where; for each label that it is sent to, how
    often who gets it there is `right` about each true label (0 where that is not said).

    Raises ValueError for what is no probability, rows of `sent` that do not sum to 1, and a label without `right`.
    """

    sent: Mapping[str, Mapping[str, float]]
    right: Mapping[str, Mapping[str, float]]

    def __post_init__(self) -> None:
        for row in (*self.sent.values(), *self.right.values()):
            if wrong := [value for value in row.values() if not 0 <= value <= 1]:
                raise ValueError(f"a confusion is made of probabilities, between 0 and 1, not {wrong[0]!r}")
        for true, row in self.sent.items():
            if abs(math.fsum(row.values()) - 1) > 1e-6:
                raise ValueError(f"where {true!r} is sent sums to {math.fsum(row.values()):g}, not to 1")
            if lost := [label for label, share in row.items() if share and label not in self.right]:
                raise ValueError(f"{lost[0]!r} is sent to, and right= does not say how often it is right there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What you know better than the defaults.

    `agents` by name, or `name@model` for what holds with that model only; a pattern's name works for `accept` of its
    checkers, and for `right` of all that it does. `everyone` for those that are not named.
    `routes`: for a router's name, how often each label comes up, and its `confusion`.
    `subtasks` of a supervisor's plan and `items` of a list that nobody knows before the run. `batch_seconds` until a
    batch gives a call's answer. `fits` are what `fit_runs` found, by agent, and `fitted_routes` by router.
    """

    agents: Mapping[str, Expect] = field(default_factory=dict[str, Expect])
    everyone: Expect = field(default_factory=Expect)
    routes: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, "Mapping[str, float]"])
    confusion: Mapping[str, Confusion] = field(default_factory=dict[str, Confusion])
    subtasks: int | None = None
    items: int | None = None
    batch_seconds: Distribution | float | None = None
    fits: Mapping[str, Fit] = field(default_factory=dict[str, Fit])
    fitted_routes: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, "Mapping[str, float]"])


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
    tool_seconds: Distribution
    right: Step | None
    warm: float
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
        self._found: dict[tuple[Node[Any, Any], str], Belief] = {}
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

    def of(self, agent: Agent[Any], model: str = "") -> Belief:
        """Of the agent with this model (its id); without one, with the model that it usually calls."""
        model = model or usual_model(agent)
        found = self._found.get((agent, model))
        if found is None:
            found = self._found[agent, model] = self._resolve(agent, model)
        return found

    def right(self, name: str) -> Step | None:
        """How often what a pattern of this name gives is right, where that was declared."""
        own = self.given.agents.get(name)
        if own is None or own.right is None:
            return None
        step = own.right if isinstance(own.right, Step) else Step(sound=own.right)
        self.note(name, "right", _shown(own.right), _source(own.right))
        return step

    def says_what_is_refused(self, agent: Agent[Any]) -> bool:
        """Is it declared how many of its answers are refused? Then its checkers need not run on a stand-in's."""
        given = self.given.agents
        return any(
            expect.refused is not None
            for name, expect in given.items()
            if name == agent.name or name.startswith(f"{agent.name}@")
        )

    @property
    def judge(self) -> bool:
        """Is anything declared of how often outputs are right?"""
        said = (*self.given.agents.values(), self.given.everyone)
        return bool(self.given.confusion) or any(expect.right is not None for expect in said)

    def batch_seconds(self) -> Distribution:
        """How long a call in the batch lane takes."""
        given = self.given.batch_seconds
        found = BATCH_SECONDS if given is None else as_distribution(given)
        self.note("a batch", "seconds", str(found), "default" if given is None else "declared")
        return found

    def _resolve(self, agent: Agent[Any], model: str) -> Belief:
        name, fit = agent.name, self._fit(agent.name, model)
        one = partial(self._one, name, model=model, fit=fit, shows=model == usual_model(agent))
        own = has_stand_in(agent)
        said = self._said(name, "output_tokens", model)
        length_is_default = said is None and (fit is None or (own and fit.offline))  # it is asked, rather
        if own and length_is_default:
            self.note(name, "output_tokens", LENGTH_OF_A_STAND_IN, "default")
        lengths = as_distribution(one("output_tokens", default_length(agent), shown=not own))
        seconds = one("seconds", None)
        if seconds is None:
            self.note(name, "seconds", f"{FIRST_TOKEN.median:g} s and {SECONDS_PER_TOKEN:g} s a token", "default")
        judged = bool(agent.verify) or isinstance(agent.model, ModelCascade)
        checked, tools = judged and not own, bool(agent.tools) and not own
        right: Any = one("right", None, fit=None)
        return Belief(
            lengths,
            None if seconds is None else as_distribution(seconds),
            one("failure", FAILURE),
            one("turns", 2.0 if agent.tools else 1.0, shown=tools),
            one("refused", REFUSED if judged else 0.0, shown=checked),
            one("accept", ACCEPT, fit=None, shown=False),
            one("agreement", AGREEMENT, fit=None, shown=False),
            one("tool_tokens", float(TOOL_TOKENS), fit=None, shown=tools),
            as_distribution(one("tool_seconds", TOOL_SECONDS, shown=bool(agent.tools))),
            right if right is None or isinstance(right, Step) else Step(sound=right),
            one("warm", WARM, fit=None, shown=agent.cache in ("5m", "1h")),
            fit if said is None and self._said(name, "seconds", model) is None else None,
            length_is_default,
        )

    def _fit(self, name: str, model: str) -> Fit | None:
        """What was measured of the agent with this model; of others, what may carry over."""
        fit = self.given.fits.get(f"{name}@{model}") or self.given.fits.get(name)
        return fit if fit is None or not fit.models or model in fit.models else fit.with_another_model()

    def accept(self, name: str, *, opinion: bool) -> float:
        """How often a critic, a judge or a pattern's checkers are content."""
        return self._one(name, "accept", ACCEPT if opinion else 1 - REFUSED)

    def agreement(self, name: str) -> float:
        return self._one(name, "agreement", AGREEMENT)

    def shares(self, router: str, labels: tuple[str, ...]) -> dict[str, float]:
        """How often each label comes up; by default all alike. They sum to 1."""
        given, source = self.given.routes.get(router), "declared"
        if given is None:
            given, source = self.given.fitted_routes.get(router), "fitted from stored runs"
        if given is None:
            self.note(router, "labels", f"each of {len(labels)} as often", "default")
            return dict.fromkeys(labels, 1 / len(labels)) if labels else {}
        total = sum(given.values())
        if not total > 0:
            raise ValueError(f"the label shares of {router!r} sum to {total!r}")
        shares = {label: share / total for label, share in given.items()}
        self.note(router, "labels", ", ".join(f"{label} {percent(share)}" for label, share in shares.items()), source)
        return shares

    def number(self, what: Literal["subtasks", "items"], name: str) -> int:
        """Subtasks of a plan, items of a list."""
        given = cast("int | None", getattr(self.given, what))
        default = SUBTASKS if what == "subtasks" else ITEMS
        self.note(name, what, str(default if given is None else given), "default" if given is None else "declared")
        return default if given is None else given

    def _said(self, name: str, what: str, model: str = "") -> Any:
        for expect in (self.given.agents.get(f"{name}@{model}"), self.given.agents.get(name), self.given.everyone):
            if expect is not None and (value := getattr(expect, what)) is not None:
                return value
        return None

    def _one(
        self,
        name: str,
        what: str,
        default: Any,
        *,
        fit: Fit | None = None,
        model: str = "",
        shows: bool = True,
        shown: bool = True,
    ) -> Any:
        value = self._said(name, what, model)
        source = _source(value)
        if value is None and fit is not None:
            value, source = getattr(fit.expect, what), fit.source
        if value is None:
            value, source = default, "default"
        if value is not None and (shown or source != "default"):
            self.note(name if shows else f"{name}@{model}", what, _shown(value), source)
        return value


def usual_model(agent: Agent[Any]) -> str:
    """The id of the model that an agent calls first."""
    choice = agent.models[0]
    return choice if isinstance(choice, str) else choice.id


def has_stand_in(agent: Agent[Any]) -> bool:
    """Its answers are its own program's, and not generic ones."""
    model: Any = agent.model
    return agent.offline is not None or (isinstance(model, ScriptedModel) and model.is_function)


def default_length(agent: Agent[Any]) -> Distribution:
    """Tokens of an answer nobody has seen yet: lognormal, half of them under a quarter of `max_output_tokens`."""
    return Lognormal(max(1.0, agent.max_output_tokens * OUTPUT_SHARE), OUTPUT_SPREAD)


def _source(value: Any) -> str:
    return "nothing declared" if value is TAKEN_AS_RIGHT else "declared"


def _shown(value: Any) -> str:
    if value is TAKEN_AS_RIGHT:
        return "taken as right"
    if isinstance(value, Step):
        said = [f"{f.name} {getattr(value, f.name):g}" for f in fields(value) if getattr(value, f.name) != f.default]
        return ", ".join(said)
    return f"{value:g}" if isinstance(value, int | float) else str(value)


__all__ = ["Assumed", "Assumptions", "Belief", "Beliefs", "Confusion"]
