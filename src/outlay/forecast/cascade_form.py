"""The closed form of cascades: tiers in order, each as often as what stands before it is refused.

How often a gate says no is believed like any other refusal: of an agent with the tier's model (`agent@model`), or, for
a cascade of nodes, one minus the pattern's `accept`. A gate that asks models or was calibrated decides by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.forecast.agent_form import CORRECTION_CHARACTERS, Conversation, expect_agent
from outlay.forecast.assumptions import Belief
from outlay.forecast.expected import Expected
from outlay.values.estimate import CHARACTERS_PER_TOKEN
from outlay.values.price import Price


@dataclass(frozen=True, slots=True)
class Tier:
    """One model of an agent's cascade: what is believed of the agent with it, and prices (its own, then fallbacks')."""

    belief: Belief
    prices: Sequence[Price | None]


def expect_climb(agent: Agent[Any], cascade: ModelCascade, tiers: Sequence[Tier], talk: Conversation) -> Expected:
    """An agent over a cascade of models. Turns that only call tools stay at the first tier; its answer goes up as far
    as it is refused. Where the last tier does not pass either its answer is taken, and the agent's own checks, which
    are among the gates, have it corrected by that tier.
    """
    first = tiers[0]
    tool_turns = max(0.0, first.belief.turns - 1)
    grown = tool_turns * CHARACTERS_PER_TOKEN * (first.belief.tool_tokens + 40)
    asked = [_asked(agent, first, talk, turns=first.belief.turns)]
    shares = [first.belief.refused]
    again = replace(talk, characters=talk.characters + grown)
    for number, tier in enumerate(tiers):
        for attempt in range(cascade.attempts):
            if number or attempt:
                asked.append(_asked(agent, tier, again))
                shares.append(tier.belief.refused)
    found, left = in_order(asked, shares)
    if not agent.verify or not left:
        return found
    top = tiers[-1]
    refused = top.belief.refused**cascade.attempts
    for _ in range(agent.output_retries):
        again = replace(again, characters=again.characters + found.characters + CORRECTION_CHARACTERS)
        once = _asked(agent, top, again)
        times, _ = in_order([once] * cascade.attempts, [top.belief.refused] * cascade.attempts)
        found = replace(found.then(times, reached=left), answers=found.answers, clean=found.clean, right=found.right)
        left *= refused
    return replace(found, answers=found.answers * (1 - left))


def in_order(asked: Sequence[Expected], refused: Sequence[float]) -> tuple[Expected, float]:
    """Each follows where what stands before it was refused; the last one's answer is taken whatever is said of it. Also
    the chance that it, too, was refused.
    """
    total, reached = asked[0], asked[0].answers * refused[0]
    taken = [asked[0].answers * (1 - refused[0])]
    for one, share in zip(asked[1:], refused[1:], strict=True):
        total = total.then(one, reached=reached)
        taken.append(reached * (1 - share))
        reached *= share
    taken[-1] += reached
    answers = asked[0].answers  # from the first answer on there is one
    weights = [share / answers if answers else 0.0 for share in taken]
    rights = [one.right for one in asked]
    known = [right for right in rights if right is not None]
    return replace(
        total,
        answers=answers,
        clean=asked[0].clean * (1 - (reached / answers if answers else 0.0)),
        characters=math.fsum(share * one.characters for share, one in zip(weights, asked, strict=True)),
        right=math.fsum(a * b for a, b in zip(weights, known, strict=True)) if len(known) == len(rights) else None,
    ), reached


def _asked(agent: Agent[Any], tier: Tier, talk: Conversation, turns: float = 1.0) -> Expected:
    """One answer of one tier, before anybody looks at it."""
    return expect_agent(agent, replace(tier.belief, refused=0.0, turns=turns), tier.prices, talk)
