"""Alerts of budgets and caches: an event, and whoever listens; by default a line on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from outlay.events.records import BudgetAlert, CacheAlert
from outlay.policies.ledger import Alert
from outlay.runtime.recorder import Recorder
from outlay.values.money import show_limit, show_usd

log = logging.getLogger("outlay")
OnAlert: TypeAlias = Callable[[Any], Any]


def alert_to(recorder: Recorder, on_alert: OnAlert | None, path: str) -> Callable[[Alert], None]:
    """What the ledger's alerts do in one run."""

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
        _heard(recorder, on_alert)

    return alert


def alert_of_cache(
    recorder: Recorder, on_alert: OnAlert | None, path: str, agent: str, model: str, text: str, expected: int = 0
) -> None:
    """An agent's prompt cache does not do what was expected of it."""
    if not recorder.sealed:
        recorder.emit(CacheAlert, path, agent=agent, model=model, text=text, expected=expected)
        _heard(recorder, on_alert)


def _heard(recorder: Recorder, on_alert: OnAlert | None) -> None:
    event = recorder.events[-1]
    assert isinstance(event, BudgetAlert | CacheAlert)
    try:
        (on_alert or _alert_on_stderr)(event)
    except Exception:  # a broken listener must not lose the call that set it off
        log.warning("an on_alert listener raised", exc_info=True)


def _alert_on_stderr(alert: BudgetAlert | CacheAlert) -> None:
    if isinstance(alert, CacheAlert):
        print(f"outlay: prompt cache of {alert.agent}: {alert.text}", file=sys.stderr)  # noqa: T201 - as below
        return
    if alert.resource == "usd":
        amount = f"{show_usd(alert.spent)} of {show_limit(alert.limit)}"
    else:
        amount = f"{alert.spent:,} of {alert.limit:,} {alert.resource}"
    print(  # noqa: T201 - alerts go to stderr unless on_alert= takes them
        f"outlay: budget of {alert.scope} at {alert.percent} % ({amount})", file=sys.stderr
    )
