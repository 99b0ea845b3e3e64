"""What went wrong, as people read it, and the exit code that says it to programs.

error: what happened
  facts, one a line
  next: what to do
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click

from outlay.values.money import show_limit

COMPLETED, ERROR, USAGE, STOPPED, APPROVAL, INTERRUPTED = 0, 1, 2, 3, 4, 130
#: The exit code of a run by its `stop_reason`.
CODES = {
    "completed": COMPLETED,
    "budget": STOPPED,
    "deadline": STOPPED,
    "turn_limit": STOPPED,
    "watchdog": STOPPED,
    "approval": APPROVAL,
    "cancelled": INTERRUPTED,
    "error": ERROR,
}


class Problem(Exception):
    """An error that a command found itself; by default one in what it was given."""

    def __init__(self, message: str, *facts: str, next: str | Sequence[str] = "", code: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
        self.next = tuple(filter(None, (next,) if isinstance(next, str) else next))
        self.code = code


class Quiet(Exception):
    """End with this code; all that there is to say has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def show(problem: Problem) -> None:
    """Write it to stderr, stripped of terminal controls: it may quote models, files and other people's programs."""
    from outlay.analysis.text import plain

    first, *rest = plain(problem.message).splitlines() or [""]
    lines = [f"{click.style('error:', fg='red', bold=True) if _coloured() else 'error:'} {first}"]
    lines += [
        f"  {plain(line)}".rstrip() for line in (*rest, *(x for fact in problem.facts for x in fact.splitlines()))
    ]
    lines += [f"  next: {plain(hint)}" for hint in problem.next if hint]
    click.echo("\n".join(lines), err=True)


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_problem(error: BaseException) -> Problem:
    """Any exception as a problem; one of Outlay's says by itself what to do next."""
    if isinstance(error, Problem):
        return error
    from outlay.errors import BudgetExceeded, ConfigError, OutlayError, Stopped

    if isinstance(error, BudgetExceeded):
        return budget_stop(error)
    if isinstance(error, OutlayError):
        code = USAGE if isinstance(error, ConfigError) else CODES.get(getattr(error, "reason", ""), ERROR)
        name = "" if isinstance(error, ConfigError | Stopped) else f"{type(error).__name__}: "
        place = (f"at {error.path}",) if error.path else ()
        return Problem(f"{name}{error.message or 'no details'}", *place, next=error.hint, code=code)
    return Problem(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, code=ERROR)


def budget_stop(error: Any, *facts: str, spent: Decimal | None = None, next: str | Sequence[str] = "") -> Problem:
    """A budget's stop: how far it got, and what the next call would have needed. `spent` if it is more by now.

    The first of `facts` says where.
    """
    # The error's own text says "budget stop at $… of $…: the next call …" in one line.
    head, _, rest = error.message.partition(": ")
    if error.resource == "usd" and spent is not None and error.limit is not None:
        left = max(error.limit - spent, Decimal(0))
        head = f"budget stop at ${spent:,.4f} of {show_limit(error.limit)}"
        rest = f"the next call reserves ${error.needed:,.4f} and ${left:,.4f} is left" if error.needed else ""
    elif error.resource == "usd" and error.limit is not None and error.spent is not None:
        head = f"budget stop at ${error.spent:,.4f} of {show_limit(error.limit)}"
    place = () if facts else ((f"at {error.path}",) if error.path else ())
    lines = (*facts[:1], *place, *((rest,) if rest else ()), *facts[1:])
    return Problem(head, *lines, next=next or error.hint, code=STOPPED)


def frames(error: BaseException) -> str:
    """The whole traceback, for `--debug`."""
    return "".join(traceback.format_exception(error))
