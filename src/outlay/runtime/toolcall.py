"""The path of a tool call: one at a time where it has side effects, within its time-out and the deadline, recorded."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

from outlay.errors import one_line
from outlay.events.records import ToolFinished, ToolStarted
from outlay.protocols.context import RunContext
from outlay.protocols.effects import ToolEffect
from outlay.runtime.call import deadline_exceeded
from outlay.runtime.flatten import flatten
from outlay.runtime.state import RunState
from outlay.runtime.threads import in_thread
from outlay.runtime.tool_guards import guarded
from outlay.sharing.labels import label_as_json


async def run_tool(
    state: RunState, effect: ToolEffect, inner: RunContext[Any], *, agent: str, key: str, deadline: float | None
) -> Any:
    """What the tool gives. `inner` is the context it runs in, `key` the effect's identity, `deadline` in loop time.

    Raises what the tool raised, ToolError where it is down, TimeoutError after `effect.timeout`, DeadlineExceeded.
    """
    async with AsyncExitStack() as held:
        if effect.servers:
            effect = await held.enter_async_context(guarded(state, effect, inner))
        if not effect.parallel:
            await held.enter_async_context(state.tool_locks.setdefault(effect.tool, asyncio.Lock()))
        return await _recorded(state, effect, inner, agent, key, deadline)


def happened(
    state: RunState, effect: ToolEffect, inner: RunContext[Any], agent: str, key: str, result: str | None
) -> Any:
    """What an effect in doubt gave, as far as whoever decided knows (`result`); it is finished from here on."""
    value: Any = effect.unknown if result is None else result
    stored = None
    if effect.decode is not None and effect.encode is not None:
        if result is not None:
            with suppress(ValueError):  # no JSON of the kind that it gives: the text itself, then
                value = effect.decode(result.encode(errors="surrogatepass"))
        stored = effect.encode(value)
    if stored is not None:  # else it is asked for again: the decision is recorded
        kept = state.recorder.keep_content(stored)
        state.recorder.emit(ToolFinished, inner.path, agent=agent, tool=effect.tool, key=key, value=kept)
    return value


async def _recorded(
    state: RunState, effect: ToolEffect, inner: RunContext[Any], agent: str, key: str, deadline: float | None
) -> Any:
    emit = state.recorder.emit
    emit(
        ToolStarted,
        inner.path,
        agent=agent,
        tool=effect.tool,
        key=key,
        side_effect=effect.side_effect,
        label=inner.label.integrity.name.lower(),
    )
    started = state.loop.time()
    error_text, size, kept = "cancelled", 0, ""
    label = inner.label
    try:
        if not effect.idempotent:
            await state.recorder.durable()  # or a crash could leave it done and unknown
        elif state.recorder.failed is not None:
            raise state.recorder.failed  # a run that was taken over, or a full disk: what it gives would be lost
        try:
            with state.branches.here(), state.parking.working():
                value = await _in_time(state, effect, inner, deadline)
        except BaseExceptionGroup as group:
            raise flatten(group) from None
        if effect.encode is not None and effect.decode is not None and (stored := effect.encode(value)) is not None:
            value = effect.decode(stored)
            if effect.leaf:
                kept = state.recorder.keep_content(stored)
        error_text, size = "", len(value) if isinstance(value, str | bytes | list) else 0  # pyright: ignore[reportUnknownArgumentType]
        return value  # pyright: ignore[reportUnknownVariableType]
    except (Exception, SystemExit) as error:
        error_text = one_line(error)
        raise
    finally:
        emit(
            ToolFinished,
            inner.path,
            agent=agent,
            tool=effect.tool,
            key=key,
            seconds=state.loop.time() - started,
            error=error_text,
            size=size,
            value=kept,
            label=None if inner.label is label else label_as_json(inner.label),
        )


async def _in_time(state: RunState, effect: ToolEffect, inner: RunContext[Any], deadline: float | None) -> Any:
    """The tool's own work, within its time-out and the deadline."""

    async def work() -> Any:
        return await effect.invoke(inner)

    loop = state.loop
    own = None if effect.timeout is None else loop.time() + effect.timeout
    until = min((t for t in (own, deadline) if t is not None), default=None)
    try:
        async with asyncio.timeout_at(until):
            return await (in_thread(work) if effect.in_thread else work())
    except TimeoutError:
        if deadline is not None and loop.time() >= deadline:
            raise state.stopped(deadline_exceeded(inner.path)) from None
        if own is not None and loop.time() >= own:
            raise TimeoutError(f"{effect.tool} gave no answer within {effect.timeout:g} s") from None
        raise
