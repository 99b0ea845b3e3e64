"""How long answers take: time to the first token, then a pace per token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

Seconds: TypeAlias = float | Callable[[Random], float]
"""A number of seconds, or a distribution: a function that draws one."""


@dataclass(frozen=True, slots=True)
class Latency:
    """`first_token`: seconds until the answer begins; `per_token`: seconds for each output token after that.

    A stream is paced accordingly; a plain answer comes when its last token would have.
    """

    first_token: Seconds = 0.0
    per_token: Seconds = 0.0

    def draw(self, random: Random) -> tuple[float, float]:
        """Both, for one request."""
        return max(_seconds(self.first_token, random), 0.0), max(_seconds(self.per_token, random), 0.0)

    @property
    def none(self) -> bool:
        """Whether nothing takes any time."""
        return self.first_token == 0.0 and self.per_token == 0.0


def _seconds(value: Seconds, random: Random) -> float:
    return value(random) if callable(value) else value
