"""Evaluators: checkers as a data set uses them, each made for a case from what is expected of it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import InvalidOperation
from typing import Any, cast

from outlay.errors import ConfigError
from outlay.evals.dataset import Case
from outlay.evals.measured import Checked
from outlay.evals.named import Binding, Check, binding
from outlay.protocols.signature import takes_context
from outlay.runtime.threads import in_thread

_LONGEST = 500


@dataclass(frozen=True, eq=False)
class Evaluator:
    """`bind` makes the checker of a case: a function of the output that gives None, or what is wrong.

    `mark` changes where a kept verdict would no longer do.
    """

    name: str
    bind: Binding
    mark: str = ""


def evaluator(given: str | Callable[..., Any] | Evaluator) -> Evaluator:
    """An evaluator from its name (`numeric=0.01`, see `named.NAMES`) or from a function of `(output)`, of
    `(output, expected)` or of `(output, case: Case)`. Raises ConfigError for what is none."""
    if isinstance(given, Evaluator):
        return given
    if isinstance(given, str):
        return Evaluator(given, binding(given), _short(given))
    if not callable(given):  # pyright: ignore[reportUnnecessaryComparison]
        raise ConfigError(f"{given!r} is no checker", hint="a name, or a function (output) -> None | str")
    if takes_context(given):
        raise ConfigError(
            f"the checker {_name_of(given)} asks the run, which is over when a case is checked",
            hint="use it as verify= of an agent; of citations(…) name the sources: --checker citations=a,b",
        )
    return Evaluator(_name_of(given), _bind(given), _digest(given))


def bound(evaluators: Sequence[Evaluator], case: Case) -> list[tuple[str, Check]]:
    """The checkers of a case by name. Raises ConfigError, with the case, where what is expected does not fit."""
    found: list[tuple[str, Check]] = []
    for one in evaluators:
        try:
            found.append((one.name, one.bind(case)))
        except ConfigError as error:
            error.message = f"{one.name}, case {case.id[:80]!r}: {error.message}"
            raise
        except (ValueError, TypeError, InvalidOperation) as error:
            raise ConfigError(
                f"{one.name}, case {case.id[:80]!r}: expected is {str(case.expected)[:80]!r}, which does not fit"
            ) from error
    return found


async def judged(check: Check, name: str, output: Any) -> Checked:
    """Ask a checker. One that fails, or gives neither None nor text, has said nothing of the output."""

    async def ask() -> Any:
        said = check(output)
        return await said if inspect.isawaitable(said) else said

    try:
        said = await (in_thread(ask) if getattr(check, "blocking", False) else ask())
    except Exception as error:
        return Checked(name, f"{type(error).__name__}: {error}"[:_LONGEST], raised=True)
    if said is None or isinstance(said, str):
        return Checked(name, None if said is None else said[:_LONGEST])
    return Checked(name, f"it gave {type(said).__name__}, neither None nor what is wrong", raised=True)


# ── by function ───────────────────────────────────────────────────────────────────────────────────────────


def _bind(function: Callable[..., Any]) -> Binding:
    """What a second parameter gets: the case where it says so, else what is expected."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    if len(parameters) == 1:
        return lambda case: function
    if len(parameters) != 2:
        raise ConfigError(
            f"the checker {_name_of(function)} takes {len(parameters)} arguments",
            hint="write (output), (output, expected) or (output, case: Case)",
        )
    whole = str(getattr(parameters[1].annotation, "__name__", parameters[1].annotation)).strip("'\"") == "Case"

    def bind(case: Case) -> Check:
        second = case if whole else case.expected

        def check(output: Any) -> Any:
            return function(output, second)

        cast(Any, check).blocking = getattr(function, "blocking", False)
        return check

    return bind


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "name", "") or getattr(function, "__name__", "") or type(function).__name__)


def _digest(function: Callable[..., Any]) -> str:
    """Of the source where there is some: a checker that was changed judges anew."""
    try:
        written = inspect.getsource(function)
    except (OSError, TypeError):
        written = repr(getattr(function, "__code__", function))
    closed = [repr(cell.cell_contents) for cell in getattr(function, "__closure__", None) or ()]
    return _short(_name_of(function), written, *closed)


def _short(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=6).hexdigest()
