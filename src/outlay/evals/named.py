"""The checkers that have a name on the command line, each made from its argument and from what a case expects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from outlay import checkers
from outlay.errors import ConfigError
from outlay.evals.dataset import Case

Check = Callable[[Any], Any]
Binding = Callable[[Case], Check]


def binding(given: str) -> Binding:
    """From `exact`, `numeric=0.01`, `runs=asserts` to what makes the checker of a case. Raises ConfigError."""
    name, _, argument = given.partition("=")
    make = _MAKERS.get(name)
    if make is None:
        raise ConfigError(
            f"there is no checker {name!r}",
            hint=f"{', '.join(NAMES)}; or one of your own as path/to/file.py:attribute",
        )
    return make(argument)


def _needed(case: Case) -> Any:
    if case.expected is None or case.expected == "":
        raise ConfigError("nothing is expected of it", hint="fill the column `expected`")
    return case.expected


def _exact(argument: str) -> Binding:
    if argument not in ("", "ignore_case"):
        raise ConfigError(f"exact={argument!r}", hint="write exact, or exact=ignore_case")
    return lambda case: checkers.exact(_needed(case), ignore_case=bool(argument))


def _numeric(argument: str) -> Binding:
    relative = argument.endswith("%")
    try:
        slack = float(argument.rstrip("% ") or 0) / (100 if relative else 1)
    except ValueError:
        raise ConfigError(f"numeric={argument!r}", hint="write numeric, numeric=0.01 or numeric=1%") from None
    return lambda case: checkers.numeric(str(_needed(case)).replace(",", ""), slack, relative=relative)


def _regex(argument: str) -> Binding:
    return _always(checkers.regex(argument)) if argument else lambda case: checkers.regex(str(_needed(case)))


def _json_schema(argument: str) -> Binding:
    if argument:
        return _always(checkers.json_schema(_as_json(_text_of(argument))))

    def bind(case: Case) -> Check:
        schema = _needed(case)
        return checkers.json_schema(_as_json(schema) if isinstance(schema, str) else schema)

    return bind


def _length(argument: str) -> Binding:
    if argument:
        return _always(checkers.length(max_words=int(_whole(argument))))
    return lambda case: checkers.length(max_words=int(_whole(_needed(case))))


def _citations(argument: str) -> Binding:
    if argument:
        return _always(checkers.citations([word.strip() for word in argument.split(",")]))

    def bind(case: Case) -> Check:
        sources = _needed(case)
        listed = sources.split(",") if isinstance(sources, str) else list(sources)
        return checkers.citations([str(source).strip() for source in listed])

    return bind


def _ruff(argument: str) -> Binding:
    return _always(checkers.ruff(argument.split(",")) if argument else checkers.ruff())


def _tests(argument: str) -> Binding:
    if not argument:
        raise ConfigError("tests needs a folder of tests", hint="tests=path/to/tests; or runs=asserts")
    return _always(checkers.tests(argument))


def _sql(argument: str) -> Binding:
    if argument.endswith(".sql"):
        return _always(checkers.sql(schema=_text_of(argument)))
    return _always(checkers.sql(argument)) if argument else lambda case: checkers.sql(schema=str(_needed(case)))


def _runs(argument: str) -> Binding:
    if argument == "":
        return _always(checkers.runs())
    if argument == "prints":
        return lambda case: checkers.runs(prints=str(_needed(case)))
    if argument == "asserts":
        return lambda case: checkers.runs(asserts=str(_needed(case)))
    raise ConfigError(f"runs={argument!r}", hint="write runs, runs=prints or runs=asserts")


def _always(check: Any) -> Binding:
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


_MAKERS: Mapping[str, Callable[[str], Binding]] = {
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
