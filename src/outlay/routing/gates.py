"""Gates of a cascade that look at more than the output: an expected tool call, agreement, a calibrated confidence."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from outlay.errors import ConfigError, ModelError, OutputInvalid
from outlay.protocols.context import RunContext
from outlay.routing.calibration import Calibration
from outlay.routing.learned import Learned
from outlay.routing.router import text_of
from outlay.values.ballots import as_key
from outlay.values.percent import percent
from outlay.values.tier_answer import TierAnswer

log = logging.getLogger("outlay")


@dataclass(frozen=True, slots=True)
class CallsTool:
    """See `calls_tool`."""

    tools: tuple[str, ...]
    name: str = "calls_tool"
    asks: tuple[Any, ...] = ()

    async def judge(self, ctx: RunContext[Any], answer: TierAnswer) -> str | None:
        called = {call.name for call in answer.tool_calls} | {result.name for result in ctx.tool_results}
        return None if called & set(self.tools) else f"none of the tools {', '.join(self.tools)} was called"


def calls_tool(*tools: str) -> CallsTool:
    """Accepts an answer that calls one of these tools, or comes after one of them was called.

    An answer from memory where a look-up was expected is the cheap model's most common failure with tools.
    """
    if not tools:
        raise ConfigError("calls_tool needs the names of tools", hint='calls_tool("search")')
    return CallsTool(tools)


@dataclass(frozen=True, slots=True)
class Agreement:
    """See `agreement`."""

    asks: tuple[Any, ...]
    need: int
    key: Callable[[Any], Any] | None = None
    tier: int = 0
    name: str = "agreement"

    async def judge(self, ctx: RunContext[Any], answer: TierAnswer) -> str | None:
        if answer.tier != self.tier:
            return None
        ours, agreeing = self._key(answer), 0
        for asked, peer in enumerate(self.asks):
            if agreeing >= self.need:
                break
            if agreeing + len(self.asks) - asked < self.need:
                break  # the rest could not make up for it: not asked, not paid
            try:
                agreeing += self._key(await answer.ask(peer)) == ours
            except (ModelError, OutputInvalid) as error:
                ctx.decide("peer_failed", error=type(error).__name__)
        return None if agreeing >= self.need else f"{agreeing} of {self.need} cheap peers agreed"

    def _key(self, answer: TierAnswer) -> Any:
        if answer.tool_calls:
            return tuple(sorted((call.name, _canonical(call.arguments)) for call in answer.tool_calls))
        output = answer.output
        if self.key is not None and output is not None:
            return as_key(self.key(output))
        return as_key(" ".join(output.split()).casefold() if isinstance(output, str) else output)


def agreement(
    peers: Sequence[Any], *, need: int = 1, key: Callable[[Any], Any] | None = None, tier: int = 0
) -> Agreement:
    """Accepts an answer of `tier` that `need` of the `peers` (cheap models, or nodes in a cascade of nodes) give too.

    They are asked one after another, as long as it matters, and stand on the bill with the purpose `gate`. Outputs are
    the same where `key` of them is (None: equal, text by its words); tool calls where names and arguments are. A peer
    that fails does not agree.
    """
    peers = (peers,) if isinstance(peers, str) else tuple(peers)
    if not 1 <= need <= len(peers):
        raise ConfigError(f"agreement: need={need!r} of {len(peers)} peers", hint="at least 1, at most all of them")
    return Agreement(peers, need, key, tier)


@dataclass(frozen=True, slots=True)
class CalibratedGate:
    """Accepts an answer of `tier` whose score the calibration accepts; `score` is a function of the output, higher for
    surer, the one that was calibrated.

    `versions` says, by model id, on which version of a model the labels were made. Where another one answers (the
    `returned` version of the call), the calibration is void: nothing is accepted, the log and the run's events say
    so, and it has to be made anew. Without `versions` nobody can tell.
    """

    score: Callable[[Any], float]
    calibration: Calibration
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    tier: int = 0
    name: str = "calibrated"
    asks: tuple[Any, ...] = ()

    async def judge(self, ctx: RunContext[Any], answer: TierAnswer) -> str | None:
        if answer.tier != self.tier or not answer.final:
            return None
        return judged(ctx, answer, self.score(answer.output), self.calibration, self.versions)


@dataclass(frozen=True, slots=True)
class LearnedGate:
    """A gate trained by `outlay router train` on the cheap model's answers.

        agent = Agent("solver", Cascade([small, large], LearnedGate.load("gate.json")))

    It accepts by the calibration in the file, which bounds P(accepted and wrong); `at_share` goes by a share of strong
    calls instead. A file without recorded versions takes them from `load(…, versions=)`: see `CalibratedGate`.
    """

    learned: Learned
    versions: Mapping[str, str]
    threshold: float | None = None
    tier: int = 0
    name: str = "learned"
    asks: tuple[Any, ...] = ()

    @classmethod
    def load(cls, path: str | Path, *, versions: Mapping[str, str] | None = None) -> LearnedGate:
        """Raises ConfigError for a file that decides before the call, or has too few labels for a calibration."""
        learned = Learned.load(path)
        if learned.decides == "before":
            raise ConfigError(
                f"{Path(path).name} reads the question only: it is a router, not a gate",
                hint="Router(LearnedRouter.load(…), …), or train with --decides after",
            )
        if learned.calibration is None:
            raise ConfigError(f"{Path(path).name} is not calibrated", hint="train it on more labels")
        return cls(learned, dict(learned.versions if versions is None else versions))

    def at_share(self, share: float) -> LearnedGate:
        """The same with about this share of strong calls."""
        return replace(self, threshold=self.learned.threshold_for(share))

    async def judge(self, ctx: RunContext[Any], answer: TierAnswer) -> str | None:
        if answer.tier != self.tier or not answer.final:
            return None
        question, text = text_of(answer.input), answer.text or text_of(answer.output)
        if self.threshold is None:
            assert self.learned.calibration is not None
            score = self.learned.confidence(question, text)
            return judged(ctx, answer, score, self.learned.calibration, self.versions)
        if (problem := void(ctx, answer, self.versions)) is not None:
            return problem
        gain = self.learned.gain(question, text)
        return None if gain <= self.threshold else f"a gain of {gain:.2f} expected, above {self.threshold:.2f}"


def judged(
    ctx: RunContext[Any], answer: TierAnswer, score: float, calibration: Calibration, versions: Mapping[str, str]
) -> str | None:
    """What a calibration makes of a score; None to accept."""
    if (problem := void(ctx, answer, versions)) is not None:
        return problem
    if math.isnan(score):
        return "the score is no number"
    if calibration.accepts(score):
        return None
    return f"{percent(calibration.confidence(score))} likely to be right"


def void(ctx: RunContext[Any], answer: TierAnswer, versions: Mapping[str, str]) -> str | None:
    """Why a calibration no longer says anything: the provider answers with another version of the model."""
    for model, version in versions.items():
        returned = answer.versions.get(model, "")
        if returned and returned != version:
            problem = f"the calibration is void: {model} answers as {returned}, it was made on {version}"
            ctx.decide("calibration_void", model=model, returned=returned, calibrated=version)
            log.warning("%s: %s; label its answers anew and calibrate again", ctx.path, problem)
            return problem
    return None


def self_reported(threshold: float, *, field: str = "confidence") -> Callable[[Any], str | None]:
    """Accepts an output whose own `confidence` is at least `threshold`. It warns: models are sure of wrong answers
    too, and nothing is known of how often. `CalibratedGate(lambda o: o.confidence, calibrate(…))` is the same with a
    promise.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"self_reported: a threshold is between 0 and 1, not {threshold!r}")
    warnings.warn(
        "a self-reported confidence alone is no measured one: calibrate it with outlay.routing.calibrate",
        stacklevel=2,
    )

    def confident(output: Any) -> str | None:
        said: Any = output.get(field) if isinstance(output, Mapping) else getattr(output, field, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        try:
            sure = float(said)  # pyright: ignore[reportUnknownArgumentType]
        except (TypeError, ValueError):
            return f"it has no {field}"
        return None if sure >= threshold else f"{field} {sure:.2f} is below {threshold:.2f}"

    confident.goes_by = "confidence"  # pyright: ignore[reportFunctionMemberAccess]  # for checks of a flow
    return confident


def _canonical(arguments: Any) -> str:
    """A call's arguments, however its JSON is written."""
    try:
        given: Any = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        given = arguments
    return json.dumps(given, sort_keys=True, default=str)
