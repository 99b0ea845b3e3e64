"""The output matches a pattern."""

from __future__ import annotations

import re
from typing import Any

from outlay.checkers.checker import Checker, named, shown, text_of, too_long
from outlay.errors import ConfigError


def regex(pattern: str | re.Pattern[str], *, full: bool = False) -> Checker:
    """Passes an output in which `pattern` is found; with `full`, one that it describes from end to end.

    Python cannot stop a match once it has begun. The text is the model's and the pattern is yours: repeats inside
    repeats, like `(a+)+$`, let a short text take for ever, so leave them out.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"regex({pattern!r}): {error}") from error

    def check(output: Any) -> str | None:
        text = text_of(output)
        if (problem := too_long(text)) is not None:
            return problem
        found = compiled.fullmatch(text) if full else compiled.search(text)
        if found is not None:
            return None
        verb = "is not of the form" if full else "has nothing that matches"
        return f"{shown(text)!r} {verb} /{shown(compiled.pattern)}/"

    return named("regex", check)
