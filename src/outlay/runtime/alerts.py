"""Alerts: a budget that runs out, a cache that is not read, a provider that does not answer. An event, and whoever
listens; by default a line on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from outlay.analysis.text import one_line
from outlay.events.records import BudgetAlert, CacheAlert, CircuitChanged
from outlay.policies.ledger import Alert
from outlay.runtime.recorder import Recorder
from outlay.values.money import show_limit, show_usd

log = logging.getLogger("outlay")
#: Takes a BudgetAlert, a CacheAlert or a CircuitChanged.
OnAlert: TypeAlias = Callable[[Any], Any]


def alert_to(recorder: Recorder, on_alert: OnAlert | None, path: str) -> Callable[[Alert], None]:
    """What the ledger's alerts do in one run."""

    def alert(found: Alert) -> None:
        told = len(recorder.events)
        recorder.emit(
            BudgetAlert,
            path,
            scope=found.account.name,
            resource=found.resource,
            percent=found.percent,
            spent=found.spent,
            limit=found.limit,
        )
        if len(recorder.events) == told:
            return  # an earlier leg of the run has given this one
        event = recorder.events[-1]
        assert isinstance(event, BudgetAlert)
        tell(on_alert, event)

    return alert


def tell(on_alert: OnAlert | None, event: BudgetAlert | CacheAlert | CircuitChanged) -> None:
    """Hand an alert to whoever listens."""
    try:
        (on_alert or _alert_on_stderr)(event)
    except Exception:  # a broken listener must not lose the call that set it off
        log.warning("an on_alert listener raised", exc_info=True)


def alert_text(event: CacheAlert | CircuitChanged) -> str:
    """An alert for people."""
    if isinstance(event, CacheAlert):
        return f"prompt cache of {one_line(event.agent)}: {one_line(event.text, 200)}"
    return circuit_text(event)


def circuit_text(event: CircuitChanged) -> str:
    """A circuit that turned, for people."""
    if event.state == "closed":
        return f"{event.target} answers again"
    return f"{event.target} does not answer and is left alone for a while ({event.reason})"


def _alert_on_stderr(alert: BudgetAlert | CacheAlert | CircuitChanged) -> None:
    if not isinstance(alert, BudgetAlert):
        print(f"outlay: {alert_text(alert)}", file=sys.stderr)  # noqa: T201
        return
    if alert.resource == "usd":
        amount = f"{show_usd(alert.spent)} of {show_limit(alert.limit)}"
    else:
        amount = f"{alert.spent:,} of {alert.limit:,} {alert.resource}"
    print(  # noqa: T201 - alerts go to stderr unless on_alert= takes them
        f"outlay: budget of {alert.scope} at {alert.percent} % ({amount})", file=sys.stderr
    )
