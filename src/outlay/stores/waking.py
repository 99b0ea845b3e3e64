"""Telling the event loops what is durable: one call into each loop, however many wait there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, TypeAlias

from outlay.errors import OutlayError

#: A waiting future, and its result, or the error it gets.
Outcome: TypeAlias = tuple[asyncio.Future[Any], object]


def release(outcomes: Sequence[Outcome]) -> None:
    """Wake every waiter, with one call into each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].get_loop(), []).append(outcome)
    for loop, mine in by_loop.items():
        # A loop that was closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, mine)


def _settle(outcomes: Sequence[Outcome]) -> None:
    for future, result in outcomes:
        if future.done():
            continue
        if isinstance(result, OutlayError):
            future.set_exception(result)
        else:
            future.set_result(result)
