"""The seam of models whose provider says how likely each token of an answer was."""

from __future__ import annotations

from typing import Protocol

from outlay.errors import ConfigError
from outlay.protocols.model import Model
from outlay.values.settings import ModelSettings


class SaysLogprobs(Protocol):
    def check_logprobs(self, settings: ModelSettings) -> None:
        """Raises ConfigError where it says nothing with these settings. Else `send` asks for them where
        `request.logprobs` is set, and its answer's message has a `values.logprobs` block.
        """
        ...


def check_logprobs(model: Model, settings: ModelSettings) -> None:
    """Raises ConfigError, too, for a model without the seam."""
    check = getattr(model, "check_logprobs", None)
    if check is None:
        raise ConfigError(
            f"{model.id} gives no log-probabilities, and a gate of its cascade goes by them",
            hint="use an OpenAI model at that tier, or another gate: a checker, agreement(…), CalibratedGate(…)",
        )
    check(settings)
