"""Evaluators: checkers as a data set uses them, each made for a case from what is expected of it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import InvalidOperation
from pathlib import Path
from typing import Any, cast

from outlay import checkers
from outlay.checkers.checker import takes_context
from outlay.errors import ConfigError
from outlay.evals.dataset import Case
from outlay.evals.measured import Checked
from outlay.runtime.threads import in_thread

Check = Callable[[Any], Any]
_LONGEST = 500


@dataclass(frozen=True, eq=False)
class Evaluator:
    """`bind` makes the checker of a case: a function of the output that gives None, or what is wrong.

    `mark` changes where a kept verdict would no longer do.
    """

    name: str
    bind: Callable[[Case], Check]
    mark: str = ""


def evaluator(given: str | Callable[..., Any] | Evaluator) -> Evaluator:
    """An evaluator from its name (`numeric=0.01`, see `NAMES`) or from a function `(output)`, `(output, expected)` or
    `(output, case: Case)`. Raises ConfigError for what is none."""
    if isinstance(given, Evaluator):
        return given
    if isinstance(given, str):
        return _named(given)
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


def _bind(function: Callable[..., Any]) -> Callable[[Case], Check]:
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


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────


def _named(given: str) -> Evaluator:
    name, _, argument = given.partition("=")
    make = _MAKERS.get(name)
    if make is None:
        raise ConfigError(
            f"there is no checker {name!r}",
            hint=f"{', '.join(NAMES)}; or one of your own as path/to/file.py:attribute",
        )
    return Evaluator(given, make(argument), _short(given))


def _needed(case: Case) -> Any:
    if case.expected is None or case.expected == "":
        raise ConfigError("nothing is expected of it", hint="fill the column `expected`")
    return case.expected


def _exact(argument: str) -> Callable[[Case], Check]:
    if argument not in ("", "ignore_case"):
        raise ConfigError(f"exact={argument!r}", hint="write exact, or exact=ignore_case")
    return lambda case: checkers.exact(_needed(case), ignore_case=bool(argument))


def _numeric(argument: str) -> Callable[[Case], Check]:
    relative = argument.endswith("%")
    try:
        slack = float(argument.rstrip("% ") or 0) / (100 if relative else 1)
    except ValueError:
        raise ConfigError(f"numeric={argument!r}", hint="write numeric, numeric=0.01 or numeric=1%") from None
    return lambda case: checkers.numeric(str(_needed(case)).replace(",", ""), slack, relative=relative)


def _regex(argument: str) -> Callable[[Case], Check]:
    return _always(checkers.regex(argument)) if argument else lambda case: checkers.regex(str(_needed(case)))


def _json_schema(argument: str) -> Callable[[Case], Check]:
    if argument:
        return _always(checkers.json_schema(_as_json(_text_of(argument))))

    def bind(case: Case) -> Check:
        schema = _needed(case)
        return checkers.json_schema(_as_json(schema) if isinstance(schema, str) else schema)

    return bind


def _length(argument: str) -> Callable[[Case], Check]:
    if argument:
        return _always(checkers.length(max_words=int(_whole(argument))))
    return lambda case: checkers.length(max_words=int(_whole(_needed(case))))


def _citations(argument: str) -> Callable[[Case], Check]:
    if argument:
        return _always(checkers.citations([word.strip() for word in argument.split(",")]))

    def bind(case: Case) -> Check:
        sources = _needed(case)
        listed = sources.split(",") if isinstance(sources, str) else list(sources)
        return checkers.citations([str(source).strip() for source in listed])

    return bind


def _ruff(argument: str) -> Callable[[Case], Check]:
    return _always(checkers.ruff(argument.split(",")) if argument else checkers.ruff())


def _tests(argument: str) -> Callable[[Case], Check]:
    if not argument:
        raise ConfigError("tests needs a folder of tests", hint="tests=path/to/tests; or runs=asserts")
    return _always(checkers.tests(argument))


def _sql(argument: str) -> Callable[[Case], Check]:
    if argument.endswith(".sql"):
        return _always(checkers.sql(schema=_text_of(argument)))
    return _always(checkers.sql(argument)) if argument else lambda case: checkers.sql(schema=str(_needed(case)))


def _runs(argument: str) -> Callable[[Case], Check]:
    if argument == "":
        return _always(checkers.runs())
    if argument == "prints":
        return lambda case: checkers.runs(prints=str(_needed(case)))
    if argument == "asserts":
        return lambda case: checkers.runs(asserts=str(_needed(case)))
    raise ConfigError(f"runs={argument!r}", hint="write runs, runs=prints or runs=asserts")


def _always(check: Any) -> Callable[[Case], Check]:
    return lambda case: check


def _whole(given: Any) -> str:
    if not str(given).strip().isdigit():
        raise ConfigError(f"length: {str(given)[:40]!r} is no number of words", hint="write length=200")
    return str(given)


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from None


def _as_json(text: str) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"json_schema: the schema is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ConfigError("json_schema: the schema is no JSON object")
    return cast("dict[str, Any]", found)


_MAKERS: Mapping[str, Callable[[str], Callable[[Case], Check]]] = {
    "exact": _exact,
    "numeric": _numeric,
    "regex": _regex,
    "json_schema": _json_schema,
    "length": _length,
    "citations": _citations,
    "ruff": _ruff,
    "tests": _tests,
    "sql": _sql,
    "runs": _runs,
}
#: The checkers that have a name; what follows `=` is their argument, else they go by the column `expected`.
NAMES = tuple(_MAKERS)
