"""One run, from its id to its result."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from outlay.errors import ApprovalPending, BudgetExceeded, ConfigError, JournalMismatch, OutlayError, Stopped, one_line
from outlay.events.records import Decision, RunFinished, RunResumed, RunStarted
from outlay.policies.retry import RetryPolicy
from outlay.protocols.clock import wall_clock
from outlay.protocols.node import Node
from outlay.protocols.store import Fence
from outlay.runtime.alerts import alert_to, tell
from outlay.runtime.asking import close_items, forget_budgets
from outlay.runtime.beside import Beside
from outlay.runtime.budgets import BudgetTree, accounts_for
from outlay.runtime.caching import tell_of_missed_reads
from outlay.runtime.context import Context
from outlay.runtime.conversations import Conversations
from outlay.runtime.conversations import read as conversations_of
from outlay.runtime.directory import transport
from outlay.runtime.failures import cause_of
from outlay.runtime.flatten import flatten, precedence
from outlay.runtime.flight import Flight
from outlay.runtime.host import Host
from outlay.runtime.identity import Scope, current_scope, install, segment, uninstall
from outlay.runtime.inbox import Inbox, distinct
from outlay.runtime.kept import as_stored, input_json, kept_output
from outlay.runtime.limits import recorded
from outlay.runtime.ownership import ownership_in
from outlay.runtime.parking import Parking
from outlay.runtime.recall import Past, check_kept, recall
from outlay.runtime.replay import Replay
from outlay.runtime.result import Result
from outlay.runtime.seconds import watch_seconds
from outlay.runtime.session import Session, in_session, session_of, turn_of
from outlay.runtime.session import check as check_session
from outlay.runtime.shape import shape_of
from outlay.runtime.state import RunState
from outlay.runtime.unsettled import unsettled
from outlay.runtime.windows import Windows
from outlay.values.budget import Budget
from outlay.values.label import TRUSTED, Label, Labelled
from outlay.values.stored import content_digest
from outlay.values.transcript import EMPTY, Transcript

_RUN_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")
_RETRY = RetryPolicy()


async def execute(
    host: Host,
    root: Node[Any, Any],
    input: Any,
    limits: Sequence[Budget] = (),
    *,
    run_id: str | None = None,
    seed: int | None = None,
    history: Transcript | None = None,
    streaming: bool = False,
    strict: bool = False,
    branch: Past | None = None,
    session: str | None = None,
) -> Result[Any]:
    """Run `root` on one input, with budgets of its own beside those of the host. A run that is in the store goes on,
    one that is over gives what it gave. `branch` is what a fork shares with the run that it branches off. A run of a
    session waits until nobody else is at it.

    Raises what `run` raises.
    """
    value, label = _unlabelled(input)
    check_session(session, host.store, history, root)
    leg = Leg(_checked_id(run_id), seed, history or EMPTY, streaming, strict, branch)
    if host.store is None:
        return await _work(host, root, value, label, limits, leg)
    past = None if run_id is None else await recall(host.store, leg.run_id)
    if past is not None:
        _check_input(past, value)
        session = session_of(past, session)
        leg = replace(leg, past=past)
    over = past is not None and past.is_over
    if leg.past is not None and leg.past.conversation and (over or session is None):
        leg = replace(leg, conversations=await conversations_of(host.store, leg.past.conversation))
    if past is not None and past.is_over:
        return as_stored(await _work(host, root, value, label, limits, leg), past, root)
    wall = wall_clock(asyncio.get_running_loop())
    ownership = ownership_in(host.store)
    seen = await ownership.seen(leg.run_id) if past is not None and past.events else None
    if past is not None and past.journal.finished is None:
        await ownership.check_free(leg.run_id, past.journal.owner, wall)
    if past is not None and seen is not None and seen.owner != past.journal.owner:
        await ownership.check_free(leg.run_id, seen.owner, wall)  # who took it over may not have said so yet
    owner = await ownership.begin(leg.run_id, wall)
    try:
        fence = None if seen is None else await ownership.take_over(leg.run_id, seen)
        own = replace(leg, owner=owner, fence=fence)
        if session is None:
            return await _work(host, root, value, label, limits, own)

        async def turn(hold: Session, conversations: Conversations, waited: float) -> Result[Any]:
            at_it = replace(own, session=hold, conversations=conversations, waited=waited)
            return await _work(host, root, value, label, limits, at_it)

        budgets = (*limits, *root.budgets)
        return await in_session(host.store, session, leg.run_id, root.name, past, budgets, host.deadline, turn)
    finally:
        ownership.end(leg.run_id)


@dataclass(frozen=True, slots=True)
class Leg:
    """One stretch of work on a run, up to its end, a crash or a pause; `past` is what the earlier ones left."""

    run_id: str
    seed: int | None
    history: Transcript
    streaming: bool
    strict: bool
    past: Past | None = None
    owner: str = ""
    fence: Fence | None = None
    #: What agents remember from before the run, None outside a session; the hold on it while the run goes.
    conversations: Conversations | None = None
    session: Session | None = None
    #: Seconds of the run's time that went by until the session was free.
    waited: float = 0.0

    @property
    def is_over(self) -> bool:
        return self.past is not None and self.past.is_over


async def _work(
    host: Host, root: Node[Any, Any], value: Any, label: Label, limits: Sequence[Budget], leg: Leg
) -> Result[Any]:
    loop = asyncio.get_running_loop()
    wall = wall_clock(loop)
    past, run_id = leg.past, leg.run_id
    before = () if past is None else past.events
    recorder = host.recorder(run_id, wall, host.store, host.listeners, leg.streaming, before, leg.fence)
    recorder.sealed = leg.is_over
    flight = Flight(loop)
    parking = Parking(loop, lambda: len(flight) > 0, lambda: len(recorder.events))
    flight.on_landed = parking.look
    path = segment(root.name)
    state = RunState(
        run_id,
        run_id.encode(),
        (str(run_id if leg.seed is None else leg.seed) if past is None else past.seed).encode(),
        loop,
        wall,
        recorder,
        BudgetTree(
            host.ledger,
            host.shared + accounts_for(root.name, limits, host.windows),
            alert_to(recorder, host.on_alert, path),
            host.windows,
        ),
        host.directory,
        flight,
        parking,
        Beside(loop),
        await transport(),
        host.deps,
        host.on_ask,
        host.stages,
        _RETRY,
        leg.history,
        root,
        past=past,
        changed={} if past is None else {path: json.loads(input) for path, input in past.changed.items()},
        warn=partial(tell, host.on_alert),
        conversations=leg.conversations,
        session=leg.session,
        escalating=host.escalating,
        learned=host.learned,
    )
    shape = "" if host.store is None else shape_of(root)
    if past is not None and past.events:
        _announce_again(state, host, path, leg, shape)
    else:
        _announce(state, host, path, value, leg, shape)
    if host.store is not None:
        state.inbox = Inbox(host.store)
        parking.decisions = state.inbox.decisions
    if past is not None:
        _go_on(state, past, shape, leg.strict)
        if host.store is not None and not leg.is_over:
            await recorder.durable()
            await check_kept(host.store, past)
        await forget_budgets(state)
    context = Context(state, root, path, value, None)
    context.label = label
    context.add_root_budgets(host.deadline, leg.waited + (0.0 if past is None else past.journal.active))
    if host.windows is not None and not leg.is_over:
        await state.budgets.look()
        await _settle_crash(state, host.windows)
    if host.watcher is not None and not leg.is_over:
        await host.watcher.watch(state, context)
    started = loop.time()
    timers = _time_alerts(state, host, leg)
    install(loop)
    try:
        end = await _flow(state, context)
        for timer in timers:
            timer.cancel()
        return await _finish(state, context, end, started)
    finally:
        for timer in timers:
            timer.cancel()
        flight.on_landed = None  # or they would hold each other, and with them the run
        parking.let_go()
        uninstall(loop)
        state.budgets.close()


def _time_alerts(state: RunState, host: Host, leg: Leg) -> Sequence[asyncio.TimerHandle]:
    """What tells that time runs out, where a budget of the run limits it."""
    accounts = [account for account in state.budgets.root if account.budget.seconds is not None]
    if not accounts or leg.is_over:
        return ()
    if host.deadline is not None:  # the rows of a map share their time
        began = host.deadline - min(account.budget.seconds or 0.0 for account in accounts)
    else:
        began = state.loop.time() - leg.waited - (0.0 if leg.past is None else leg.past.journal.active)
    return watch_seconds(accounts, began, host.told, state)


async def _settle_crash(state: RunState, windows: Windows) -> None:
    """An earlier leg broke off: what it used of its windows is told to them, once, after this leg has said that it
    goes on."""
    past = state.past
    if past is None or not past.events or past.journal.finished is not None:
        return
    if used := unsettled(past.events):
        await state.recorder.durable()
        await windows.settle(past.journal.owner, used)


def _announce(state: RunState, host: Host, path: str, value: Any, leg: Leg, shape: str) -> None:
    """The first event of a run, and of a fork."""
    input, fork, changed = input_json(value), leg.past, ""
    state.recorder.keep_content(input)
    if fork is not None and fork.at in fork.changed:
        changed = state.recorder.keep_content(fork.changed[fork.at])
    state.recorder.emit(
        RunStarted,
        path,
        flow=state.root.name if state.root is not None else "",
        input=content_digest(input).hex(),
        lane=_lane(host),
        seed=leg.seed,
        limits=_all_limits(state),
        shape=shape,
        owner=leg.owner,
        source=host.source,
        parent="" if fork is None else fork.parent,
        at="" if fork is None else fork.at,
        changed=changed,
        session="" if leg.session is None else leg.session.id,
        conversation=dict(fork.conversation if fork is not None else {} if leg.session is None else leg.session.tips),
        watchdog={} if host.watcher is None else host.watcher.facts,
    )


def _announce_again(state: RunState, host: Host, path: str, leg: Leg, shape: str) -> None:
    """The first event of a later leg."""
    facts = {"lane": _lane(host), "limits": _all_limits(state), "shape": shape, "owner": leg.owner}
    dog = {} if host.watcher is None else host.watcher.facts
    state.recorder.emit(RunResumed, path, **facts, source=host.source, watchdog=dog)


def _lane(host: Host) -> str:
    if host.directory.used_offline:
        return "offline"
    return "batch" if host.by_batch else "live"


def _all_limits(state: RunState) -> tuple[dict[str, str], ...]:
    return tuple(recorded(account.budget) for account in state.budgets.root)


def _go_on(state: RunState, past: Past, shape: str, strict: bool) -> None:
    """Take over what an earlier leg did: its outcomes are given again, and what it spent counts."""
    parking, flight, recorder = state.parking, state.flight, state.recorder
    replay = Replay(
        past.memory,
        state.loop,
        lambda: len(recorder.events),
        lambda: parking.busy or len(flight) > 0,
        changed=past.memory.shape != shape,
        strict=strict,
        sealed=past.is_over,
    )
    state.replay = replay
    parking.on_look = replay.look
    spent = past.journal.spent
    for account in state.budgets.root:
        account.carry(spent.usd, spent.doubt, spent.tokens, spent.calls, unpriced=spent.unpriced)


def _check_input(past: Past, value: Any) -> None:
    """Raises JournalMismatch where the run was begun with another input."""
    if past.started.input != content_digest(input_json(value)).hex():
        raise JournalMismatch(
            f"run {past.started.run} was begun with another input",
            hint="give the input it was begun with, another run_id, or fork it to change the input",
        )


@dataclass(frozen=True, slots=True)
class _End:
    """How the flow itself ended: an output, or an error."""

    output: Any = None
    error: BaseException | None = None


async def _flow(state: RunState, context: Context) -> _End:
    """Run the root in a task of its own and drain what is in flight. Raises CancelledError when cancelled outside."""
    variables = copy_context()
    variables.run(current_scope.set, Scope(b"root"))
    task: asyncio.Task[Any] = asyncio.Task(context.live(), loop=state.loop, context=variables)
    state.parking.on_suspended = task.cancel
    me = asyncio.current_task()
    assert me is not None
    cancels = me.cancelling()  # a run may be part of somebody's clean-up after an earlier cancel
    state.task, state.cancels = me, cancels
    try:
        try:
            end = _End(output=await task)
        except asyncio.CancelledError as error:
            if me.cancelling() > cancels:
                raise
            end = _End(error=_suspension(state) or error)
        except BaseException as error:
            end = _End(error=error)
        if me.cancelling() > cancels:
            raise asyncio.CancelledError  # a node may catch it for its clean-up, not for the whole run
        if state.beside:
            await state.branches.cut_off(but_beside=True)
            await state.beside.drain()
            await state.flight.cut_off(only_beside=True)
        state.closed = state.closed or Stopped("the run is over")
        if state.branches:
            await state.branches.cut_off()
        if state.flight:
            await state.flight.drain()
    except asyncio.CancelledError:
        state.closed = Stopped("the run was cancelled")
        await state.branches.cut_off()
        await state.flight.cut_off()
        state.recorder.emit(RunFinished, context.path, stop_reason="cancelled", degraded=True)
        with suppress(OutlayError):  # the cancellation is what the caller waits for
            await state.recorder.durable()
        await close_items(state)
        raise
    finally:
        state.parking.on_suspended = None  # it holds the task, and with it all of the run
    return end


def _suspension(state: RunState) -> Stopped | None:
    """Every branch was parked: what the run waits for."""
    if not state.parking.suspended:
        return None
    item = min(state.parking.parked, key=lambda item: item.kind == "budget")  # a human's answer may free money too
    if item.kind == "budget":
        return next(stop for stop in state.stops if isinstance(stop, BudgetExceeded))
    hint = "give run(…, on_ask=) a function that answers"
    if state.inbox is not None:
        hint = f"decide it (`outlay approve {item.id}`, or approve({item.id!r}, store=…)), then resume run {state.id}"
    return ApprovalPending(f"waiting for a human: {item.question}", path=item.path, hint=hint)


async def _finish(state: RunState, context: Context, end: _End, started: float) -> Result[Any]:
    error = None if end.error is None else flatten(end.error)
    output, reason = end.output, "completed"
    if error is not None:
        reason = error.reason if isinstance(error, Stopped) else _reason_of(error)
        if isinstance(error, Stopped) and error.best is not None:
            output = error.best
            state.recorder.emit(Decision, context.path, about="best_so_far", data={"after": one_line(error)})
    elif state.stops:
        reason = min(state.stops, key=precedence).reason
    tell_of_missed_reads(state, context.path)
    seconds = state.loop.time() - started
    no_turn = error is not None or state.session is None
    conversation = {} if no_turn else turn_of(state.session, state.conversations, state.past, state.recorder)
    degraded = bool(state.skipped) or reason != "completed"
    state.recorder.emit(
        RunFinished,
        context.path,
        stop_reason=reason,
        degraded=degraded,
        error="" if error is None else f"{type(error).__name__}: {getattr(error, 'message', error)}"[:1000],
        seconds=seconds,
        cause=cause_of(error),
        output=kept_output(state.recorder, output) if reason == "completed" else "",
        conversation=conversation,
    )
    if isinstance(error, KeyboardInterrupt | SystemExit):
        raise error
    if isinstance(error, ConfigError) and state.recorder.spent_on == 0:
        with suppress(OutlayError):
            await state.recorder.durable()
        raise error
    try:
        await state.recorder.durable()
        if state.session is not None:
            state.session.told(conversation)
    except OutlayError as failed:  # the answer is paid for: it is handed over, and what the store lost is said
        error, reason, degraded = error or failed, "error", True
    await close_items(state)
    finished = [(context.path, output)] if error is None else context.finished
    result = Result(
        output,
        reason,
        degraded,
        state.id,
        context.node.name,
        seconds,
        error,
        tuple(state.skipped),
        distinct(state.parking.parked),
        state.recorder.events,
        state.transcript,
        tuple(finished),
    )
    for stop in (error, *state.stops):
        if isinstance(stop, BudgetExceeded) and stop.on_exhausted == "raise":
            stop.result = result
            raise stop
    return result


def _reason_of(error: BaseException) -> str:
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "error"


def _unlabelled(input: Any) -> tuple[Any, Label]:
    """What `run` was given, and its label: what the caller hands over is trusted unless it says otherwise."""
    if isinstance(input, Labelled):
        labelled = cast("Labelled[Any]", input)
        return labelled.value, labelled.label
    return input, TRUSTED


def _checked_id(run_id: str | None) -> str:
    if run_id is None:
        return secrets.token_hex(6)
    if not _RUN_ID.match(run_id):
        raise ConfigError(f"run_id={run_id[:80]!r} is not allowed", hint="use 1 to 128 of A-Z a-z 0-9 . _ : -")
    return run_id
