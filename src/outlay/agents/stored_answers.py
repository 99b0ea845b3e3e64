"""What an agent says of stored answers: for how long, for whom, and to which questions one may be given again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outlay.agents.keeping import check_kept, scope_of, seconds_of
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.values.reuse import Reuse

if TYPE_CHECKING:
    from outlay.agents.agent import Agent


def check_stored_answers(agent: Agent[Any]) -> None:
    """Raises ConfigError for what cannot be meant."""
    for option in ("cache_answers", "stale_answers"):
        check_kept(f"agent {agent.name!r}", option, getattr(agent, option))
    if agent.cache_similar is None:
        return
    if not hasattr(agent.cache_similar, "neighbours"):
        raise ConfigError(
            f"agent {agent.name!r}: cache_similar={agent.cache_similar!r} says nothing of what is similar",
            hint='SimilarAnswers.load("similar.json"), made by `outlay cache calibrate TABLE --out similar.json`',
        )
    if agent.cache_answers is None:
        raise ConfigError(
            f"agent {agent.name!r}: cache_similar= needs cache_answers=, the time to keep answers",
            hint="cache_answers=3600",
        )
    if agent.tools:
        raise ConfigError(
            f"agent {agent.name!r} has tools: what it answers depends on what they give, not on the question alone",
            hint="leave out cache_similar=, or give it to an agent without tools",
        )


async def reuse_of(agent: Agent[Any], ctx: RunContext[Any]) -> Reuse | None:
    """What this agent's requests allow; None where nothing is kept."""
    if agent.cache_answers is None and agent.stale_answers is None:
        return None
    scope = await scope_of(f"agent {agent.name}", agent.cache_scope, ctx)
    kept, stale = seconds_of(agent.cache_answers), seconds_of(agent.stale_answers)
    if agent.cache_similar is None:
        return Reuse(kept, scope, stale)

    async def fits(text: str) -> str | None:
        problem = await _problem(agent, ctx, text)
        if problem is not None:
            ctx.decide("stored_answer_refused", agent=agent.name, problem=problem[:200])
        return problem

    return Reuse(kept, scope, stale, agent.cache_similar, fits)


async def _problem(agent: Agent[Any], ctx: RunContext[Any], text: str) -> str | None:
    """What the type or a check has against the answer to another question; not counted as an output refused."""
    try:
        value = agent.codec.decode(text)
    except ValueError as error:
        return str(error)
    for checker in agent.verify:
        if (problem := await ctx.check(checker, value)) is not None:
            return problem
    return None
