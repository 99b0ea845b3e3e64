"""Run a flow: one input, many, or as a stream."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, cast, overload

from outlay.agents.content import as_text
from outlay.agents.function import as_node
from outlay.errors import (
    ApprovalPending,
    BudgetExceeded,
    ConfigError,
    OutlayError,
    Stopped,
)
from outlay.events.records import BudgetAlert, Event, RunFinished, RunStarted, TextDelta
from outlay.policies.admission import Admission
from outlay.policies.ledger import Alert, Ledger
from outlay.policies.retry import RetryPolicy
from outlay.protocols.clock import loop_factory, wall_clock
from outlay.protocols.node import Node
from outlay.protocols.stages import Stages
from outlay.protocols.store import Store
from outlay.runtime import preflight
from outlay.runtime.budgets import BudgetTree, Chain, accounts_for
from outlay.runtime.context import Context
from outlay.runtime.directory import Directory, Replacements, default_prices, transport
from outlay.runtime.flatten import flatten, precedence
from outlay.runtime.flight import Flight
from outlay.runtime.identity import Scope, current_scope, install, segment, uninstall
from outlay.runtime.parking import Parking
from outlay.runtime.recorder import Listener, Recorder
from outlay.runtime.result import Pending, Result
from outlay.runtime.state import RunState
from outlay.stores.opening import store_at
from outlay.values.budget import Budget
from outlay.values.label import TRUSTED, Label, Labelled
from outlay.values.money import show_usd
from outlay.values.transcript import EMPTY, Transcript

log = logging.getLogger("outlay")
In = TypeVar("In")
Out = TypeVar("Out")
Id = TypeVar("Id")
Budgets = Budget | Sequence[Budget] | None
StoreLike = str | Store | None
_RUN_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """What several runs have in common: models, prices, shared budgets, the store."""

    directory: Directory
    ledger: Ledger
    shared: Chain
    store: Store | None
    on_alert: Callable[[BudgetAlert], Any] | None
    on_ask: Callable[[Pending], Any] | None
    listeners: tuple[Listener, ...]
    deps: Any = None
    #: In loop time: what `seconds` of a budget of many runs leaves to all of them together.
    deadline: float | None = None
    stages: Stages = field(default_factory=Stages)


@overload
async def run(
    node: Node[In, Out],
    input: In,
    *,
    budget: Budgets = None,
    deps: Any = None,
    store: StoreLike = None,
    run_id: str | None = None,
    models: Replacements = None,
    on_event: Listener | None = None,
    on_alert: Callable[[BudgetAlert], Any] | None = None,
    on_ask: Callable[[Pending], Any] | None = None,
    seed: int | None = None,
    history: Transcript | None = None,
) -> Result[Out]: ...
@overload
async def run(
    node: Callable[..., Any],
    input: Any,
    *,
    budget: Budgets = None,
    deps: Any = None,
    store: StoreLike = None,
    run_id: str | None = None,
    models: Replacements = None,
    on_event: Listener | None = None,
    on_alert: Callable[[BudgetAlert], Any] | None = None,
    on_ask: Callable[[Pending], Any] | None = None,
    seed: int | None = None,
    history: Transcript | None = None,
) -> Result[Any]: ...
async def run(
    node: Any,
    input: Any,
    *,
    budget: Budgets = None,
    deps: Any = None,
    store: StoreLike = None,
    run_id: str | None = None,
    models: Replacements = None,
    on_event: Listener | None = None,
    on_alert: Callable[[BudgetAlert], Any] | None = None,
    on_ask: Callable[[Pending], Any] | None = None,
    seed: int | None = None,
    history: Transcript | None = None,
) -> Result[Any]:
    """Run a flow on one input.

    `store` is None (memory), a path (SQLite) or an open store. `models` replaces models by agent name, then model
    string, then `"*"`; `"offline"` uses the agents' stand-ins. `history` is a conversation to go on with.
    `on_event` sees every event, `on_alert` budget alerts (by default a line on stderr), `on_ask` answers questions.

    Raises ConfigError before anything is spent, BudgetExceeded under `on_exhausted="raise"` (with `.result`), and
    CancelledError. Everything else is in the result.
    """
    root = as_node(node)
    own = store_at(store) if isinstance(store, str) else None
    host = Host(
        Directory(models, default_prices()),
        Ledger(),
        (),
        own or cast("Store | None", store),
        on_alert,
        on_ask,
        () if on_event is None else (on_event,),
        deps,
    )
    try:
        limits = as_budgets(budget)
        preflight.check(root, host.directory, limits)
        return await _run_one(host, root, input, limits, run_id, seed, history or EMPTY)
    finally:
        if own is not None:
            await own.close()


class RunOptions(TypedDict, total=False):
    """What `run` takes besides the flow and its input."""

    budget: Budgets
    deps: Any
    store: StoreLike
    run_id: str | None
    models: Replacements
    on_event: Listener | None
    on_alert: Callable[[BudgetAlert], Any] | None
    on_ask: Callable[[Pending], Any] | None
    seed: int | None
    history: Transcript | None


@overload
def run_sync(node: Node[In, Out], input: In, **options: Unpack[RunOptions]) -> Result[Out]: ...
@overload
def run_sync(node: Callable[..., Any], input: Any, **options: Unpack[RunOptions]) -> Result[Any]: ...
def run_sync(node: Any, input: Any, **options: Unpack[RunOptions]) -> Result[Any]:
    """`run` for code without an event loop; the same arguments. Raises ConfigError under a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigError("run_sync was called under a running event loop", hint="write `await run(…)` there")
    with asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        return runner.run(run(node, input, **options))


