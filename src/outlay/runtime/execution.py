"""One run, from its id to its result."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, cast

from outlay.agents.content import as_text
from outlay.errors import ApprovalPending, BudgetExceeded, ConfigError, OutlayError, Stopped
from outlay.events.records import RunFinished, RunStarted
from outlay.policies.retry import RetryPolicy
from outlay.protocols.clock import wall_clock
from outlay.protocols.node import Node
from outlay.protocols.store import Store
from outlay.runtime.alerts import alert_to
from outlay.runtime.beside import Beside
from outlay.runtime.budgets import BudgetTree, accounts_for
from outlay.runtime.context import Context
from outlay.runtime.directory import transport
from outlay.runtime.flatten import flatten, precedence
from outlay.runtime.flight import Flight
from outlay.runtime.host import Host
from outlay.runtime.identity import Scope, current_scope, install, segment, uninstall
from outlay.runtime.parking import Parking
from outlay.runtime.recorder import Recorder
from outlay.runtime.result import Result
from outlay.runtime.state import RunState
from outlay.values.budget import Budget
from outlay.values.label import TRUSTED, Label, Labelled
from outlay.values.transcript import EMPTY, Transcript

_RUN_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")


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
) -> Result[Any]:
    """Run `root` on one input, with budgets of its own beside those of the host.

    Raises what `run` raises.
    """
    value, label = _unlabelled(input)
    loop = asyncio.get_running_loop()
    run_id = await _new_id(host.store, run_id)
    wall = wall_clock(loop)
    recorder = Recorder(run_id, wall, host.store, host.listeners, streaming)
    flight = Flight(loop)
    parking = Parking(loop, lambda: len(flight) > 0, lambda: len(recorder.events))
    flight.on_landed = parking.look
    path = segment(root.name)
    state = RunState(
        run_id,
        run_id.encode(),
        str(seed if seed is not None else run_id).encode(),
        loop,
        wall,
        recorder,
        BudgetTree(host.ledger, host.shared + accounts_for(root.name, limits), alert_to(recorder, host.on_alert, path)),
        host.directory,
        flight,
        parking,
        Beside(loop),
        await transport(),
        host.deps,
        host.on_ask,
        host.stages,
        RetryPolicy(),
        history or EMPTY,
        root,
    )
    recorder.emit(
        RunStarted,
        path,
        flow=root.name,
        input=_input_hash(value),
        lane="offline" if host.directory.used_offline else "live",
        seed=seed,
        limits=tuple(_limits(account.budget) for account in state.budgets.root),
    )
    context = Context(state, root, path, value, None)
    context.label = label
    context.add_root_budgets(host.deadline)
    started = loop.time()
    install(loop)
    try:
        return await _finish(state, context, await _flow(state, context), started)
    finally:
        flight.on_landed = None  # or flight and parking would hold each other, and with them the run
        uninstall(loop)


def _input_hash(value: Any) -> str:
    """What a run's input is known by. Raises ConfigError for one that is used up by being read, or has no JSON."""
    if isinstance(value, Iterator):
        raise ConfigError("an input is recorded, which would use up an iterator", hint="give list(…) of it")
    try:
        text = as_text(value)
    except ValueError as error:
        raise ConfigError(f"the input cannot be recorded: {error}") from error
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


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
    state.parking.suspended.add_done_callback(lambda _: task.cancel())
    me = asyncio.current_task()
    assert me is not None
    cancels = me.cancelling()  # a run may be part of somebody's clean-up after an earlier cancel
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
        await state.branches.cut_off()
        await state.flight.drain()
    except asyncio.CancelledError:
        state.closed = Stopped("the run was cancelled")
        await state.branches.cut_off()
        await state.flight.cut_off()
        state.recorder.emit(RunFinished, context.path, stop_reason="cancelled", degraded=True)
        with suppress(OutlayError):  # the cancellation is what the caller waits for
            await state.recorder.durable()
        raise
    if not state.parking.suspended.done():
        state.parking.suspended.cancel()
    return end


def _suspension(state: RunState) -> Stopped | None:
    """Every branch was parked: what the run waits for."""
    if not state.parking.suspended.done() or state.parking.suspended.cancelled():
        return None
    item = min(state.parking.parked, key=lambda item: item.kind == "budget")  # a human's answer may free money too
    if item.kind == "budget":
        return next(stop for stop in state.stops if isinstance(stop, BudgetExceeded))
    return ApprovalPending(
        f"waiting for a human: {item.question}", path=item.path, hint="give run(…, on_ask=) a function that answers"
    )


async def _finish(state: RunState, context: Context, end: _End, started: float) -> Result[Any]:
    error = None if end.error is None else flatten(end.error)
    output, reason = end.output, "completed"
    if error is not None:
        reason = error.reason if isinstance(error, Stopped) else _reason_of(error)
        if isinstance(error, Stopped) and error.best is not None:
            output = error.best
    elif state.stops:
        reason = min(state.stops, key=precedence).reason
    seconds = state.loop.time() - started
    degraded = bool(state.skipped) or reason != "completed"
    state.recorder.emit(
        RunFinished,
        context.path,
        stop_reason=reason,
        degraded=degraded,
        error="" if error is None else f"{type(error).__name__}: {getattr(error, 'message', error)}"[:1000],
        seconds=seconds,
    )
    if isinstance(error, KeyboardInterrupt | SystemExit):
        raise error
    if isinstance(error, ConfigError) and state.recorder.spent_on == 0:
        with suppress(OutlayError):
            await state.recorder.durable()
        raise error
    try:
        await state.recorder.durable()
    except OutlayError as failed:  # the answer is paid for: it is handed over, and what the store lost is said
        error, reason, degraded = error or failed, "error", True
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
        tuple(state.parking.parked),
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


def _limits(budget: Budget) -> dict[str, str]:
    names = ("usd", "tokens", "calls", "seconds", "depth", "fan_out")
    return {name: str(value) for name in names if (value := getattr(budget, name)) is not None}


def _unlabelled(input: Any) -> tuple[Any, Label]:
    """What `run` was given, and its label: what the caller hands over is trusted unless it says otherwise."""
    if isinstance(input, Labelled):
        labelled = cast("Labelled[Any]", input)
        return labelled.value, labelled.label
    return input, TRUSTED


async def _new_id(store: Store | None, run_id: str | None) -> str:
    if run_id is None:
        return secrets.token_hex(6)
    if not _RUN_ID.match(run_id):
        raise ConfigError(f"run_id={run_id[:80]!r} is not allowed", hint="use 1 to 128 of A-Z a-z 0-9 . _ : -")
    if store is not None and await store.events(run_id, ("run_started",)):
        raise ConfigError(
            f"run {run_id!r} exists in the store, and going on with a run is not there yet",
            hint="give another run_id, or leave it out",
        )
    return run_id
