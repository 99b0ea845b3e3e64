"""One error out of a group: what leaves a TaskGroup is still a stop, a cancellation or a failure (SEMANTICS 4)."""

from __future__ import annotations

import asyncio
from typing import cast

from outlay.errors import (
    ApprovalPending,
    BudgetExceeded,
    DeadlineExceeded,
    PolicyViolation,
    Stopped,
    WatchdogStopped,
)


def flatten(error: BaseException) -> BaseException:
    """The one error that a group of them stands for: cancelled, policy, approval, budget, deadline, watchdog, then the
    rest."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [flatten(inner) for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions]
    return min(leaves, key=precedence)


def precedence(error: BaseException) -> int:
    """The smaller, the sooner it speaks for the others."""
    stops = (ApprovalPending, BudgetExceeded, DeadlineExceeded, WatchdogStopped, Stopped)
    order = (asyncio.CancelledError, PolicyViolation, *stops)
    return next((i for i, kind in enumerate(order) if isinstance(error, kind)), len(order))