async def run_many(
    node: Node[In, Out] | Callable[..., Any],
    rows: Iterable[tuple[Id, In]] | AsyncIterable[tuple[Id, In]],
    *,
    concurrency: int = 16,
    lane: Literal["live"] = "live",
    budget: Budgets = None,
    deps: Any = None,
    store: StoreLike = None,
    models: Replacements = None,
    on_event: Listener | None = None,
    on_alert: Callable[[BudgetAlert], Any] | None = None,
    on_ask: Callable[[Pending], Any] | None = None,
    seed: int | None = None,
) -> AsyncGenerator[tuple[Id, Result[Out]]]:
    """Run a flow on many rows of `(id, input)`, `concurrency` at a time; results as they finish.

    The budget covers all rows together. Near its end fewer rows are started, so that it is not used up by rows that
    are half done; once it is used up no further row is started, rows in flight end as they can, and the generator
    ends.
    """
    if concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
    if lane != "live":
        raise ConfigError(f"lane={lane!r} is not there yet", hint="leave it out, or say lane='live'")
    root = as_node(node)
    limits = as_budgets(budget)
    now = asyncio.get_running_loop().time
    deadline = min((now() + budget.seconds for budget in limits if budget.seconds is not None), default=None)
    own = store_at(store) if isinstance(store, str) else None
    host = Host(
        Directory(models, default_prices()),
        Ledger(),
        accounts_for(root.name, limits),
        own or cast("Store | None", store),
        on_alert,
        on_ask,
        () if on_event is None else (on_event,),
        deps,
        deadline,
    )
    pending: dict[asyncio.Task[Result[Any]], Id] = {}
    source = _each(rows)
    open_ended = True
    admissions = [Admission(a.usd_limit) for a in host.shared if a.usd_limit is not None]
    try:
        preflight.check(root, host.directory, limits)
        while True:
            while open_ended and len(pending) < concurrency and _admitted(host, admissions, len(pending)):
                try:
                    id, input = await anext(source)
                except StopAsyncIteration:
                    open_ended = False
                    break
                pending[asyncio.create_task(_run_one(host, root, input, (), None, seed, EMPTY))] = id
            if not pending:
                return
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in pending if task in done]:
                id = pending.pop(task)
                result = task.result()
                for admission in admissions:
                    admission.record(result.bill.at_least)
                if result.stop_reason == "budget" and any(account.refused for account in host.shared):
                    open_ended = False
                if deadline is not None and now() >= deadline:
                    open_ended = False
                yield id, result
    finally:
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        if own is not None:
            await own.close()


class Stream(Generic[Out]):
    """A run as it happens: iterate it for events, `text()` for the root's text, then read `result`."""

    def __init__(self, task: asyncio.Task[Result[Out]], queue: asyncio.Queue[Event | None], root: str) -> None:
        self._task = task
        self._queue = queue
        self._root = root

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self._queue.get()) is not None:
            yield event
        self._queue.put_nowait(None)  # whoever reads on finds the end again
        self._task.result()  # a ConfigError or a raised budget must not pass unseen

    async def text(self) -> AsyncIterator[str]:
        """The root's own text, piece by piece. What was retracted is announced by `Retracted` events only."""
        async for event in self:
            if isinstance(event, TextDelta) and event.path == self._root:
                yield event.text

    @property
    def result(self) -> Result[Out]:
        """The outcome. Raises ConfigError while the run is still going."""
        if not self._task.done():
            raise ConfigError("the run is still going", hint="read all events first: `async for event in s: …`")
        return self._task.result()


