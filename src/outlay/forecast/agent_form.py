"""The closed form of an agent: its turns, the retries of failed attempts, the corrections of refused answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from outlay.agents.agent import Agent
from outlay.errors import Overloaded
from outlay.forecast.assumptions import Belief
from outlay.forecast.expected import Expected, Share, either
from outlay.forecast.fits import Kind
from outlay.forecast.moments import NOTHING, Moments
from outlay.forecast.reliability import Step
from outlay.policies.retry import RetryPolicy
from outlay.protocols.caching import terms_of
from outlay.protocols.model import Model
from outlay.values.estimate import CHARACTERS_PER_TOKEN
from outlay.values.price import Price
from outlay.values.request import ModelRequest, Prelude
from outlay.values.transcript import EMPTY

RETRY = RetryPolicy()
_BUSY = Overloaded("busy")
#: Tokens of a tool call, name and arguments.
TOOL_CALL_TOKENS = 40
#: What stands around the problem when a refused answer is fed back.
CORRECTION_CHARACTERS = 94


@dataclass(frozen=True, slots=True)
class Conversation:
    """What an agent reads at the first of its calls, beside its prelude, in characters."""

    characters: float
    #: How likely it is right; None where nobody knows.
    sound_input: float | None = 1.0
    #: Tokens of the prelude that the provider caches (`cached_prefix`).
    cached: int = 0


def prelude_characters(prelude: Prelude) -> int:
    """What stands before every conversation: instructions, tools and output schema."""
    tools = sum(len(tool.name) + len(tool.description) + len(tool.schema) for tool in prelude.tools)
    return sum(map(len, prelude.system)) + tools + (len(prelude.output.schema) if prelude.output is not None else 0)


def cached_prefix(agent: Agent[Any], model: Model) -> int:
    """Tokens of the agent's prelude that its provider caches, where the agent insists (`cache="5m"`, `"1h"`); 0 where
    the prelude is too short, or caching is left to what the runtime sees: that depends on the traffic.
    """
    if agent.cache not in ("5m", "1h"):
        return 0
    prelude = agent.fixed_prelude or agent.prelude_of(())
    request = ModelRequest(agent.name, "", prelude, EMPTY, agent.max_output_tokens, agent.settings)
    terms = terms_of(model, request)
    tokens = prelude_characters(prelude) // CHARACTERS_PER_TOKEN
    return tokens if terms is not None and tokens >= terms.minimum else 0


def expect_agent(agent: Agent[Any], belief: Belief, prices: Sequence[Price | None], talk: Conversation) -> Expected:
    """One run of the agent. Turns that are no whole number are a mixture of the two next to it.

    An attempt fails with probability f and is not billed; after a = `RETRY.attempts` the call fails. So a call is made
    (1 - f^a) / (1 - f) times in the mean and answered with 1 - f^a (geometric, cut off). `prices` are those of its
    model and of each fallback, which is asked where all attempts before it failed.
    """
    low = math.floor(belief.turns)
    share = belief.turns - low
    few = _with_turns(agent, belief, prices, talk, low)
    if not share:
        return few
    many = _with_turns(agent, belief, prices, talk, low + 1)
    return either([(1 - share, few), (share, many)])


def _with_turns(
    agent: Agent[Any], belief: Belief, prices: Sequence[Price | None], talk: Conversation, turns: int
) -> Expected:
    f, most = belief.failure, RETRY.attempts
    lost = f**most
    answered = 1 - lost ** len(prices)
    one = float(most) if f == 1 else (1 - lost) / (1 - f)
    attempts = math.fsum(one * lost**k for k in range(len(prices)))
    characters = prelude_characters(agent.fixed_prelude or agent.prelude_of(())) + talk.characters
    reached, share, seconds = 1.0, Share(), NOTHING
    answers = out = 0.0
    tool_out, answer_out = (mean_output(agent, belief, kind) for kind in ("tool", "answer"))
    for call in range(1, agent.max_turns + 1):
        kind: Kind = "tool" if call < turns else "answer"
        out = tool_out if kind == "tool" else answer_out
        took = mean_seconds(belief, kind, out)
        hour = agent.cache == "1h"
        costs = [mean_cost(belief, price, tokens_of(characters), out, talk.cached, hour=hour) for price in prices]
        cost = math.fsum(lost**k * (1 - lost) * each for k, each in enumerate(costs))
        waits = _backoff(f)
        share += Share(attempts, cost, attempts * took.mean) * reached
        seconds += Moments(attempts * took.mean + waits, attempts * took.variance).happening(reached)
        reached *= answered
        if kind == "tool":
            characters += CHARACTERS_PER_TOKEN * (out + belief.tool_tokens)
            tool = belief.tool_seconds
            seconds += Moments(tool.mean(), tool.variance()).happening(reached)
            continue
        answers += reached * (1 - belief.refused)
        reached *= belief.refused
        characters += CHARACTERS_PER_TOKEN * out + CORRECTION_CHARACTERS
        if call - turns >= agent.output_retries or not reached:
            break
    found = Expected({agent.name: share}, seconds, answers, answers, CHARACTERS_PER_TOKEN * out)
    return found if belief.right is None else _judged(found, belief.right, talk.sound_input)


def _judged(found: Expected, step: Step, sound_input: float | None) -> Expected:
    """With the probability that it is right. Every retry that this takes is paid, and takes its time."""
    sound = 1.0 if sound_input is None else sound_input
    times = step.attempts(sound)
    agents = {name: share * times for name, share in found.agents.items()}
    seconds = Moments(found.seconds.mean * times, found.seconds.variance * times)
    return replace(found, agents=agents, seconds=seconds, right=None if sound_input is None else step.right(sound))


def tokens_of(characters: float) -> float:
    """Four characters a token, rounded up: three eighths of a token more than the quotient, in the mean."""
    return characters / CHARACTERS_PER_TOKEN + 0.375


def mean_output(agent: Agent[Any], belief: Belief, kind: Kind) -> float:
    """Tokens that one call writes."""
    if belief.fit is not None and (calls := belief.fit.all(kind)):
        return math.fsum(call.output_tokens for call in calls) / len(calls)
    if kind == "tool":
        return float(min(TOOL_CALL_TOKENS, agent.max_output_tokens))
    return belief.output_tokens.mean(agent.max_output_tokens)


def mean_seconds(belief: Belief, kind: Kind, output_tokens: float) -> Moments:
    """Seconds of one attempt."""
    if belief.fit is not None and (calls := belief.fit.all(kind)):
        mean = math.fsum(call.seconds for call in calls) / len(calls)
        return Moments(mean, math.fsum((call.seconds - mean) ** 2 for call in calls) / len(calls))
    found = belief.seconds_of(output_tokens)
    return Moments(found.mean(), found.variance())


def mean_cost(
    belief: Belief,
    price: Price | None,
    estimated: float,
    output_tokens: float,
    cached: int = 0,
    *,
    hour: bool = False,
) -> float:
    """US dollars of an answered call; 0 where nobody knows the price, which the forecast says apart."""
    if price is None:
        return 0.0
    fit = belief.fit
    if fit is not None and fit.input_tokens is not None:
        tokens = fit.input_tokens
        read, written = fit.cache_read * tokens, fit.cache_write * tokens
    else:
        tokens, read, written = estimated, belief.warm * cached, (1 - belief.warm) * cached
    rates = price.rates_at(tokens)
    micro = (
        float(rates.input) * (tokens - read - written)
        + float(rates.cache_read) * read
        + float(rates.cache_write_1h if hour else rates.cache_write) * written
        + float(rates.output) * output_tokens
    )
    return micro / 1e6


def _backoff(failure: float) -> float:
    """Mean seconds between attempts: half of what full jitter may take, where the one before failed."""
    waits = (RETRY.delay(_BUSY, k, 0.5) or 0.0 for k in range(1, RETRY.attempts))
    return math.fsum(failure ** (k + 1) * wait for k, wait in enumerate(waits))
