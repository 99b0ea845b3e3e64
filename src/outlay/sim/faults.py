"""Faults on virtual time: what befalls each request, drawn from a seed.

A fate hangs on the seed, on what is asked and on how often it was asked before, never on the order in which requests
happen to arrive: the same seed gives the same fates however a run's branches interleave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from outlay.errors import ConfigError
from outlay.sim.distributions import Distribution, Drawn, distribution

if TYPE_CHECKING:
    from outlay.protocols.model import Model
    from outlay.sim.faulty import Books, FaultyModel

FaultKind: TypeAlias = Literal[
    "rate_limited",
    "overloaded",
    "server_error",
    "no_connection",
    "read_timeout",
    "half_open",
    "slow_loris",
    "broken_json",
    "reset",
    "duplicate_events",
    "wrong_usage",
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
_BY_STATUS: dict[int, FaultKind] = {429: "rate_limited", 500: "server_error", 529: "overloaded"}

#: What providers and the proxies before them have put there, and what they should not.
HOSTILE_RETRY_AFTER: tuple[str | None, ...] = (
    *(None, "0", "1", "2.5", "-1", "NaN", "inf", "soon", "", "3600", "1e400"),
    *("Thu, 01 Jan 2026 00:00:20 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"),
)


@dataclass(frozen=True, slots=True)
class Fate:
    """What is going to happen to one request.

    `latency` in seconds; `tokens` is the length of the answer, None as the model has it; `good`: the answer stands as
    the model gave it. `billed`: where the client sees no answer, the provider charges all the same. `streamed`: the
    answer comes as a stream of events. `retry_after` is the header of a 429; `variant` from 0 to 1 picks one of
    several forms that a fault has.
    """

    kind: FaultKind | None = None
    latency: float = 0.0
    tokens: int | None = None
    good: bool = True
    billed: bool = False
    streamed: bool = False
    retry_after: str | None = None
    variant: float = 0.0


@dataclass(frozen=True)
class Faults:
    """A seeded schedule of faults for any model, under virtual time or real.

    `rates` are chances per request by kind (or by the status 429, 500, 529), at most 1 together; a number is the chance
    of any fault, each kind alike. `latency` in seconds and `length` in output tokens are drawn for each answer: a
    number, two ends, or a distribution; without `length` answers are as long as the model makes them. `quality` is the
    chance that an answer is left as the model gave it: the others are cut in half, which checkers and schemas notice.

        flaky = Faults(seed=7, rates={429: 0.1, "reset": 0.05}, latency=(0.2, 3))
        with virtual_time():
            result = run_sync(flow, "…", models={"*": flaky.wrap(model)})

    Raises ConfigError for a kind that is not known, and for chances that are none.
    """

    seed: int = 0
    rates: Mapping[FaultKind | int, float] | float = 0.0
    latency: Drawn = 0.0
    length: Drawn | None = None
    quality: float = 1.0
    _chances: tuple[tuple[FaultKind, float], ...] = field(init=False, repr=False, default=())
    _latency: Distribution = field(init=False, repr=False)
    _length: Distribution | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.rates, Mapping):
            chances = tuple((_kind(name), chance) for name, chance in self.rates.items())
        else:
            chances = tuple((kind, self.rates / len(KINDS)) for kind in KINDS)
        total = sum(chance for _, chance in chances)
        if not (total <= 1 + 1e-9 and all(chance >= 0 for _, chance in chances) and 0 <= self.quality <= 1):
            raise ConfigError(
                f"rates= are chances of one request and quality= is one: from 0, together at most 1, not {total:g} "
                f"and {self.quality:g}",
                hint='write Faults(seed=7, rates={429: 0.1, "reset": 0.05}, quality=0.9)',
            )
        try:
            object.__setattr__(self, "_latency", distribution(self.latency))
            object.__setattr__(self, "_length", None if self.length is None else distribution(self.length))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        object.__setattr__(self, "_chances", chances)

    @property
    def chances(self) -> tuple[tuple[FaultKind, float], ...]:
        """The chance of one request to meet with each kind."""
        return self._chances

    def wrap(self, model: Model, books: Books | None = None) -> FaultyModel:
        """`model` behind these faults. `books` is the provider's own record of what it billed; several models may
        share one."""
        from outlay.sim.faulty import FaultyModel  # it needs the adapters; a schedule alone does not

        return FaultyModel(model, self, books)

    def fate(self, what: str, time: int = 0) -> Fate:
        """What happens to a request that asks for `what`, for the `time`th time (from 0)."""
        draw = Random(f"{self.seed}:{time}:{what}")  # noqa: S311 - a schedule, not a secret
        chance, kind = draw.random(), None
        for name, rate in self._chances:
            if (chance := chance - rate) < 0:
                kind = name
                break
        return Fate(
            kind,
            self._latency.draw(draw),
            None if self._length is None else max(1, round(self._length.draw(draw))),
            draw.random() < self.quality,
            draw.random() < 0.5,
            draw.random() < 0.3 or kind == "duplicate_events",
            draw.choice(HOSTILE_RETRY_AFTER),
            draw.random(),
        )


def _kind(name: FaultKind | int) -> FaultKind:
    found = _BY_STATUS.get(name) if isinstance(name, int) else name if name in KINDS else None
    if found is None:
        known = ", ".join((*KINDS, *map(str, _BY_STATUS)))
        raise ConfigError(f"there is no fault {cast('object', name)!r}", hint=f"rates= takes {known}")
    return found
