"""When a run looks stuck or runs away: rules over its events (the watchdog's decisions; runtime/watching.py acts).

Every rule is a fold over the events of one run, in their order: a run that is resumed folds its past and comes to the
same. A rule speaks at its limit, at twice its limit, and so on: who was told once, and let it go on, is told again.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeAlias, cast

from outlay.errors import ConfigError
from outlay.events.records import (
    CACHED,
    CallFailed,
    CallFinished,
    CallStarted,
    Checked,
    Decision,
    Event,
    NodeStarted,
    SharedDone,
    ToolFinished,
    ToolStarted,
)
from outlay.values.money import show_usd, usd

Action: TypeAlias = Literal["warn", "pause", "stop"]
ACTIONS: tuple[Action, ...] = ("warn", "pause", "stop")
RULES = ("same_call", "no_progress", "retries", "forecast", "usual")
#: Retries pile up where so many come in this many seconds.
RETRY_SECONDS = 60.0
#: Fewer runs than these have no usual cost.
ENOUGH_RUNS = 5
_REPEAT = re.compile(r"#\d+")


@dataclass(frozen=True, slots=True)
class Watchdog:
    """What to watch for in a run, and what to do about it.

    `same_call`: the same tool with the same arguments, or the same request to a model, so often at one place of the
    flow. `no_progress`: so many turns of one conversation without a new tool result, artifact or shared value.
    `retries`: so many attempts that were tried again and answers that were sent back, within a minute. `usd` and
    `tokens` are what the run is expected to use (a forecast's figures), and `factor` how many times that is far
    above it. `usual` is so many times the median cost of the flow's past runs in the store (from five completed ones
    on). None turns a rule off.

    `then` is what to do: "warn" (an event and an alert), "pause" (no new call until a human says so; without an answer
    the run suspends, to be resumed) or "stop" (no new call; what is paid for is kept); for all rules, or by rule:
    `then={"same_call": "stop"}`, where rules that are not named warn. `opinion` is a model that is asked first where a
    rule would pause or stop, on the run's budget; it can spare the run once for each limit that is reached, and never
    from the second time on. Raises ConfigError.
    """

    same_call: int | None = 5
    no_progress: int | None = 6
    retries: int | None = 20
    usd: Any = None
    tokens: int | None = None
    factor: float = 3.0
    usual: float | None = None
    then: Action | Mapping[str, Action] = "warn"
    opinion: Any = None

    def __post_init__(self) -> None:
        for name, least in (("same_call", 2), ("no_progress", 1), ("retries", 1), ("tokens", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ConfigError(f"Watchdog: {name} is a number of at least {least}, or None, not {value!r}")
        for name in ("factor", "usual"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise ConfigError(f"Watchdog: {name} is a positive number, not {value!r}")
        if self.usd is not None:
            try:
                object.__setattr__(self, "usd", usd(self.usd))
                if not self.usd:
                    raise ValueError("a forecast of nothing")
            except ValueError as error:
                raise ConfigError(f"Watchdog: usd={self.usd!r}: {error}", hint='write usd="0.10"') from None
        then = self.then if isinstance(self.then, Mapping) else dict.fromkeys(RULES, self.then)
        if unknown := [name for name in then if name not in RULES]:
            raise ConfigError(f"Watchdog: there is no rule {unknown[0]!r}", hint=f"the rules are {', '.join(RULES)}")
        if wrong := [action for action in then.values() if action not in ACTIONS]:
            raise ConfigError(f"Watchdog: then={wrong[0]!r} is not understood", hint=f"use one of {', '.join(ACTIONS)}")
        object.__setattr__(self, "then", dict(then))

    def action(self, rule: str) -> Action:
        return cast("Mapping[str, Action]", self.then).get(rule, "warn")

    def facts(self) -> dict[str, Any]:
        """Itself as JSON has it: what a run records, for `of` to make it again."""
        opinion = self.opinion if self.opinion is None or isinstance(self.opinion, str) else self.opinion.id
        names = ("same_call", "no_progress", "retries", "tokens", "factor", "usual", "then")
        found = {name: getattr(self, name) for name in names}
        return found | {"usd": None if self.usd is None else str(self.usd), "opinion": opinion}

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Watchdog:
        """The watchdog that `facts` described. Raises ConfigError for those of another version."""
        try:
            return Watchdog(**facts)
        except TypeError:
            raise ConfigError(
                "the run's watchdog was written by another version", hint="update outlay, or say --watchdog anew"
            ) from None


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule was met at `path`, for the `level`th time; `about` tells its subjects apart, `text` is for people."""

    rule: str
    path: str
    about: str
    level: int
    text: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.rule, self.path, self.about, self.level


