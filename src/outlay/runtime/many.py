"""Run a flow on many inputs, under one budget."""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

from outlay.agents.function import as_node
from outlay.errors import ConfigError
from outlay.policies.admission import Admission
from outlay.policies.watchdog import Watchdog
from outlay.protocols.node import Node
from outlay.runtime import preflight
from outlay.runtime.alerts import OnAlert
from outlay.runtime.budgets import accounts_for
from outlay.runtime.directory import Replacements
from outlay.runtime.execution import execute
from outlay.runtime.host import Budgets, Host, LaneLike, OnAsk, RunOptions, StoreLike, as_budgets, hosting
from outlay.runtime.recorder import Listener
from outlay.runtime.result import Result

In = TypeVar("In")
Out = TypeVar("Out")
Id = TypeVar("Id")
#: Rows at the same time, where nobody says. What waits for a batch costs 40 KB a row and nothing else, and each batch
#: that has to wait for the one before may take a day.
AT_ONCE: Final = 16
AT_ONCE_BY_BATCH: Final = 10_000
#: Seconds until it is looked again whether the first row has reserved what it needs.
_A_MOMENT: Final = 0.02


async def run_many(
    node: Node[In, Out] | Callable[..., Any],
    rows: Iterable[tuple[Id, In]] | AsyncIterable[tuple[Id, In]],
    *,
    concurrency: int | None = None,
    lane: LaneLike = "live",
    budget: Budgets = None,
    deps: Any = None,
    store: StoreLike = None,
    models: Replacements = None,
    on_event: Listener | None = None,
    on_alert: OnAlert | None = None,
    on_ask: OnAsk | None = None,
    watchdog: Watchdog | None = None,
    seed: int | None = None,
    source: str = "",
    run_id: Callable[[Id], str] | None = None,
) -> AsyncGenerator[tuple[Id, Result[Out]]]:
    """Run a flow on many rows of `(id, input)`, `concurrency` at a time (16, or 10,000 by batch); results as they
    finish.

    `lane="batch"` collects the model calls of all rows into the providers' batches, at half the price and within a day;
    a `Batching` says how. A batch holds at most as many rows as run at the same time. `run_id` names each row's run:
    with a store, rows that were cut off then go on where they were, and wait for a batch that was sent instead of
    sending another.

    The budget covers all rows together. Near its end fewer rows are started, so that it is not used up by rows that
    are half done; once it is used up no further row is started, rows in flight end as they can, and the generator
    ends. `source` and `watchdog` (one for each row) are as in `run`.
    """
    if concurrency is None:
        concurrency = AT_ONCE if lane == "live" else AT_ONCE_BY_BATCH
    if concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
    root = as_node(node)
    limits = as_budgets(budget)
    now = asyncio.get_running_loop().time
    deadline = min((now() + budget.seconds for budget in limits if budget.seconds is not None), default=None)
    options = RunOptions(
        deps=deps,
        store=store,
        models=models,
        on_event=on_event,
        on_alert=on_alert,
        on_ask=on_ask,
        watchdog=watchdog,
        seed=seed,
        source=source,
        lane=lane,
    )
    async with hosting(options, deadline=deadline) as host:
        preflight.check(root, host.directory, limits, host.store, by_batch=host.by_batch)
        host.shared = accounts_for(root.name, limits, host.windows)
        given = aiter(_each(rows))
        async for row in _rows(host, root, given, concurrency, seed, run_id):
            yield row


async def _rows(
    host: Host,
    root: Node[Any, Any],
    source: AsyncIterator[tuple[Id, Any]],
    concurrency: int,
    seed: int | None,
    run_id: Callable[[Id], str] | None,
) -> AsyncGenerator[tuple[Id, Result[Any]]]:
    pending: dict[asyncio.Task[Result[Any]], Id] = {}
    open_ended = True
    admissions = [Admission(a.usd_limit, by_batch=host.by_batch) for a in host.shared if a.usd_limit is not None]
    now = asyncio.get_running_loop().time
    try:
        while True:
            while open_ended and len(pending) < concurrency and _admitted(host, admissions, len(pending)):
                try:
                    id, input = await anext(source)
                except StopAsyncIteration:
                    open_ended = False
                    break
                name = None if run_id is None else run_id(id)
                task = asyncio.create_task(execute(host, root, input, run_id=name, seed=seed))
                pending[task] = id
                if host.lane is not None:
                    host.lane.begin()
                    task.add_done_callback(host.lane.end)
            if not pending:
                return
            if host.by_batch and admissions and open_ended and len(pending) == 1 and not _has_called(host):
                done = await _pilot(host, pending)
            else:
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in pending if task in done]:
                id = pending.pop(task)
                result = task.result()
                for admission in admissions:
                    admission.record(result.bill.at_least)
                if result.stop_reason == "budget" and any(account.refused for account in host.shared):
                    open_ended = False
                if host.deadline is not None and now() >= host.deadline:
                    open_ended = False
                yield id, result
    finally:
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)


def _has_called(host: Host) -> bool:
    """Has a row in flight come so far that it waits for a batch, with what that may cost reserved?"""
    return host.lane is not None and bool(host.lane.waiting)


async def _pilot(host: Host, pending: Iterable[asyncio.Task[Result[Any]]]) -> set[asyncio.Task[Result[Any]]]:
    """By batch the first row says what the others may cost as soon as it has reserved it, long before it ends; its
    batch waits for them."""
    assert host.lane is not None
    host.lane.begin()
    done, _ = await asyncio.wait(pending, timeout=_A_MOMENT, return_when=asyncio.FIRST_COMPLETED)
    host.lane.end()
    return done


def _admitted(host: Host, admissions: Sequence[Admission], in_flight: int) -> bool:
    limited = [account for account in host.shared if account.usd_limit is not None]
    return all(
        admission.admits(in_flight, account.spent + account.doubt, account.held if _has_called(host) else None)
        for admission, account in zip(admissions, limited, strict=True)
    )


async def _each(rows: Iterable[tuple[Id, In]] | AsyncIterable[tuple[Id, In]]) -> AsyncIterator[tuple[Id, In]]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield _pair(row)
    else:
        for row in rows:
            yield _pair(row)


def _pair(row: Any) -> tuple[Any, Any]:
    # a text of two letters, or an object of two fields, would unpack into something else than was meant
    if not isinstance(row, str | bytes | Mapping):
        with suppress(TypeError, ValueError):
            id, input = row
            return id, input
    raise ConfigError(
        f"run_many: a row is (id, input), not {reprlib.repr(cast(object, row))}", hint="write enumerate(rows)"
    )
