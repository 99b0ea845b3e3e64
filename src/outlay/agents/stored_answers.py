"""What an agent says of stored answers: for how long, for whom, and to which questions one may be given again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from outlay.agents.signature import call
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.values.reuse import Reuse

if TYPE_CHECKING:
    from outlay.agents.agent import Agent


def check_stored_answers(agent: Agent[Any]) -> None:
    """Raises ConfigError for what cannot be meant."""
    for name, kept in (("cache_answers", agent.cache_answers), ("stale_answers", agent.stale_answers)):
        if kept is not None and not seconds_of(kept) > 0:
            raise ConfigError(
                f"agent {agent.name!r}: {name}={kept!r} is no time to keep answers",
                hint="give seconds or a timedelta, or leave it out",
            )
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


def seconds_of(kept: float | timedelta | None) -> float:
    """For how long an answer may be given again; 0: never."""
    return kept.total_seconds() if isinstance(kept, timedelta) else float(kept or 0)


async def reuse_of(agent: Agent[Any], ctx: RunContext[Any]) -> Reuse | None:
    """What this agent's requests allow; None where nothing is kept."""
    if agent.cache_answers is None and agent.stale_answers is None:
        return None
    scope = agent.cache_scope if isinstance(agent.cache_scope, str) else await call(agent.cache_scope, ctx)
    if not isinstance(scope, str):
        raise ConfigError(
            f"agent {agent.name}: cache_scope gave {type(scope).__name__}, not text",
            path=ctx.path,
            hint="return the tenant's name, as in f'tenant:{ctx.deps.tenant}'",
        )
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
