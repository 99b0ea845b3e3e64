"""Synchronous tools, off the loop.

Daemon threads and not the loop's executor: a tool that hangs for ever must neither hold a worker of a shared pool
nor keep the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any


async def in_thread(function: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function that never really awaits (a synchronous call in disguise) in a thread of its own."""
    loop = asyncio.get_running_loop()
    if getattr(loop, "inline_threads", False):  # virtual time: a thread would race the clock
        return await function()
    answer: asyncio.Future[Any] = loop.create_future()
    context = copy_context()

    def work() -> None:
        try:
            result = context.run(_finish_at_once, function)
        except BaseException as error:
            _hand_over(loop, answer, None, error)
        else:
            _hand_over(loop, answer, result, None)

    threading.Thread(target=work, daemon=True, name="outlay-tool").start()
    return await answer


def _finish_at_once(function: Callable[[], Awaitable[Any]]) -> Any:
    """Drive a coroutine that has nothing to wait for."""
    steps = function().__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    raise RuntimeError("a synchronous tool returned something that waits; make it `async def`")


def _hand_over(
    loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    def deliver() -> None:
        if answer.done():
            return  # timed out or cancelled meanwhile
        if error is None:
            answer.set_result(result)
        elif isinstance(error, StopIteration):
            answer.set_exception(RuntimeError("the tool raised StopIteration"))
        else:
            answer.set_exception(error)

    try:
        loop.call_soon_threadsafe(deliver)
    except RuntimeError:  # the loop closed while a timed-out tool went on
        return
