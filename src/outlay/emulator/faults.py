"""Faults on demand: what goes wrong, and which request it happens to.

A schedule names requests by position (`at`), by chance (`rates`, drawn from the seed and the position alone,
so that the same position always suffers the same fate), or both. A behaviour may also answer with a `Fault`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal, TypeAlias, get_args

from outlay.emulator.problems import ErrorAnswer

FaultKind: TypeAlias = Literal[
    "http",
    "timeout",
    "reset",
    "html",
    "not_json",
    "truncated",
    "half_stream",
    "error_event",
    "slow",
    "drip",
    "twice",
    "extras",
]
Ending: TypeAlias = Literal["cut", "clean", "hang"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. Use the constructors; they say which fields matter."""

    kind: FaultKind
    status: int = 200
    message: str = ""
    type: str = ""
    code: str = ""
    retry_after: float | str | None = None
    billed: bool = False
    after: int = 0
    ending: Ending = "cut"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.after, int) or self.after < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"after= counts events of the stream: a whole number from 0, not {self.after!r}")
        if self.ending not in get_args(Ending):
            raise ValueError(f"ending= is one of {', '.join(get_args(Ending))}, not {self.ending!r}")

    @classmethod
    def http(
        cls, status: int, message: str = "", *, type: str = "", code: str = "", retry_after: float | str | None = None
    ) -> Fault:
        """The provider's own error body under this status; `retry_after` in seconds becomes the header, a text does as
        it is ("-1", "soon", a date)."""
        return cls("http", status, message, type, code, retry_after)

    @classmethod
    def timeout(cls, *, billed: bool = False) -> Fault:
        """No answer, ever. `billed`: the provider did the work and charges for it."""
        return cls("timeout", billed=billed)

    @classmethod
    def reset(cls, *, billed: bool = False) -> Fault:
        """The connection is reset instead of an answer. `billed`: the work was done and is charged."""
        return cls("reset", billed=billed)

    @classmethod
    def html(cls, status: int = 502) -> Fault:
        """A proxy's HTML page under this status, which may be 200."""
        return cls("html", status)

    @classmethod
    def not_json(cls) -> Fault:
        """Status 200, `application/json`, and a body that is not JSON."""
        return cls("not_json", billed=True)

    @classmethod
    def truncated(cls) -> Fault:
        """A whole, well-formed HTTP answer whose JSON stops in the middle."""
        return cls("truncated", billed=True)

    @classmethod
    def half_stream(cls, after: int = 4, ending: Ending = "cut") -> Fault:
        """A stream that stops after so many events: connection `cut`, `clean` end of body, or open for ever
        (`hang`).
        """
        return cls("half_stream", billed=True, after=after, ending=ending)

    @classmethod
    def error_event(cls, status: int = 529, after: int = 4, message: str = "") -> Fault:
        """A stream that turns into an error event after so many events; `status` picks the error."""
        return cls("error_event", status, message, billed=True, after=after)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """So many seconds before a plain answer, or before each event of a stream."""
        return cls("slow", seconds=seconds)

    @classmethod
    def drip(cls, seconds: float) -> Fault:
        """An answer in a few bytes at a time, so many seconds apart (a slow loris)."""
        return cls("drip", seconds=seconds)

    @classmethod
    def twice(cls) -> Fault:
        """A stream whose every event comes twice but for its deltas: one that did would be another text. A plain
        answer is as always."""
        return cls("twice")

    @classmethod
    def extras(cls) -> Fault:
        """A correct answer with fields and events that nobody has documented yet."""
        return cls("extras")

    @property
    def answers(self) -> bool:
        """Does a whole answer come all the same?"""
        return self.kind in ("slow", "drip", "twice", "extras")

    def error(self) -> ErrorAnswer:
        """The error that this fault puts on the wire."""
        after = self.retry_after
        headers = {} if after is None else {"retry-after": after if isinstance(after, str) else f"{after:g}"}
        return ErrorAnswer(self.status, self.message, self.type, self.code, headers=headers)


FaultLike: TypeAlias = Fault | int
"""A fault, or an HTTP status for short."""


def fault_of(fault: FaultLike) -> Fault:
    """The fault that a number stands for."""
    return Fault.http(fault) if isinstance(fault, int) else fault


@dataclass(frozen=True, slots=True)
class Faults:
    """A schedule. Positions count matching requests from 1: `Faults(at={3: 529})` is "the third request gets
    529".

    `rates` are chances per request, at most 1 together: `{429: 0.05, Fault.reset(): 0.01}`. `paths` restricts
    the schedule, counting included, to requests whose path is one of them (such as `/v1/messages`).
    """

    at: Mapping[int, FaultLike] = field(default_factory=dict[int, FaultLike])
    rates: Mapping[FaultLike, float] = field(default_factory=dict[FaultLike, float])
    paths: Collection[str] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        total = sum(self.rates.values())
        if total > 1 or any(rate < 0 for rate in self.rates.values()):
            raise ValueError(f"the rates of faults are chances of one request: each >= 0, sum <= 1, not {total:g}")

    def draw(self, position: int) -> Fault | None:
        """The fate of the request at this position."""
        if (fault := self.at.get(position)) is not None:
            return fault_of(fault)
        if not self.rates:
            return None
        chance = Random(f"{self.seed}:{position}").random()  # noqa: S311 - a schedule, not a secret
        for fault, rate in self.rates.items():
            if (chance := chance - rate) < 0:
                return fault_of(fault)
        return None
