"""A gate by log-probabilities: how likely the provider says the tokens of the fields were that matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.routing.calibration import Calibration
from outlay.routing.gates import judged
from outlay.values.logprobs import chance_of, logprobs_of
from outlay.values.message import Message
from outlay.values.percent import percent
from outlay.values.tier_answer import TierAnswer


@dataclass(frozen=True, slots=True)
class LogprobGate:
    """See `logprob`."""

    fields: tuple[str, ...]
    at_least: float | None = None
    calibration: Calibration | None = None
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    tier: int = 0
    name: str = "logprob"
    asks: tuple[Any, ...] = ()
    #: What the cascade asks the provider for, at `tier` only.
    reads_logprobs: bool = True

    async def judge(self, ctx: RunContext[Any], answer: TierAnswer) -> str | None:
        if answer.tier != self.tier or not answer.final:
            return None
        if answer.logprobs is None:
            return "the provider gave no log-probabilities of this answer"
        chance = chance_of(answer.text, answer.logprobs, self.fields)
        if chance is None:
            return f"the answer has no {', '.join(self.fields)}"
        ctx.decide("logprob", fields=list(self.fields), chance=round(chance, 6))
        if self.calibration is not None:
            return judged(ctx, answer, chance, self.calibration, self.versions)
        assert self.at_least is not None
        what = ", ".join(self.fields) or "the answer"
        return (
            None
            if chance >= self.at_least
            else f"{what}: {percent(chance, 1)} likely, below {percent(self.at_least, 1)}"
        )


def logprob(
    *fields: str,
    at_least: float | None = None,
    calibration: Calibration | None = None,
    versions: Mapping[str, str] | None = None,
    tier: int = 0,
) -> LogprobGate:
    """Accepts an answer of `tier` whose `fields` are likely enough.

        Cascade([small, large], logprob("label", at_least=0.9))

    The score is the probability of the fields' values, as the model gave it to their tokens, each after what stands
    before it; of the whole answer without `fields`. `at_least` is a threshold that nobody measured;
    `calibration=calibrate(scores, right)`, of scores by `likelihood`, is one with a promise, void where a model answers
    as another one than in `versions` (see `CalibratedGate`). What gives no log-probabilities (Anthropic's models,
    OpenAI's while they reason, students, nodes) is a ConfigError before anything is spent; an answer without them, as
    of a fallback, does not pass. Turns that call tools do.
    """
    if (at_least is None) == (calibration is None):
        raise ConfigError(
            "logprob needs either at_least= or calibration=",
            hint='logprob("label", at_least=0.9), or calibration=calibrate(scores, right) from labelled answers',
        )
    if at_least is not None and not 0 < at_least <= 1:
        raise ConfigError(f"logprob: at_least={at_least!r} is a probability above 0, at most 1")
    return LogprobGate(fields, at_least, calibration, dict(versions or {}), tier)


def likelihood(message: Message, *fields: str) -> float | None:
    """The score that `logprob` goes by, of an answer with log-probabilities; None where there is none."""
    tokens = logprobs_of(message)
    return None if tokens is None else chance_of(message.text, tokens, fields)
