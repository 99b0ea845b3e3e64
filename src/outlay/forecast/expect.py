"""What to expect of one agent."""

from __future__ import annotations

from dataclasses import dataclass

from outlay.forecast.distributions import Distribution, as_distribution
from outlay.forecast.reliability import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What to expect of an agent's calls; None where nothing is said.

    `output_tokens`, `seconds` of one call. `failure`: one attempt fails (and is tried again, unbilled). `turns`: calls
    until the answer, those that only call tools included. `refused`: an answer does not pass its checks and is fed
    back. `accept`: a critic or judge is content. `agreement`: a sample says what most samples say. `tool_tokens` that a
    tool's result adds, `tool_seconds` that it takes. `right`: the probabilities that its output is right, or one for
    all. `warm`: under `cache="5m"` or `"1h"`, a call finds its prefix in the provider's cache.
    """

    output_tokens: Distribution | float | None = None
    seconds: Distribution | float | None = None
    failure: float | None = None
    turns: float | None = None
    refused: float | None = None
    accept: float | None = None
    agreement: float | None = None
    tool_tokens: float | None = None
    tool_seconds: Distribution | float | None = None
    right: Step | float | None = None
    warm: float | None = None

    def __post_init__(self) -> None:
        for name in ("failure", "refused", "accept", "agreement", "warm"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability, between 0 and 1, not {value!r}")
        if self.turns is not None and not self.turns >= 1:
            raise ValueError(f"turns is at least 1, not {self.turns!r}")
        for name in ("output_tokens", "seconds", "tool_tokens", "tool_seconds"):
            if (value := getattr(self, name)) is not None:
                as_distribution(value)
