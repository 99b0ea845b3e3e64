"""Tools whose results are kept: read-only ones, such as a search, for as long as they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outlay.agents.keeping import Kept, check_kept, scope_of, seconds_of
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.effects import ToolEffect
from outlay.protocols.signature import takes_context

if TYPE_CHECKING:
    from outlay.agents.tool import Tool

#: The decision that says so, counted in the bill.
STORED_RESULT = "stored_result"


def check_results_kept(tool: Tool, *, stands_in: bool) -> None:
    """Raises ConfigError for a tool whose results must not be given again. `stands_in`: something else is given while
    it is down, which would be kept as its result."""
    who = f"tool {tool.name!r}"
    check_kept(who, "cache_results", tool.cache_results)
    if tool.cache_results is None:
        return
    for option in ("side_effect", "requires_approval", "ends_turn"):
        if getattr(tool, option):
            raise ConfigError(
                f"{who}: {option}=True and cache_results= exclude each other: what it does would not be done",
                hint="leave out cache_results=, or keep the results of a read-only tool",
            )
    if stands_in:
        raise ConfigError(f"{who}: what it gives while it is down would be kept", hint="leave out when_down=")
    if not tool.leaf:
        raise ConfigError(f"{who} is a node", hint="keep the node's answer: outlay.sharing.Stored(node, seconds)")
    if tool.cache_scope == "" and takes_context(tool.function):
        raise ConfigError(
            f"{who} reads the context, so what it gives may be one tenant's",
            hint="say whose: cache_scope=tenant_of, a function of the RunContext, or a text if it is everybody's",
        )


async def result_of(ctx: RunContext[Any], tool: Tool, effect: ToolEffect) -> Any:
    """What the tool gives now, or gave to the same arguments in the time that it allows."""
    if tool.cache_results is None:
        return await ctx.call_tool(effect)
    scope = await scope_of(f"tool {tool.name}", tool.cache_scope, ctx)
    kept = Kept(ctx, tool.function, [tool.name, effect.version, effect.arguments], scope)
    if (found := await kept.find(seconds_of(tool.cache_results))) is not None:
        ctx.decide(STORED_RESULT, tool=tool.name, age=round(found["age"], 3), seconds=found["seconds"])
        return found["value"]
    began = ctx.now()
    value = await ctx.call_tool(effect)
    if isinstance(value, str):
        await kept.keep(value=value, seconds=round(ctx.now() - began, 3))
    return value
