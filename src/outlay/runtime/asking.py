"""Waiting for somebody outside the run: a question, an approval, an effect in doubt, a budget (SEMANTICS 4).

With a store every such wait is an item of its inbox, written before the run suspends. Who decides may be another
process, days later: the run looks there first when it comes back to the question, and once more before it suspends.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

from outlay.errors import BudgetExceeded, ConfigError, InDoubt, OutlayError
from outlay.events.records import Answered, Asked
from outlay.protocols.effects import ToolEffect
from outlay.runtime.flight import is_beside
from outlay.runtime.identity import digest
from outlay.runtime.journaled import known, outcome
from outlay.runtime.pending import Decided, Pending
from outlay.runtime.state import RunState
from outlay.values.money import usd

APPROVE, DENY = "approve", "deny"
HAPPENED, AGAIN, GIVE_UP = "happened", "again", "give up"


async def answer_to(state: RunState, key: str, item: Pending, seconds: float | None = None) -> Decided:
    """The decision on `item`: the recorded one, or one that is waited for, at most `seconds` and then its default.

    Raises TimeoutError where there is no default.
    """
    if state.on_ask is None and is_beside.get():
        raise ConfigError(
            f"{item.path}: nobody waits for a detached node, so it cannot wait for a human",
            hint="give run(…, on_ask=) a function that answers, or ask outside",
        )
    if state.recorder.store is None:
        return await _decision(state, _complete(state, key, item, seconds))
    with outcome(state, key, item.path):
        if state.replay is not None:
            with state.branches.here(), state.parking.working():
                before = await known(state, key, item.path, "a question")
            if before is not None and isinstance(event := before.event, Answered):
                return Decided(event.answer, event.by, event.reason, event.time, event.denied, event.result)
        item = _complete(state, key, item, seconds)
        _asked(state, key, item)
        decided = await _decision(state, item)
        _answered(state, key, item, decided)
        return decided


async def approval_of(state: RunState, key: str, path: str, effect: ToolEffect) -> None:
    """Return when a human allows the call. Raises PermissionError that says who denied it and why."""
    arguments = json.loads(json.dumps(effect.arguments, sort_keys=True, default=str))
    shown = json.dumps(arguments)[:500]
    question = f"Allow {effect.tool}({shown})?"
    item = Pending("approval", path, question, (APPROVE, DENY), action=effect.tool, arguments=arguments)
    decided = await answer_to(state, key, item)
    if decided.answer != APPROVE:
        raise PermissionError(denial(decided, f"denied the call of {effect.tool}"))


async def doubt_about(state: RunState, key: str, path: str, effect: ToolEffect, *, lost: bool) -> Decided:
    """What became of an effect, or is to become of it: nobody but a human knows. Raises InDoubt where it is given up.

    `lost`: it has run, and what it gave was not kept.
    """
    what = (
        f"{effect.tool} has run, and its result has no JSON to keep it in"
        if lost
        else f"{effect.tool} was under way when the run broke off, and may have happened"
    )
    question = f"{what}. Has it happened, shall it run again, or is it to be given up?"
    arguments: Mapping[str, object] = json.loads(json.dumps(effect.arguments, default=str))
    item = Pending("in_doubt", path, question, (HAPPENED, AGAIN, GIVE_UP), action=effect.tool, arguments=arguments)
    decided = await answer_to(state, key, item)
    if decided.answer in (HAPPENED, AGAIN):
        return decided
    raise InDoubt(
        denial(decided, f"gave it up: {what}"),
        path=path,
        hint="see what it did where it did it, and start a new run if need be",
    )


async def raise_of(state: RunState, path: str, stop: BudgetExceeded) -> Decimal | None:
    """The limit that a human raises this budget to, None where it is not to be raised. Until then the branch is
    parked; a run that is resumed under a higher budget does not come here. Branches that one budget stops share one
    item."""
    if is_beside.get():
        return None  # nobody waits for a detached node: it ends, and the run goes on
    about = f"{stop.scope} {stop.resource} {stop.limit}"
    arguments = {"scope": stop.scope, "limit": str(stop.limit), "needed": str(stop.needed)}
    item = Pending("budget", path, stop.message, action=stop.resource, arguments=arguments)
    item = _complete(state, about, item, None)
    _asked(state, "", item)
    decided = await _decision(state, item, here=False)
    _answered(state, "", item, decided)
    return None if decided.denied else higher_limit(item, decided.answer)


async def leave_of(state: RunState, path: str, about: str, question: str) -> Decided:
    """Whether the run may go on, though its watchdog says that it should not. Until somebody decides, the branch is
    parked; branches that one finding (`about`) pauses share one item."""
    item = _complete(state, about, Pending("watchdog", path, question, (APPROVE, DENY)), None)
    _asked(state, "", item)
    decided = await _decision(state, item)
    _answered(state, "", item, decided)
    return decided


def id_of(state: RunState, about: str) -> str:
    """The name in the inbox of the item about this."""
    return digest(state.id_bytes, b"inbox", about.encode()).hex()[:12]


def higher_limit(item: Pending, answer: str) -> Decimal:
    """The new limit that the answer to a budget's item names. Raises ValueError where it is none, or not higher."""
    limit = usd(answer)
    before = Decimal(str((item.arguments or {})["limit"]))
    if limit <= before or (item.action != "usd" and limit != int(limit)):
        raise ValueError(f"{answer!r} is not a higher limit than {before}")
    return limit


