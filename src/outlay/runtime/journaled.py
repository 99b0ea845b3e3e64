"""Effects through the journal: what is known of one is given again, what becomes of a new one is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from outlay.analysis.journal import Record
from outlay.errors import ConfigError, InDoubt, JournalMismatch, PolicyViolation, Stopped, StoreFailed
from outlay.events.records import CallStarted, Decision, Drawn, EffectCancelled, EffectFailed, ToolStarted
from outlay.runtime.failures import blame, fields, rebuild
from outlay.runtime.state import RunState

Differs: TypeAlias = Callable[[CallStarted], Awaitable[str]]
#: Not an outcome of the effect: the run is told to end, is built wrongly, or may not do this.
_NOT_AN_OUTCOME = (Stopped, ConfigError, PolicyViolation, InDoubt, StoreFailed, JournalMismatch)


async def known(state: RunState, key: str, path: str, what: str, differs: Differs | None = None) -> Record | None:
    """What is recorded of the effect, when it is its turn. `what` names it for people, `differs` says what has changed
    since another was recorded in its place.

    Its outcome is `open` where it was begun and has none. Raises the recorded failure, or JournalMismatch where the
    run is strict and something else was recorded in this place.
    """
    replay = state.replay
    if replay is None:
        return None
    record = replay.claim(key)
    before = replay.instead(key) if record is None else None
    with state.parking.aside():
        await replay.turn(record)
    if state.closed is not None:
        raise state.closed
    if before is not None:
        await _changed(state, before, path, what, differs)
    if record is not None and isinstance(record.event, EffectFailed):
        error = rebuild(record.event, path)
        blame(error, key)
        raise error
    if replay.sealed and (record is None or record.outcome == "open"):
        raise JournalMismatch(
            f"run {state.id} is over, and {what} is not among what it did: the flow has changed since",
            path=path,
            hint="start a run under another run_id, or fork this one",
        )
    return record


class outcome:
    """Record how the effect in this block failed or was cancelled, if the flow is going to act on it.

    A class and not a generator: there is one around every call.
    """

    __slots__ = ("_key", "_path", "_state")

    def __init__(self, state: RunState, key: str, path: str) -> None:
        self._state = state
        self._key = key
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, _NOT_AN_OUTCOME):
            return
        state, key = self._state, self._key
        kept = state.recorder.store is not None and not state.ending
        if isinstance(error, asyncio.CancelledError):
            if kept and not _was_cancelled(state, key):
                state.recorder.emit(EffectCancelled, self._path, key=key)
        elif isinstance(error, Exception):
            blame(error, key)
            if kept:
                state.recorder.emit(EffectFailed, self._path, key=key, **fields(error))


def _was_cancelled(state: RunState, key: str) -> bool:
    before = None if state.past is None else state.past.memory.records.get(key)
    return before is not None and before.cancelled


def drawn(state: RunState, key: str, path: str, what: str, draw: Callable[[], Any]) -> Any:
    """A value of the moment: drawn once, the same again in a replay. JSON kinds only."""
    replay = state.replay
    if replay is not None:
        found, value = replay.drawn(key)
        if found:
            return value
    value = draw()
    if state.recorder.store is not None:
        state.recorder.emit(Drawn, path, key=key, what=what, value=value)
    return value


async def _changed(state: RunState, before: Record, path: str, what: str, differs: Differs | None) -> None:
    """Another effect was recorded in this place: the code, or what goes into it, is no longer the same."""
    assert state.replay is not None
    intent = before.intent
    was = (
        f"a call of {intent.model} by {intent.agent}"
        if isinstance(intent, CallStarted)
        else f"{intent.tool}"
        if isinstance(intent, ToolStarted)
        else "another effect"
    )
    changed = await differs(intent) if differs is not None and isinstance(intent, CallStarted) else ""
    if state.replay.strict or state.replay.sealed:
        raise JournalMismatch(
            f"run {state.id} recorded {was} here, and now it is {what}: "
            f"{f'what has changed is {changed}' if changed else 'the flow or its input has changed'}",
            path=path,
            hint="leave out strict=True to run what changed again, or start a new run",
        )
    state.recorder.emit(
        Decision, path, about="changed", data={"recorded": was, "now": what, "record": before.key, "changed": changed}
    )
