"""Alerts: a budget that runs out, a cache that is not read, a provider that does not answer. An event, a line on
stderr, and whoever listens."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from outlay.analysis.text import one_line
from outlay.errors import ConfigError
from outlay.events.records import AlertEvent, BudgetAlert, CacheAlert, CircuitChanged, EscalationAlert, WatchdogAlert
from outlay.policies.ledger import Alert
from outlay.runtime.recorder import Recorder
from outlay.values.money import show_limit, show_usd
from outlay.values.percent import percent

log = logging.getLogger("outlay")
Alarm: TypeAlias = Callable[[Any], Any]
#: Who is told of alerts: a function of the event beside stderr, or exactly those of a list.
OnAlert: TypeAlias = Alarm | Sequence[Alarm]


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


def tell(on_alert: OnAlert | None, event: AlertEvent) -> None:
    """Hand an alert to whoever listens: to stderr and a function beside it, or to those of a list and nobody else."""
    for listener in _listeners(on_alert):
        try:
            listener(event)
        except Exception:  # a broken listener must not lose the call that set it off
            log.warning("an on_alert listener raised", exc_info=True)


def _listeners(on_alert: OnAlert | None) -> Sequence[Alarm]:
    if on_alert is None or on_alert is alert_to_stderr:
        return (alert_to_stderr,)
    return (alert_to_stderr, on_alert) if callable(on_alert) else on_alert


def check_listeners(on_alert: Any) -> None:
    """Raises ConfigError before anything is spent: told in the middle of a call, it would be too late."""
    several = cast("Sequence[Any]", on_alert if isinstance(on_alert, list | tuple) else (on_alert,))
    if on_alert is not None and not all(map(callable, several)):
        raise ConfigError(
            f"on_alert={on_alert!r} is no function, and no list of functions",
            hint="write on_alert=print, or on_alert=[] for silence",
        )


def alert_to_stderr(alert: AlertEvent) -> None:
    """A line on stderr."""
    print(f"outlay: {alert_text(alert)}", file=sys.stderr)  # noqa: T201


def alert_text(event: AlertEvent) -> str:
    """An alert for people."""
    match event:
        case BudgetAlert():
            return f"budget of {event.scope} at {event.percent} % ({amount_text(event)})"
        case CacheAlert():
            return f"prompt cache of {one_line(event.agent)}: {one_line(event.text, 200)}"
        case CircuitChanged():
            return circuit_text(event)
        case EscalationAlert():
            what = "at the top tier were not settled" if event.failed else "came to the top tier"
            share = f"{percent(event.share)} of {event.turns:,} turns {what}"
            return f"cascade {event.path}: {share}, more than {percent(event.limit)}"
        case WatchdogAlert():
            return watchdog_text(event)


def amount_text(alert: BudgetAlert) -> str:
    """`$0.0125 of $0.02`"""
    if alert.resource == "usd":
        return f"{show_usd(alert.spent)} of {show_limit(alert.limit)}"
    return f"{alert.spent.normalize():,f} of {alert.limit.normalize():,f} {alert.resource}"


def circuit_text(event: CircuitChanged) -> str:
    """A circuit that turned, for people."""
    if event.state == "closed":
        return f"{event.target} answers again"
    return f"{event.target} does not answer and is left alone for a while ({event.reason})"


def watchdog_text(event: WatchdogAlert) -> str:
    """What a watchdog found and did, for people."""
    done = {"warn": "", "pause": " · paused", "stop": " · stopped"}
    opinion = f" ({one_line(event.opinion, 120)})" if event.opinion else ""
    return f"watchdog: {one_line(event.text, 160)}, at {event.path}{done.get(event.action, '')}{opinion}"
