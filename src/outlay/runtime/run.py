"""Run a flow on one input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, Unpack, overload

from outlay.agents.function import as_node
from outlay.errors import ConfigError
from outlay.policies.watchdog import Watchdog
from outlay.protocols.clock import loop_factory
from outlay.protocols.node import Node
from outlay.runtime import preflight
from outlay.runtime.alerts import OnAlert
from outlay.runtime.directory import Replacements
from outlay.runtime.execution import execute
from outlay.runtime.host import Budgets, LaneLike, OnAsk, RunOptions, StoreLike, as_budgets, hosting
from outlay.runtime.recorder import Listener
from outlay.runtime.result import Result
from outlay.values.transcript import Transcript

In = TypeVar("In")
Out = TypeVar("Out")


@overload
async def run(node: Node[In, Out], input: In, **options: Unpack[RunOptions]) -> Result[Out]: ...
@overload
async def run(node: Callable[..., Any], input: Any, **options: Unpack[RunOptions]) -> Result[Any]: ...
async def run(
    node: Any,
    input: Any,
    *,
    budget: Budgets = None,
    deps: Any = None,
    store: StoreLike = None,
    run_id: str | None = None,
    session: str | None = None,
    models: Replacements = None,
    on_event: Listener | None = None,
    on_alert: OnAlert | None = None,
    on_ask: OnAsk | None = None,
    watchdog: Watchdog | None = None,
    seed: int | None = None,
    history: Transcript | None = None,
    strict: bool = False,
    source: str = "",
    fresh: bool = False,
    lane: LaneLike = "live",
) -> Result[Any]:
    """Run a flow on one input.

    `budget` is one or several, and all hold. `store` is None (memory), a path (SQLite) or an open store. `models`
    replaces models by agent name, then model string, then `"*"`; `"offline"` uses the agents' stand-ins. `history` is
    a conversation to go on with. `on_event` sees every event, `on_alert` each `AlertEvent`: of
    a budget, a cache, a breaker, a watchdog. A function is told beside a line on stderr; a list says exactly who is
    told (`alert_to_stderr` may be in it, and an empty one is silence). `on_ask` answers questions;
    without it they wait in the inbox of the store (`outlay.approve`). `watchdog` looks out for a run that is stuck.

    `session` names a conversation in the store: the root agent goes on with it, or each agent with `history=True` at
    its place in the flow. One run at a time is at a session, the next waits (which counts against `seconds`). A run
    that came to an output adds its turn; one that failed adds nothing.

    A `run_id` that is in the store goes on where it was: what finished is not paid again, what was under way when it
    broke off is in doubt. One that is over gives its stored result for nothing. `strict` refuses a flow that has
    changed since.

    `fresh` gives no stored answer again (`Agent(cache_answers=…)`); what is new is stored.

    `lane` is how model calls go out where their agent says nothing else: "live", or "batch" (or a `Batching`) for the
    providers' batches, at half the price and within a day.

    `source` is the flow's address, such as `triage.py:triage`: recorded, so that `outlay resume` can find it.

    Raises ConfigError before anything is spent, JournalMismatch for another input (or, if strict, another flow) than
    the run was begun with, Conflict where another process works on it, BudgetExceeded under `on_exhausted="raise"`
    (with `.result`), and CancelledError. Everything else is in the result.
    """
    root = as_node(node)
    options = RunOptions(
        deps=deps,
        store=store,
        models=models,
        on_event=on_event,
        on_alert=on_alert,
        on_ask=on_ask,
        watchdog=watchdog,
        source=source,
        fresh=fresh,
        lane=lane,
    )
    async with hosting(options) as host:
        limits = as_budgets(budget)
        preflight.check(root, host.directory, limits, host.store, by_batch=host.by_batch)
        return await execute(
            host, root, input, limits, run_id=run_id, seed=seed, history=history, strict=strict, session=session
        )


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
