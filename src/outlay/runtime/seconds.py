"""Alerts of time budgets. Nobody settles seconds: they are told by the clock, while the run works."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from functools import partial

from outlay.policies.ledger import ALERTS, Account, Alert
from outlay.runtime.state import RunState


def watch_seconds(
    accounts: Iterable[Account], began: float, told: set[tuple[Account, int]], state: RunState
) -> list[asyncio.TimerHandle]:
    """Timers for each of `accounts`, whose budgets limit seconds; they are cancelled at the run's end.

    `began` is when the time of the budgets began, in loop time; what was crossed before this moment has been told.
    `told` is what the runs that share the budgets have told.
    """
    timers: list[asyncio.TimerHandle] = []
    for account in accounts:
        for percent in ALERTS:
            at = began + (account.budget.seconds or 0.0) * percent / 100
            if at > state.loop.time():
                timers.append(state.loop.call_at(at, partial(_tell, account, percent, told, state)))
    return timers


def _tell(account: Account, percent: int, told: set[tuple[Account, int]], state: RunState) -> None:
    if state.closed is not None or (account, percent) in told:
        return
    told.add((account, percent))
    limit = Decimal(str(account.budget.seconds))
    state.budgets.tell(Alert(account, "seconds", percent, limit * percent / 100, limit))