async def close_items(state: RunState) -> None:
    """The run has come to an end, or suspends: nobody waits for its items any more, but for those it is parked on."""
    if state.inbox is None or not state.asked:
        return
    waiting = {item.id for item in state.parking.parked} if state.parking.suspended else set[str]()
    with suppress(OutlayError):  # the store's failure is told where the events are written
        await state.inbox.close(sorted(state.asked - waiting))


async def forget_budgets(state: RunState) -> None:
    """The run goes on: what it paused for is asked anew, should it still not fit."""
    if state.inbox is None or state.past is None or state.past.is_over:
        return
    asked = [event for event in state.past.events if isinstance(event, Asked)]
    state.asked.update(event.id for event in asked)
    await state.inbox.close(dict.fromkeys(event.id for event in asked if event.about == "budget"))


def _complete(state: RunState, key: str, item: Pending, seconds: float | None) -> Pending:
    """The item with its name and the facts of the moment."""
    now = state.wall()
    return replace(
        item,
        id=id_of(state, key),
        run_id=state.id,
        spent=state.recorder.spent,
        created=now,
        deadline=None if seconds is None else now + seconds,
    )


def _asked(state: RunState, key: str, item: Pending) -> None:
    state.asked.add(item.id)
    state.recorder.emit(
        Asked, item.path, key=key, id=item.id, about=item.kind, question=item.question, options=item.options
    )


def _answered(state: RunState, key: str, item: Pending, decided: Decided) -> None:
    state.recorder.emit(
        Answered,
        item.path,
        key=key,
        id=item.id,
        answer=decided.answer,
        by=decided.by,
        reason=decided.reason,
        denied=decided.denied,
        result=decided.result,
    )


async def _decision(state: RunState, item: Pending, *, here: bool = True) -> Decided:
    """What somebody decides, in the inbox or (`here`) through `on_ask`."""
    inbox, ask_here = state.inbox, here and state.on_ask is not None
    there: Pending | None = None
    if inbox is not None:
        with state.branches.here(), state.parking.working():
            there = await (inbox.read(item.id) if ask_here else inbox.open(item))
        if there is not None and there.decision is not None:
            return there.decision
        if there is not None and not there.closed:
            item = there  # asked by an earlier leg: its deadline counts
    if item.is_expired(state.wall()):
        return await _expired(state, item)
    if not ask_here:
        return await _parked(state, item)
    decided = await _ask_here(state, item)
    if inbox is None or there is None or there.closed:
        return decided
    with state.branches.here(), state.parking.working():
        return await inbox.first(item.id, decided)


async def _parked(state: RunState, item: Pending) -> Decided:
    until = None if item.deadline is None else state.loop.time() + item.deadline - state.wall()
    limit = asyncio.timeout_at(until)
    with state.branches.here():
        try:
            async with limit:
                return await state.parking.wait(item)
        except TimeoutError:
            if not limit.expired():
                raise
    return await _expired(state, item)


async def _expired(state: RunState, item: Pending) -> Decided:
    decided = item.on_expiry
    if state.inbox is not None:
        with state.branches.here(), state.parking.working():
            decided = await state.inbox.expire(item)
    if decided is None:
        raise TimeoutError(f"nobody answered in time: {item.question[:200]}")
    return decided


async def _ask_here(state: RunState, item: Pending) -> Decided:
    assert state.on_ask is not None
    seconds = None if item.deadline is None else item.deadline - state.wall()
    try:
        with state.branches.here(), state.parking.working():
            async with asyncio.timeout(seconds):
                answer = state.on_ask(item)
                answer = await answer if inspect.isawaitable(answer) else answer
    except TimeoutError:
        if item.on_expiry is None:
            raise
        return item.on_expiry
    if item.options and answer not in item.options:
        raise ConfigError(f"on_ask answered {answer!r}, which is not one of {', '.join(item.options)}")
    return Decided(str(answer), "on_ask", time=state.wall())


def denial(decided: Decided, what: str) -> str:
    """`ada denied the call of send: not to strangers`."""
    who = "a human" if decided.by in ("", "on_ask") else decided.by
    return f"{who} {what}: {decided.reason}" if decided.reason else f"{who} {what}"
