"""What a run had used of its windows when its process died, out of its journal."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.events.records import CallFailed, CallFinished, CallStarted, Event, RunResumed, RunStarted
from outlay.policies.window import NOTHING, Amount, label_of
from outlay.values.money import ZERO

#: Scope, day or month, and the window's label.
Name = tuple[str, str, str]


def unsettled(events: Sequence[Event]) -> dict[Name, tuple[Amount, Amount]]:
    """By window, what is known to be spent and what is in doubt of the last leg of a run, which did not end: it is
    part of the lease of its process. Only the run's own budgets are recorded; what its agents' own windows lost stays
    in doubt."""
    start = max((i for i, event in enumerate(events) if isinstance(event, RunStarted | RunResumed)), default=0)
    first = events[start] if events else None
    if not isinstance(first, RunStarted | RunResumed):
        return {}
    windows = [(limits["scope"], limits["per"]) for limits in first.limits if "scope" in limits]
    used: dict[Name, tuple[Amount, Amount]] = {}
    for began, spent, doubt in _calls(events[start:]) if windows else ():
        for scope, per in windows:
            name = (scope, per, label_of(per, began.time))
            before = used.get(name, (NOTHING, NOTHING))
            used[name] = (before[0] + spent, before[1] + doubt)
    return used


def _calls(events: Sequence[Event]) -> list[tuple[CallStarted, Amount, Amount]]:
    """Each attempt with what it cost and what it may have cost."""
    begun: dict[tuple[str, int], CallStarted] = {}
    found: list[tuple[CallStarted, Amount, Amount]] = []
    for event in events:
        if isinstance(event, CallStarted):
            begun[event.key, event.attempt] = event
        elif isinstance(event, CallFinished | CallFailed):
            began = begun.pop((event.key, event.attempt), None)
            if began is not None:
                found.append((began, *_outcome(began, event)))
    return found + [(began, NOTHING, _held(began)) for began in begun.values()]


def _outcome(began: CallStarted, event: CallFinished | CallFailed) -> tuple[Amount, Amount]:
    if isinstance(event, CallFailed):
        return (NOTHING, _held(began)) if event.maybe_billed else (Amount(calls=1), NOTHING)
    if event.output_tokens is None:
        return NOTHING, _held(began)
    return Amount(event.cost or ZERO, event.known_tokens, 1), NOTHING


def _held(began: CallStarted) -> Amount:
    return Amount(began.reserved or ZERO, began.input_bound + began.max_output_tokens, 1)