@dataclass(slots=True)
class Watch:
    """One run so far, as the rules see it. `usual` is the median cost of past runs in US dollars, None if unknown."""

    watchdog: Watchdog
    usual: Decimal | None = None
    _effects: set[str] = field(default_factory=set[str])
    _same: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    _idle: dict[str, int] = field(default_factory=dict[str, int])
    _stalls: Counter[str] = field(default_factory=Counter[str])
    _seen: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _retried: deque[float] = field(default_factory=deque[float])
    _piled: int = 0
    _usd: Decimal = Decimal(0)
    _tokens: int = 0
    _levels: dict[str, int] = field(default_factory=dict[str, int])

    def see(self, event: Event) -> list[Finding]:
        """What this event brings to a limit."""
        found: list[Finding | None] = []
        match event:
            case CallStarted() | ToolStarted():
                found = [self._called(event)]
            case CallFinished():
                found = [self._turn(event), *self._spent(event)]
            case CallFailed():
                self._usd += event.in_doubt or Decimal(0)
                found = self._costs(event.path)
            case ToolFinished() if not event.error:
                self.changed(event.path, event.tool, event.value)
            case SharedDone():
                self.changed(event.path, f"{event.what} {event.name}", event.value)
            case NodeStarted():
                self._idle.pop(event.path, None)
            case Decision() if event.about == "retry":
                found = [self._again(event)]
            case Checked() if event.problem:
                found = [self._again(event)]
            case _:
                pass
        return [one for one in found if one is not None]

    def changed(self, path: str, what: str, value: str) -> None:
        """Something was learned or written at `path`: new, and so progress for all around it, unless seen before."""
        if value and (what, value) in self._seen:
            return  # a value that is not known may be a new one
        self._seen.add((what, value))
        while path:
            self._idle.pop(path, None)
            path = path.rpartition("/")[0]

    def _called(self, event: CallStarted | ToolStarted) -> Finding | None:
        limit = self.watchdog.same_call
        if limit is None or event.key in self._effects:
            return None  # another attempt at the same call
        self._effects.add(event.key)
        place, what = _REPEAT.sub("", event.path), event.key.split("-")[1]
        self._same[place, what] += 1
        times = self._same[place, what]
        if times % limit:
            return None
        name = event.tool if isinstance(event, ToolStarted) else f"{event.agent} asked its model"
        text = f"{name}: the same {'call' if isinstance(event, ToolStarted) else 'request'} {times} times"
        return Finding("same_call", place, what[:12], times // limit, text)

    def _turn(self, event: CallFinished) -> Finding | None:
        limit, purpose = self.watchdog.no_progress, event.purpose
        if limit is None or purpose in (CACHED, "gate") or (purpose.startswith("tier:") and purpose != "tier:0"):
            return None
        turns = self._idle[event.path] = self._idle.get(event.path, 0) + 1
        if turns % limit:
            return None
        self._stalls[event.path] += 1  # and not turns // limit: a run may get stuck again after some progress
        text = f"{event.agent}: {turns} turns without a new tool result, artifact or shared value"
        return Finding("no_progress", event.path, "", self._stalls[event.path], text)

    def _again(self, event: Decision | Checked) -> Finding | None:
        limit, times = self.watchdog.retries, self._retried
        if limit is None:
            return None
        times.append(event.time)
        while times[0] <= event.time - RETRY_SECONDS:
            times.popleft()
        if len(times) < limit:
            return None
        times.clear()
        self._piled += 1
        text = f"{limit} attempts were tried again or answers sent back within {RETRY_SECONDS:.0f} s"
        return Finding("retries", event.path, "", self._piled, text)

    def _spent(self, event: CallFinished) -> list[Finding | None]:
        self._usd += event.cost or Decimal(0)
        self._tokens += event.known_tokens
        return self._costs(event.path)

    def _costs(self, path: str) -> list[Finding | None]:
        dog, root = self.watchdog, path.partition("/")[0]
        spent, found = f"{show_usd(self._usd)} spent", list[Finding | None]()
        if dog.usd is not None:
            words = f"{spent}, {{}} times the forecast of {show_usd(dog.usd)}"
            found.append(self._above("forecast", "usd", self._usd, dog.usd, dog.factor, root, words))
        if dog.tokens is not None:
            words = f"{self._tokens:,} tokens used, {{}} times the forecast of {dog.tokens:,}"
            found.append(
                self._above("forecast", "tokens", Decimal(self._tokens), Decimal(dog.tokens), dog.factor, root, words)
            )
        if dog.usual is not None and self.usual:
            words = f"{spent}, {{}} times the usual {show_usd(self.usual)} of this flow"
            found.append(self._above("usual", "usd", self._usd, self.usual, dog.usual, root, words))
        return found

    def _above(
        self, rule: str, about: str, used: Decimal, expected: Decimal, factor: float, root: str, words: str
    ) -> Finding | None:
        times = used / expected
        level = int(times / Decimal(str(factor)))
        if level <= self._levels.get(f"{rule} {about}", 0):
            return None
        self._levels[f"{rule} {about}"] = level
        return Finding(rule, root, about, level, words.format(f"{times:.1f}"))
