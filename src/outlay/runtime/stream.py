"""Run a flow and see it happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar, Unpack

from outlay.agents.function import as_node
from outlay.errors import ConfigError
from outlay.events.records import Event, TextDelta
from outlay.protocols.node import Node
from outlay.runtime import preflight
from outlay.runtime.execution import execute
from outlay.runtime.host import RunOptions, as_budgets, hosting
from outlay.runtime.identity import segment
from outlay.runtime.result import Result

In = TypeVar("In")
Out = TypeVar("Out")


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
    node: Node[In, Out] | Callable[..., Any], input: In, **options: Unpack[RunOptions]
) -> AsyncGenerator[Stream[Out]]:
    """Run a flow and see its events as they happen; leaving the block cancels what is still going.

    The options are those of `run`.
    """
    root = as_node(node)
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    async with hosting(options, queue.put_nowait) as host:
        limits = as_budgets(options.get("budget"))
        preflight.check(root, host.directory, limits, host.store, by_batch=host.by_batch)
        task = asyncio.create_task(
            execute(
                host,
                root,
                input,
                limits,
                run_id=options.get("run_id"),
                session=options.get("session"),
                seed=options.get("seed"),
                history=options.get("history"),
                strict=options.get("strict", False),
                streaming=True,
            )
        )
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            yield Stream(task, queue, segment(root.name))
        finally:
            if not task.done():
                task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
