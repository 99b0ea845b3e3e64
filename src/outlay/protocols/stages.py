"""The stages of a call's path that are optional: each is a seam, None where nothing is plugged in (SEMANTICS 3).

label policy → journal → response cache → for each attempt: breaker → rate permit → reserve → …
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from outlay.errors import ModelError
from outlay.protocols.effects import ToolEffect
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.values.label import Label
from outlay.values.request import ModelRequest, ModelResponse


class LabelPolicy(Protocol):
    def allow(self, effect: str, label: Label, path: str) -> None:
        """Raises PolicyViolation where a value of this label may not cause `effect` (`model`, or a tool's name)."""
        ...


class Memory(Protocol):
    """The journal: this run's past."""

    async def find(self, key: str, request: ModelRequest) -> ModelResponse | None: ...
    async def remember(self, key: str, request: ModelRequest, response: ModelResponse) -> None: ...


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """What an answer is stored under: who gives it, the effect (`call_key`), and the tenants that pay for it."""

    provider: str
    model: str
    effect: str
    tenants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """A stored answer; `similarity` where it was given to another question, which was nearly the same."""

    response: ModelResponse
    similarity: float | None = None


class Answers(Protocol):
    """The response cache: what was answered in other runs."""

    @property
    def fresh(self) -> bool:
        """Nothing is given again; what is new is stored."""
        ...

    async def find(self, key: AnswerKey, request: ModelRequest) -> Given | None: ...
    async def remember(self, key: AnswerKey, request: ModelRequest, response: ModelResponse) -> None: ...

    async def stale(self, key: AnswerKey, request: ModelRequest) -> tuple[ModelResponse, float] | None:
        """What `find` would give if it were younger, as far as `request` allows that, and its age in seconds."""
        ...


class Breaker(Protocol):
    """Whether a model is worth asking, for all runs that share it."""

    def admit(self, model: Model, now: float) -> None:
        """Raises Overloaded, which is not retryable, while the circuit is open."""
        ...

    def passes(self, model: Model) -> bool:
        """Is the circuit closed? Asked before a call waits for another attempt."""
        ...

    def down_since(self, model: Model) -> float | None:
        """When the first attempt was sent of many that have all failed since, None where some are answered."""
        ...

    def record(self, model: Model, error: ModelError | None, sent: float, now: float) -> Turned | None:
        """What became of an attempt that began at `sent`; what that did to the circuit, if anything."""
        ...


@dataclass(frozen=True, slots=True)
class Turned:
    """A circuit opened or closed. `target` is what users call the model, `reason` the last failure."""

    target: str
    state: str
    reason: str


class Retries(Protocol):
    """How often a provider may be tried again, over all runs that share it."""

    def first(self, model: Model, now: float) -> None:
        """A call's first attempt begins."""
        ...

    def again(self, model: Model, error: ModelError, now: float, began: float) -> bool:
        """May a call that began at `began`, and failed with this, be tried again? Counted if so."""
        ...

    def goes(self, model: Model, error: ModelError, now: float, down_since: float | None) -> bool:
        """Such a retry is about to go: may it still, now that it is known who else has failed?"""
        ...

    def one_more(self, model: Model, now: float) -> bool:
        """May a call that has not failed be sent a second time? Counted as a retry if so."""
        ...


class Permits(Protocol):
    """Who may call a model next, over all runs that share it. A permit is opaque, and given back once."""

    async def acquire(self, model: Model, tokens: int, run: str) -> Any:
        """Wait for the provider's limits, in turn with other runs; holds nothing else meanwhile."""
        ...

    def least(self, model: Model) -> float:
        """Seconds that an answer of this model takes at least, 0 where that is not known."""
        ...

    def release(self, model: Model, permit: Any, came: ModelResponse | ModelError | None, seconds: float) -> None:
        """A call is over, `seconds` after it was sent; `came` is what came of it, None for one that was cut off."""
        ...

    def unused(self, model: Model, permit: Any) -> None:
        """The call was never sent."""
        ...


class Guard(Protocol):
    """What stands before each new effect of a run that has a watchdog."""

    async def gate(self, path: str, final: str) -> None:
        """Return when the effect at `path` may begin. `final` is the path of the final step that it is part of, empty
        where it is none. Raises WatchdogStopped."""
        ...

    def changed(self, path: str, what: str) -> None:
        """Something shared was read or written that leaves no event."""


class Lane(Protocol):
    """Calls that are collected into batches, from all runs that share it (runtime/batches.py)."""

    @property
    def on_failure(self) -> str:
        """What becomes of a call that its batch did not answer: `retry`, `live` or `fail`."""
        ...

    def takes(self, request: ModelRequest, model: Model) -> bool:
        """Does this request go by batch?"""
        ...

    def window(self, model: Model) -> float:
        """Seconds that its batch may take."""
        ...

    async def answer(
        self, run: Any, model: Model, request: ModelRequest, key: str, attempt: int, *, again: bool
    ) -> ModelResponse:
        """One attempt. `again`: an earlier process may have sent it. Raises ModelError."""
        ...

    def is_out(self, run: Any, key: str, attempt: int) -> bool:
        """Has the attempt been sent, and not been answered? Its batch goes on, whoever waits for it."""
        ...


class StandIns(Protocol):
    """What takes the place of tools and checkers in a simulated run: nothing may reach the outside world."""

    def tool(self, node: Node[Any, Any], effect: ToolEffect) -> ToolEffect:
        """The effect to run instead; the same one where it may run."""
        ...

    def checks(self, node: Node[Any, Any]) -> bool:
        """Do this node's checkers really run?"""
        ...

    def problem(self, node: Node[Any, Any], checker: Callable[..., Any]) -> str | None:
        """What a checker that does not run says."""
        ...


class Shortcut(Protocol):
    """The whole path of a call in one step: for simulated runs in which nothing on it could matter."""

    def answer(
        self,
        run: Any,
        model: Model,
        request: ModelRequest,
        fallback: Sequence[Model],
        draw: Callable[[], float],
    ) -> Awaitable[ModelResponse] | None:
        """What the call gives; None where it must go the long way. Raises what the long way raises."""
        ...


@dataclass(frozen=True, slots=True)
class Stages:
    policy: LabelPolicy | None = None
    journal: Memory | None = None
    cache: Answers | None = None
    breaker: Breaker | None = None
    permits: Permits | None = None
    retries: Retries | None = None
    stand_ins: StandIns | None = None
    shortcut: Shortcut | None = None
    lane: Lane | None = None


#: None of them.
UNSTAGED: Final = Stages()