@asynccontextmanager
async def stream(
    node: Node[In, Out] | Callable[..., Any],
    input: In,
    *,
    budget: Budgets = None,
    deps: Any = None,
    store: StoreLike = None,
    run_id: str | None = None,
    models: Replacements = None,
    on_alert: Callable[[BudgetAlert], Any] | None = None,
    on_ask: Callable[[Pending], Any] | None = None,
    seed: int | None = None,
    history: Transcript | None = None,
) -> AsyncGenerator[Stream[Out]]:
    """Run a flow and see its events as they happen; leaving the block cancels what is still going."""
    root = as_node(node)
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    own = store_at(store) if isinstance(store, str) else None
    host = Host(
        Directory(models, default_prices()),
        Ledger(),
        (),
        own or cast("Store | None", store),
        on_alert,
        on_ask,
        (queue.put_nowait,),
        deps,
    )
    limits = as_budgets(budget)
    try:
        preflight.check(root, host.directory, limits)
        task = asyncio.create_task(_run_one(host, root, input, limits, run_id, seed, history or EMPTY, streaming=True))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            yield Stream(task, queue, segment(root.name))
        finally:
            if not task.done():
                task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
    finally:
        if own is not None:
            await own.close()


# ── one run ───────────────────────────────────────────────────────────────────────────────────────────────


async def _run_one(
    host: Host,
    root: Node[Any, Any],
    input: Any,
    limits: Sequence[Budget],
    run_id: str | None,
    seed: int | None,
    history: Transcript,
    streaming: bool = False,
) -> Result[Any]:
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
        BudgetTree(
            host.ledger, host.shared + accounts_for(root.name, limits), _alert_to(recorder, host.on_alert, path)
        ),
        host.directory,
        flight,
        parking,
        await transport(),
        host.deps,
        host.on_ask,
        host.stages,
        RetryPolicy(),
        history,
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
        f"waiting for a human: {item.question}", path=item.path, hint="give on_ask=, or answer it in the inbox"
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


def _admitted(host: Host, admissions: Sequence[Admission], in_flight: int) -> bool:
    limited = [account for account in host.shared if account.usd_limit is not None]
    return all(
        admission.admits(in_flight, account.spent + account.doubt)
        for admission, account in zip(admissions, limited, strict=True)
    )


def as_budgets(budget: Budgets) -> tuple[Budget, ...]:
    """What `budget=` was given, as a tuple. Raises ConfigError."""
    if budget is None:
        return ()
    found = (budget,) if isinstance(budget, Budget) else tuple(budget)
    for one in found:
        if not isinstance(one, Budget):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"budget={one!r} is not a Budget", hint='write budget=Budget(usd="0.50")')
    return found


def _limits(budget: Budget) -> dict[str, str]:
    names = ("usd", "tokens", "calls", "seconds", "depth", "fan_out")
    return {name: str(value) for name in names if (value := getattr(budget, name)) is not None}


def _alert_to(recorder: Recorder, on_alert: Callable[[BudgetAlert], Any] | None, path: str) -> Callable[[Alert], None]:
    def alert(found: Alert) -> None:
        recorder.emit(
            BudgetAlert,
            path,
            scope=found.account.name,
            resource=found.resource,
            percent=found.percent,
            spent=found.spent,
            limit=found.limit,
        )
        event = recorder.events[-1]
        assert isinstance(event, BudgetAlert)
        try:
            (on_alert or _alert_on_stderr)(event)
        except Exception:  # a broken listener must not lose the call that set it off
            log.warning("an on_alert listener raised", exc_info=True)

    return alert


def _alert_on_stderr(alert: BudgetAlert) -> None:
    if alert.resource == "usd":
        amount = f"{show_usd(alert.spent)} of {show_usd(alert.limit, places=2)}"
    else:
        amount = f"{alert.spent:,} of {alert.limit:,} {alert.resource}"
    print(  # noqa: T201 - budget alerts go to stderr unless on_alert= takes them
        f"outlay: budget of {alert.scope} at {alert.percent} % ({amount})", file=sys.stderr
    )


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


async def _each(rows: Iterable[tuple[Id, In]] | AsyncIterable[tuple[Id, In]]) -> AsyncIterator[tuple[Id, In]]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row
