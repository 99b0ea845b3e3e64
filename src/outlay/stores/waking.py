"""Telling the event loops that their rows are durable: one call into each loop, however many wait there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TypeAlias

from outlay.errors import OutlayError

#: A waiting future, and the error it gets if it gets one.
Outcome: TypeAlias = tuple[asyncio.Future[None], OutlayError | None]


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
    for future, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
